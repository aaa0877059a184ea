//! From `uname`, `/etc/os-release` and the list of interfaces.

use std::collections::HashMap;

use jumpbag_wire::machine::{Facts, IpAddress};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Addresses that are told at most.
const MAX_ADDRESSES: usize = 64;

pub fn gather() -> Facts {
    let name = rustix::system::uname();
    Facts {
        computer_dns_name: name.nodename().to_string_lossy().into_owned(),
        os_platform: if cfg!(target_os = "macos") { "macOS".into() } else { "Linux".into() },
        os_version: Some(name.release().to_string_lossy().into_owned()),
        version: release(),
        ip_addresses: addresses(),
        ..Facts::default()
    }
}

/// The distribution's version.
fn release() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_ID="))?;
    Some(line.trim_matches('"').to_owned())
}

fn addresses() -> Vec<IpAddress> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let interfaces: Vec<_> = interfaces.collect();
    let mut hardware = HashMap::new();
    for interface in &interfaces {
        let link = interface.address.as_ref().and_then(|address| address.as_link_addr()?.addr());
        if let Some(bytes) = link.filter(|bytes| *bytes != [0; 6]) {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            hardware.insert(interface.interface_name.clone(), digits);
        }
    }
    let told = interfaces.iter().filter_map(|interface| {
        let address = interface.address.as_ref()?;
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => v4.ip().to_string(),
            (_, Some(v6)) => v6.ip().to_string(),
            _ => return None,
        };
        let loopback = interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let up = interface.flags.contains(InterfaceFlags::IFF_UP);
        Some(IpAddress {
            ip_address: ip,
            mac_address: hardware.get(&interface.interface_name).cloned(),
            kind: if loopback { "SoftwareLoopback".into() } else { "Ethernet".into() },
            operational_status: if up { "Up".into() } else { "Down".into() },
        })
    });
    told.take(MAX_ADDRESSES).collect()
}

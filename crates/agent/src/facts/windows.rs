//! From the version of Windows, and the address that leads outside.

use jumpbag_wire::machine::{Facts, IpAddress};
use windows_version::OsVersion;

pub fn gather() -> Facts {
    let version = OsVersion::current();
    let server = windows_version::is_server();
    Facts {
        computer_dns_name: std::env::var("COMPUTERNAME").unwrap_or_default(),
        os_platform: platform(server, version.build).to_owned(),
        version: Some(format!("{}.{}.{}", version.major, version.minor, version.build)),
        os_build: Some(i64::from(version.build)),
        ip_addresses: address().into_iter().collect(),
        ..Facts::default()
    }
}

fn platform(server: bool, build: u32) -> &'static str {
    match (server, build) {
        (true, 26100..) => "WindowsServer2025",
        (true, 20348..) => "WindowsServer2022",
        (true, 17763..) => "WindowsServer2019",
        (true, _) => "WindowsServer2016",
        (false, 22000..) => "Windows11",
        (false, _) => "Windows10",
    }
}

/// Nothing is sent: the system only says which of its addresses it would take.
fn address() -> Option<IpAddress> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    Some(IpAddress {
        ip_address: socket.local_addr().ok()?.ip().to_string(),
        mac_address: None,
        kind: "Ethernet".into(),
        operational_status: "Up".into(),
    })
}

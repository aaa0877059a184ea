//! What the agent says of the machine it runs on.

#[cfg_attr(unix, path = "facts/unix.rs")]
#[cfg_attr(windows, path = "facts/windows.rs")]
mod system;

use jumpbag_wire::machine::Facts;

/// Reads them anew: they may have changed.
pub fn gather() -> Facts {
    let mut facts = system::gather();
    facts.computer_dns_name = facts.computer_dns_name.to_lowercase();
    facts.agent_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    facts.os_processor = Some(
        match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        }
        .to_owned(),
    );
    let bits = if cfg!(target_pointer_width = "64") { "64-bit" } else { "32-bit" };
    facts.os_architecture = Some(bits.to_owned());
    facts
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_a_name_a_system_and_an_address() {
        let facts = super::gather();
        assert!(!facts.computer_dns_name.is_empty());
        assert_eq!(facts.computer_dns_name, facts.computer_dns_name.to_lowercase());
        if cfg!(target_os = "linux") {
            assert_eq!(facts.os_platform, "Linux");
            let loopback = facts.ip_addresses.iter().find(|address| address.ip_address == "127.0.0.1");
            assert_eq!(loopback.map(|address| address.kind.as_str()), Some("SoftwareLoopback"));
        }
    }
}

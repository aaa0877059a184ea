//! Where webhooks may go: to public addresses over HTTPS, and to networks that the settings name. A name is judged by
//! the addresses it resolves to, each time, and the addresses that were judged are those connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::dns::{Name, Resolve, Resolving};
use url::{Host, Url};

/// Bytes of an address.
const MAX_URL: usize = 2048;

/// A network, such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u32,
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u32) -> Network {
        Network { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    const fn v6(first: [u16; 3], prefix: u32) -> Network {
        let [a, b, c] = first;
        Network { first: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), prefix }
    }

    /// Whether an address is one of the network's. The two families do not mix: `::ffff:10.0.0.1` is not in `10.0.0.0/8`.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (first.to_bits() ^ address.to_bits()).checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (first.to_bits() ^ address.to_bits()).checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (first, prefix) = text.split_once('/').ok_or(())?;
        let first: IpAddr = first.parse().map_err(|_| ())?;
        let digits = !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u32 = digits.then(|| prefix.parse().ok()).flatten().ok_or(())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        (prefix <= most).then_some(Network { first, prefix }).ok_or(())
    }
}

/// What is not public of IPv4: the special-purpose registry, multicast, what is reserved, and last the address by which
/// machines of a large provider reach their own host.
const NOT_PUBLIC_V4: [Network; 16] = [
    Network::v4(0, 0, 0, 0, 8),
    Network::v4(10, 0, 0, 0, 8),
    Network::v4(100, 64, 0, 0, 10),
    Network::v4(127, 0, 0, 0, 8),
    Network::v4(169, 254, 0, 0, 16),
    Network::v4(172, 16, 0, 0, 12),
    Network::v4(192, 0, 0, 0, 24),
    Network::v4(192, 0, 2, 0, 24),
    Network::v4(192, 88, 99, 0, 24),
    Network::v4(192, 168, 0, 0, 16),
    Network::v4(198, 18, 0, 0, 15),
    Network::v4(198, 51, 100, 0, 24),
    Network::v4(203, 0, 113, 0, 24),
    Network::v4(224, 0, 0, 0, 4),
    Network::v4(240, 0, 0, 0, 4),
    Network::v4(168, 63, 129, 16, 32),
];
/// Only this of IPv6 is handed out for the public: loopback, mapped and translated IPv4, local and multicast are not in it.
const PUBLIC_V6: Network = Network::v6([0x2000, 0, 0], 3);
/// What in it is not public: protocol assignments with Teredo and ORCHID, documentation, 6to4.
const NOT_PUBLIC_V6: [Network; 4] = [
    Network::v6([0x2001, 0, 0], 23),
    Network::v6([0x2001, 0x0db8, 0], 32),
    Network::v6([0x2002, 0, 0], 16),
    Network::v6([0x3fff, 0, 0], 20),
];

/// Whether an address is one that anybody on the internet may have.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(address)),
        IpAddr::V6(_) => {
            PUBLIC_V6.contains(address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(address))
        }
    }
}

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("has more than {MAX_URL} bytes")]
    TooLong,
    #[error("is no address such as `https://hooks.example.org/jumpbag`")]
    Nonsense,
    #[error("begins with `{0}:`: expected `https:`")]
    Scheme(String),
    #[error("holds a user name or a password: deliveries are signed instead")]
    UserInfo,
    #[error("holds a fragment (`#…`), which is never sent")]
    Fragment,
    #[error(
        "begins with `http:`, which is for the networks in the setting `webhook_networks` only: use `https:`"
    )]
    Plain,
    #[error(
        "leads to {0}, which is not a public address: the setting `webhook_networks` names what else may be called"
    )]
    Private(IpAddr),
}

/// What may be called.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Networks that may be called beside the public ones, and without TLS.
    networks: Arc<[Network]>,
}

impl Reach {
    pub fn new(networks: &[Network]) -> Reach {
        Reach { networks: networks.into() }
    }

    fn allows(&self, address: IpAddr, tls: bool) -> bool {
        (tls && is_public(address)) || self.networks.iter().any(|network| network.contains(address))
    }

    /// An address as it is called.
    ///
    /// # Errors
    /// When it is none that may be called, as far as can be told without resolving its name.
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        if text.len() > MAX_URL {
            return Err(Refused::TooLong);
        }
        let url = Url::parse(text).map_err(|_| Refused::Nonsense)?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(Refused::Scheme(other.chars().take(20).collect())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(Refused::Fragment);
        }
        let literal = match url.host().ok_or(Refused::Nonsense)? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        match literal {
            Some(address) if !self.allows(address, true) => Err(Refused::Private(address)),
            Some(address) if !self.allows(address, tls) => Err(Refused::Plain),
            None if !tls && self.networks.is_empty() => Err(Refused::Plain),
            _ => Ok(url),
        }
    }

    /// A resolver that gives only addresses that may be called, with TLS or without.
    pub fn resolver(&self, tls: bool) -> Arc<dyn Resolve> {
        Arc::new(Resolver { reach: self.clone(), tls })
    }
}

struct Resolver {
    reach: Reach,
    tls: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, tls, host) = (self.reach.clone(), self.tls, name.as_str().to_owned());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let refused = found.iter().find(|address| !reach.allows(address.ip(), tls)).map(SocketAddr::ip);
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| reach.allows(address.ip(), tls)).collect();
            match refused {
                Some(address) if allowed.is_empty() && is_public(address) => Err(Refused::Plain.into()),
                Some(address) if allowed.is_empty() => Err(Refused::Private(address).into()),
                _ => Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests;

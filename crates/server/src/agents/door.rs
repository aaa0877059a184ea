//! Who stands at the door: connections that have not proven yet which machine they are from. There are so many at most,
//! in all and from one address, so that nobody keeps others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::Error;

/// Connections that may be unproven at a time.
const MOST: usize = 1024;
/// Of these, from one address.
const MOST_OF_ONE: usize = 256;

#[derive(Default)]
pub struct Door {
    waiting: Mutex<HashMap<IpAddr, usize>>,
}

/// A place at the door, until it is dropped.
pub struct Unproven {
    door: Arc<Door>,
    address: IpAddr,
}

impl Door {
    /// A place for a connection from an address.
    ///
    /// # Errors
    /// `Crowded` when too many wait.
    pub fn admit(self: &Arc<Door>, address: IpAddr) -> Result<Unproven, Error> {
        let address = network(address);
        let mut waiting = self.waiting();
        let of_one = waiting.get(&address).copied().unwrap_or(0);
        if of_one >= MOST_OF_ONE || waiting.values().sum::<usize>() >= MOST {
            return Err(Error::Crowded);
        }
        waiting.insert(address, of_one + 1);
        Ok(Unproven { door: Arc::clone(self), address })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        let mut waiting = self.door.waiting();
        if let Some(of_one) = waiting.get_mut(&self.address) {
            *of_one -= 1;
            if *of_one == 0 {
                waiting.remove(&self.address);
            }
        }
    }
}

/// What one holder of an address has: of IPv6 the first half of it.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_keep_others_out() {
        let door = Arc::new(Door::default());
        let admit = |address: String| door.admit(address.parse().unwrap());
        let mut inside: Vec<_> =
            (0..MOST_OF_ONE).map(|n| admit(format!("2001:db8::{n:x}")).unwrap()).collect();
        assert!(matches!(admit("2001:db8::1:1".into()), Err(Error::Crowded)));
        let other = admit("2001:db8:0:1::1".into()).unwrap();
        inside.pop();
        inside.push(admit("2001:db8::1:1".into()).unwrap());
        drop(other);
        let more: Vec<_> = (0..MOST).map_while(|n| admit(format!("192.0.2.{}", n / 200)).ok()).collect();
        assert_eq!(inside.len() + more.len(), MOST);
        drop((inside, more));
        assert!(door.waiting().is_empty());
    }
}

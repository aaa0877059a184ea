//! Slowing down whoever fails to get a token, per client id and address and per address alone. The
//! delay comes before the check, so right and wrong credentials wait alike.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jumpbag_wire::time::Timestamp;

use super::secret::hash_secret;

/// Failures are forgotten this many seconds after the last one.
const MEMORY: i64 = 600;
/// Failures that cost nothing: of one client id from one address, and of one address.
const FREE_PAIR: u32 = 3;
const FREE_ADDRESS: u32 = 20;
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);
/// Pairs and addresses remembered.
const CAPACITY: usize = 20_000;

/// Counts of failed token requests.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<Key, Failures>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    /// Hash of the client id; `None` counts the address whatever the client.
    client: Option<[u8; 32]>,
    network: IpAddr,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Key {
    fn pair(client_id: &str, addr: IpAddr) -> Key {
        Key { client: Some(hash_secret(client_id)), network: network(addr) }
    }

    fn address(addr: IpAddr) -> Key {
        Key { client: None, network: network(addr) }
    }

    fn free(&self) -> u32 {
        if self.client.is_some() { FREE_PAIR } else { FREE_ADDRESS }
    }
}

/// One IPv6 caller has a whole /64 to send from.
fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

impl Throttle {
    /// How long the next request of this client id from this address has to wait before it is
    /// looked at.
    pub fn delay(&self, client_id: &str, addr: IpAddr, now: Timestamp) -> Duration {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [Key::pair(client_id, addr), Key::address(addr)];
        let delays = keys.iter().filter_map(|key| {
            let failures = kept.get(key).filter(|failures| failures.counts(now))?;
            Some(delay_after(failures.count.saturating_sub(key.free())))
        });
        delays.max().unwrap_or_default()
    }

    /// Counts a failure.
    pub fn failed(&self, client_id: &str, addr: IpAddr, now: Timestamp) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in [Key::pair(client_id, addr), Key::address(addr)] {
            if !kept.contains_key(&key) {
                make_room(&mut kept, now);
            }
            let failures = kept.entry(key).or_insert(Failures { count: 0, last: now });
            let before = if failures.counts(now) { failures.count } else { 0 };
            *failures = Failures { count: before.saturating_add(1), last: now };
        }
    }

    /// Forgets the failures of this client id from this address. Those of the address stay: else
    /// one good client would clear the way for guesses at the others.
    pub fn succeeded(&self, client_id: &str, addr: IpAddr) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&Key::pair(client_id, addr));
    }
}

impl Failures {
    fn counts(&self, now: Timestamp) -> bool {
        now < self.last.plus_secs(MEMORY)
    }
}

fn delay_after(charged: u32) -> Duration {
    match charged {
        0 => Duration::ZERO,
        n => FIRST.saturating_mul(1 << (n - 1).min(16)).min(LONGEST),
    }
}

/// Drops what no longer counts and, where that is not enough, the oldest tenth.
fn make_room(kept: &mut HashMap<Key, Failures>, now: Timestamp) {
    if kept.len() < CAPACITY {
        return;
    }
    kept.retain(|_, failures| failures.counts(now));
    if kept.len() < CAPACITY {
        return;
    }
    let mut ages: Vec<Timestamp> = kept.values().map(|failures| failures.last).collect();
    let (_, oldest, _) = ages.select_nth_unstable(CAPACITY / 10);
    let oldest = *oldest;
    let mut surplus = CAPACITY / 10;
    kept.retain(|_, failures| {
        let goes = surplus > 0 && failures.last <= oldest;
        surplus -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_failures_are_free_then_the_wait_doubles_to_a_cap() {
        let throttle = Throttle::default();
        let addr = ip("192.0.2.1");
        let mut waits = Vec::new();
        for _ in 0..10 {
            waits.push(throttle.delay("app", addr, at(0)).as_millis());
            throttle.failed("app", addr, at(0));
        }
        assert_eq!(waits, [0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 4000]);
        for _ in 0..100 {
            throttle.failed("app", addr, at(0));
        }
        assert_eq!(throttle.delay("app", addr, at(0)), LONGEST);
    }

    #[test]
    fn others_do_not_wait_for_one_who_fails() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            throttle.failed("app", ip("192.0.2.1"), at(0));
        }
        assert_eq!(throttle.delay("app", ip("192.0.2.2"), at(0)), Duration::ZERO);
        assert_eq!(throttle.delay("other", ip("192.0.2.1"), at(0)), Duration::ZERO);
        assert_eq!(throttle.delay("app", ip("::ffff:192.0.2.1"), at(0)), LONGEST);
    }

    #[test]
    fn guessing_at_many_clients_slows_the_address() {
        let throttle = Throttle::default();
        for n in 0..=FREE_ADDRESS {
            throttle.failed(&n.to_string(), ip("2001:db8::1"), at(0));
        }
        assert_eq!(throttle.delay("fresh", ip("2001:db8::ffff"), at(0)), FIRST);
        assert_eq!(throttle.delay("fresh", ip("2001:db8:0:1::1"), at(0)), Duration::ZERO);
        throttle.succeeded("1", ip("2001:db8::1"));
        assert_eq!(throttle.delay("fresh", ip("2001:db8::1"), at(0)), FIRST);
    }

    #[test]
    fn success_and_time_forgive() {
        let throttle = Throttle::default();
        let addr = ip("192.0.2.1");
        for _ in 0..5 {
            throttle.failed("app", addr, at(0));
        }
        assert_eq!(throttle.delay("app", addr, at(MEMORY - 1)), Duration::from_millis(500));
        assert_eq!(throttle.delay("app", addr, at(MEMORY)), Duration::ZERO);
        throttle.failed("app", addr, at(MEMORY));
        assert_eq!(throttle.delay("app", addr, at(MEMORY)), Duration::ZERO);
        for _ in 0..5 {
            throttle.failed("app", addr, at(MEMORY));
        }
        assert!(throttle.delay("app", addr, at(MEMORY)) > Duration::ZERO);
        throttle.succeeded("app", addr);
        assert_eq!(throttle.delay("app", addr, at(MEMORY)), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let throttle = Throttle::default();
        for n in 0..CAPACITY as u32 {
            throttle.failed("app", IpAddr::V4(n.into()), at(i64::from(n) / 100));
        }
        let kept = throttle.0.lock().unwrap();
        assert!(kept.len() <= CAPACITY, "{}", kept.len());
        assert!(!kept.contains_key(&Key::address(IpAddr::V4(0.into()))));
        assert!(kept.contains_key(&Key::address(IpAddr::V4((CAPACITY as u32 - 1).into()))));
    }
}

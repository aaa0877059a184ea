//! Who was not let in, for the audit log. Whoever knocks without end writes no rows without end: one a minute for the same
//! reason, machine and address, and so many for an address and in all; how many were left out is told later.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard};

use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::Machines;
use crate::agents::door::network;
use crate::catalog::audit::{self, Actor, Change};
use crate::error::Error;

const MINUTE: i64 = 60;
/// Rows in a minute, of one address and in all.
const ROWS_OF_ONE: usize = 10;
const ROWS: usize = 60;
/// Addresses whose refusals are counted one by one; those of others are counted together.
const ADDRESSES: usize = 1024;
/// What they are counted under.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[derive(Default)]
pub struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    /// When the minute began.
    since: i64,
    told: HashSet<(IpAddr, String, String)>,
    left_out: HashMap<IpAddr, u64>,
}

/// A refusal that is written down.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// Refusals of the same address that were not, since the last that was.
    left_out: u64,
}

impl Refusals {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn row(&self, address: IpAddr, machine: &str, why: &str, now: Timestamp) -> Option<Row> {
        let mut state = self.state();
        state.renew(now);
        let address = network(address);
        let of_one = state.told.iter().filter(|told| told.0 == address).count();
        let room = of_one < ROWS_OF_ONE && state.told.len() < ROWS;
        if room && state.told.insert((address, machine.to_owned(), why.to_owned())) {
            return Some(Row { left_out: state.left_out.remove(&address).unwrap_or(0) });
        }
        let known = state.left_out.contains_key(&address) || state.left_out.len() < ADDRESSES;
        *state.left_out.entry(if known { address } else { OTHERS }).or_default() += 1;
        None
    }

    /// What was left out until now, by address.
    fn take(&self) -> HashMap<IpAddr, u64> {
        std::mem::take(&mut self.state().left_out)
    }
}

impl State {
    fn renew(&mut self, now: Timestamp) {
        let now = now.micros() / 1_000_000;
        if !(self.since..self.since.saturating_add(MINUTE)).contains(&now) {
            self.since = now;
            self.told.clear();
        }
    }
}

impl Machines {
    /// Notes that somebody was not let in.
    pub(super) async fn refused(&self, actor: Actor, why: &str, now: Timestamp) -> Result<(), Error> {
        let address = actor.address.as_ref().and_then(|address| address.parse().ok()).unwrap_or(OTHERS);
        let Some(Row { left_out }) = self.refusals.row(address, &actor.id, why, now) else { return Ok(()) };
        let mut after = json!({ "reason": why });
        if left_out > 0 {
            after["leftOut"] = left_out.into();
        }
        self.write_refusal(actor, after, now).await
    }

    /// Writes down, in one row, how many refusals were left out of the audit log and not told of yet.
    pub async fn tell_left_out(&self, now: Timestamp) -> Result<(), Error> {
        let left_out = self.refusals.take();
        if left_out.is_empty() {
            return Ok(());
        }
        let mut most: Vec<_> = left_out.iter().filter(|(address, _)| **address != OTHERS).collect();
        most.sort_by_key(|(address, count)| (std::cmp::Reverse(**count), **address));
        let most: Vec<_> = most.into_iter().take(ROWS_OF_ONE).collect();
        let after = json!({
            "reason": "these were refused too",
            "leftOut": left_out.values().sum::<u64>(),
            "most": most.iter().map(|(address, count)| json!({ "address": address, "leftOut": count })).collect::<Vec<_>>(),
        });
        self.write_refusal(Actor::operator("agents"), after, now).await
    }

    async fn write_refusal(
        &self,
        actor: Actor,
        after: serde_json::Value,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    let target = actor.id.trim_start_matches("machine ").to_owned();
                    let change = Change {
                        action: "machine.refuse",
                        target: &target,
                        before: None,
                        after: Some(after),
                    };
                    Ok::<_, Error>(audit::append(tx, now, &actor, turn, change).await?)
                })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "no";

    fn row(refusals: &Refusals, address: &str, machine: &str, second: i64) -> Option<u64> {
        let address = address.parse().unwrap();
        refusals.row(address, machine, WHY, Timestamp::from_secs(second)).map(|row| row.left_out)
    }

    #[test]
    fn the_same_is_written_once_a_minute_and_the_rest_is_counted() {
        let refusals = Refusals::default();
        assert_eq!(row(&refusals, "192.0.2.1", "a", 100), Some(0));
        for second in 100..160 {
            assert_eq!(row(&refusals, "192.0.2.1", "a", second), None);
        }
        assert_eq!(row(&refusals, "192.0.2.2", "a", 159), Some(0), "another address");
        assert_eq!(row(&refusals, "192.0.2.1", "b", 159), Some(60), "another machine");
        assert_eq!(row(&refusals, "192.0.2.1", "a", 160), Some(0));
        assert_eq!(row(&refusals, "192.0.2.1", "a", 160), None);
        assert_eq!(refusals.take(), HashMap::from([("192.0.2.1".parse().unwrap(), 1)]));
        assert_eq!(row(&refusals, "192.0.2.1", "a", 5), Some(0), "a clock that was set back");
    }

    #[test]
    fn made_up_machines_and_addresses_write_no_more() {
        let refusals = Refusals::default();
        let of_one = (0..1000).filter(|n| row(&refusals, "192.0.2.1", &n.to_string(), 0).is_some());
        assert_eq!(of_one.count(), ROWS_OF_ONE);
        let of_all = (0..5000).filter(|n| row(&refusals, &format!("2001:db8:0:{n:x}::1"), "a", 0).is_some());
        assert_eq!(of_all.count(), ROWS - ROWS_OF_ONE);
        let left_out = refusals.take();
        assert_eq!(left_out.len(), ADDRESSES + 1);
        assert_eq!(left_out.values().sum::<u64>(), 990 + 4950);
    }
}

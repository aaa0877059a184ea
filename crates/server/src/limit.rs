//! How often a caller may call: true sliding windows, to the millisecond. No stretch of a quota's length ever has
//! more calls than the quota; a refused call does not count.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use jumpbag_wire::time::Timestamp;

use crate::catalog::{Catalog, CatalogError, calls};

/// APIs that share one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    Library,
    Machines,
    Actions,
    Results,
    /// Making actions.
    LiveResponse,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Family::Library => "library",
            Family::Machines => "machines",
            Family::Actions => "actions",
            Family::Results => "results",
            Family::LiveResponse => "live response",
        }
    }
}

/// At most `calls` in any `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub name: &'static str,
    pub calls: u32,
    pub seconds: i64,
}

/// Where a caller stands in one window after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub quota: Quota,
    pub remaining: u32,
    /// Seconds until the oldest counted call leaves the window.
    pub reset: i64,
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub standings: Vec<Standing>,
    /// Seconds after which the call would be let through; none when it was.
    pub retry_after: Option<i64>,
}

/// Calls of one caller, by millisecond: no more entries than the largest quota.
#[derive(Debug, Default)]
pub struct Window {
    calls: VecDeque<(i64, u32)>,
}

impl Window {
    pub fn load(calls: impl IntoIterator<Item = (i64, u32)>) -> Window {
        Window { calls: calls.into_iter().collect() }
    }

    /// Lets a call through and counts it, or says how long to wait. `now` is in milliseconds.
    pub fn admit(&mut self, quotas: &[Quota], now: i64) -> Verdict {
        let longest = quotas.iter().map(Quota::millis).max().unwrap_or(0);
        while self.calls.front().is_some_and(|(at, _)| *at <= now - longest) {
            self.calls.pop_front();
        }
        let wait = quotas.iter().filter_map(|quota| self.wait(quota, now)).max();
        if wait.is_none() {
            match self.calls.back_mut() {
                // A clock that stepped back must not open the window.
                Some((at, calls)) if *at >= now => *calls += 1,
                _ => self.calls.push_back((now, 1)),
            }
        }
        let standings = quotas.iter().map(|quota| self.standing(quota, now)).collect();
        Verdict { standings, retry_after: wait.map(whole_seconds) }
    }

    /// Calls less than the quota's time ago.
    fn counted(&self, quota: &Quota, now: i64) -> impl Iterator<Item = &(i64, u32)> {
        let since = now - quota.millis();
        self.calls.iter().filter(move |(at, _)| *at > since)
    }

    fn wait(&self, quota: &Quota, now: i64) -> Option<i64> {
        let mut calls: u64 = self.counted(quota, now).map(|(_, calls)| u64::from(*calls)).sum();
        for (at, count) in self.counted(quota, now) {
            if calls < u64::from(quota.calls) {
                return None;
            }
            calls -= u64::from(*count);
            if calls < u64::from(quota.calls) {
                return Some(at + quota.millis() - now);
            }
        }
        None
    }

    fn standing(&self, quota: &Quota, now: i64) -> Standing {
        let calls: u64 = self.counted(quota, now).map(|(_, calls)| u64::from(*calls)).sum();
        let oldest = self.counted(quota, now).next().map_or(now, |(at, _)| *at);
        Standing {
            quota: *quota,
            remaining: u64::from(quota.calls).saturating_sub(calls) as u32,
            reset: whole_seconds(oldest + quota.millis() - now),
        }
    }
}

impl Quota {
    fn millis(&self) -> i64 {
        self.seconds * 1000
    }
}

/// Rounded up, so that whoever waits that long has waited long enough.
fn whole_seconds(millis: i64) -> i64 {
    millis.div_euclid(1000) + i64::from(millis.rem_euclid(1000) > 0)
}

/// Calls that a caller has in any minute and in any hour; 0 means no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calls {
    pub library: (u32, u32),
    /// To machines, to actions and to results, each for itself.
    pub machines: (u32, u32),
    /// Only in any minute.
    pub live_response: u32,
}

/// Counts the calls of all callers: here, or in the catalog where several nodes share it.
pub struct Limiter {
    library: Vec<Quota>,
    machines: Vec<Quota>,
    live_response: Vec<Quota>,
    shared: Option<Arc<Catalog>>,
    windows: Mutex<HashMap<(Family, String), Window>>,
}

/// Callers that may be remembered before those without a recent call are forgotten.
const MANY: usize = 10_000;

impl Limiter {
    pub fn new(calls: Calls, catalog: &Arc<Catalog>) -> Limiter {
        let quotas = |per_minute, per_hour| {
            let quotas = [
                Quota { name: "minute", calls: per_minute, seconds: 60 },
                Quota { name: "hour", calls: per_hour, seconds: 3600 },
            ];
            quotas.into_iter().filter(|quota| quota.calls > 0).collect()
        };
        Limiter {
            library: quotas(calls.library.0, calls.library.1),
            machines: quotas(calls.machines.0, calls.machines.1),
            live_response: quotas(calls.live_response, 0),
            shared: catalog.is_shared().then(|| Arc::clone(catalog)),
            windows: Mutex::new(HashMap::new()),
        }
    }

    fn quotas(&self, family: Family) -> &[Quota] {
        match family {
            Family::Library => &self.library,
            Family::Machines | Family::Actions | Family::Results => &self.machines,
            Family::LiveResponse => &self.live_response,
        }
    }

    /// Counts one call; `None` when this family has no limits.
    ///
    /// # Errors
    /// When the shared count cannot be reached.
    pub async fn admit(
        &self,
        caller: &str,
        family: Family,
        now: Timestamp,
    ) -> Result<Option<Verdict>, CatalogError> {
        let quotas = self.quotas(family);
        if quotas.is_empty() {
            return Ok(None);
        }
        if let Some(catalog) = &self.shared {
            let (caller, quotas) = (caller.to_owned(), quotas.to_vec());
            return catalog
                .write(move |tx| {
                    Box::pin(async move { calls::admit(tx, &caller, family, &quotas, now.millis()).await })
                })
                .await
                .map(Some);
        }
        let mut windows = self.windows.lock().unwrap_or_else(|e| e.into_inner());
        if windows.len() >= MANY {
            let longest = quotas.iter().map(Quota::millis).max().unwrap_or(0);
            windows
                .retain(|_, window| window.calls.back().is_some_and(|(at, _)| *at > now.millis() - longest));
        }
        let window = windows.entry((family, caller.to_owned())).or_default();
        Ok(Some(window.admit(quotas, now.millis())))
    }
}

impl Limiter {
    /// Forgets shared counts that no window needs any more.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), CatalogError> {
        let Some(catalog) = &self.shared else {
            return Ok(());
        };
        let all = [&self.library, &self.machines, &self.live_response];
        let longest = all.into_iter().flatten().map(Quota::millis).max().unwrap_or(0);
        let before = now.millis() - longest;
        catalog.write(move |tx| Box::pin(async move { calls::forget(tx, before).await.map(|_| ()) })).await
    }
}

#[cfg(test)]
mod tests {
    use super::{Quota, Window};

    const QUOTAS: [Quota; 2] = [
        Quota { name: "minute", calls: 100, seconds: 60 },
        Quota { name: "hour", calls: 1500, seconds: 3600 },
    ];

    /// No stretch of either length, wherever it begins, has more calls than allowed; a client that keeps to
    /// `Retry-After` is let through.
    #[test]
    fn no_stretch_of_time_ever_has_more_calls_than_allowed() {
        let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % (1 << 31)) as i64
        };
        let mut window = Window::default();
        let mut admitted = Vec::new();
        let mut now = 1_000_000i64;
        for _ in 0..20_000 {
            now += match next() % 20 {
                0 => 30_000,
                1..=4 => next() % 3000,
                _ => next() % 50,
            };
            match window.admit(&QUOTAS, now).retry_after {
                None => admitted.push(now),
                Some(wait) => {
                    assert!((1..=3600).contains(&wait), "{wait}");
                    if next() % 4 == 0 {
                        now += wait * 1000;
                        assert_eq!(window.admit(&QUOTAS, now).retry_after, None, "after waiting {wait} s");
                        admitted.push(now);
                    }
                }
            }
        }
        for (quota, length) in [(100, 60_000), (1500, 3_600_000)] {
            for (index, first) in admitted.iter().enumerate() {
                let within = admitted[index..].iter().take_while(|at| **at - first < length).count();
                assert!(within <= quota, "{within} calls in {length} ms from {first}");
            }
        }
    }

    #[test]
    fn refused_calls_do_not_count_and_the_standing_is_told() {
        let mut window = Window::default();
        for n in 0..100 {
            let verdict = window.admit(&QUOTAS, 1_000_500);
            assert_eq!(verdict.retry_after, None);
            assert_eq!((verdict.standings[0].remaining, verdict.standings[0].reset), (99 - n, 60));
        }
        for _ in 0..50 {
            assert_eq!(window.admit(&QUOTAS, 1_030_500).retry_after, Some(30));
        }
        assert_eq!(window.admit(&QUOTAS, 1_000_500).retry_after, Some(60), "never more than the window");
        assert_eq!(window.admit(&QUOTAS, 1_060_499).retry_after, Some(1));
        let verdict = window.admit(&QUOTAS, 1_060_500);
        assert_eq!((verdict.retry_after, verdict.standings[1].remaining), (None, 1399));
    }

    #[test]
    fn a_clock_that_steps_back_opens_nothing() {
        let mut window = Window::default();
        let quota = [Quota { name: "minute", calls: 2, seconds: 60 }];
        assert_eq!(window.admit(&quota, 1_000_000).retry_after, None);
        assert_eq!(window.admit(&quota, 900_000).retry_after, None);
        assert!(window.admit(&quota, 900_000).retry_after.is_some());
    }
}

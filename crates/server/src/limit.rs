//! How often a caller may call: true sliding windows, counted in steps of a second. A call may be refused up to
//! a second early, never let through early; a refused call does not count.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use jumpbag_wire::time::Timestamp;

use crate::catalog::{Catalog, CatalogError, calls};

/// APIs that share one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    Library,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Family::Library => "library",
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

/// Calls of one caller, by second.
#[derive(Debug, Default)]
pub struct Window {
    seconds: VecDeque<(i64, u32)>,
}

impl Window {
    pub fn load(seconds: impl IntoIterator<Item = (i64, u32)>) -> Window {
        Window {
            seconds: seconds.into_iter().collect(),
        }
    }

    /// Lets a call through and counts it, or says how long to wait.
    pub fn admit(&mut self, quotas: &[Quota], second: i64) -> Verdict {
        let longest = quotas.iter().map(|quota| quota.seconds).max().unwrap_or(0);
        while self.seconds.front().is_some_and(|(at, _)| *at < second - longest) {
            self.seconds.pop_front();
        }
        let retry_after = quotas.iter().filter_map(|quota| self.wait(quota, second)).max();
        if retry_after.is_none() {
            match self.seconds.back_mut() {
                // A clock that stepped back must not open the window.
                Some((at, calls)) if *at >= second => *calls += 1,
                _ => self.seconds.push_back((second, 1)),
            }
        }
        let standings = quotas.iter().map(|quota| self.standing(quota, second)).collect();
        Verdict {
            standings,
            retry_after,
        }
    }

    /// Seconds in which a call may have been less than the quota's time ago.
    fn counted(&self, quota: &Quota, second: i64) -> impl Iterator<Item = &(i64, u32)> {
        let since = second - quota.seconds;
        self.seconds.iter().filter(move |(at, _)| *at >= since)
    }

    fn wait(&self, quota: &Quota, second: i64) -> Option<i64> {
        let mut calls: u64 = self
            .counted(quota, second)
            .map(|(_, calls)| u64::from(*calls))
            .sum();
        for (at, count) in self.counted(quota, second) {
            if calls < u64::from(quota.calls) {
                return None;
            }
            calls -= u64::from(*count);
            if calls < u64::from(quota.calls) {
                return Some((at + quota.seconds + 1 - second).max(1));
            }
        }
        None
    }

    fn standing(&self, quota: &Quota, second: i64) -> Standing {
        let calls: u64 = self
            .counted(quota, second)
            .map(|(_, calls)| u64::from(*calls))
            .sum();
        let oldest = self.counted(quota, second).next().map_or(second, |(at, _)| *at);
        Standing {
            quota: *quota,
            remaining: u64::from(quota.calls).saturating_sub(calls) as u32,
            reset: (oldest + quota.seconds + 1 - second).max(1),
        }
    }
}

/// Counts the calls of all callers: here, or in the catalog where several nodes share it.
pub struct Limiter {
    library: Vec<Quota>,
    shared: Option<Arc<Catalog>>,
    windows: Mutex<HashMap<(Family, String), Window>>,
}

/// Callers that may be remembered before those without a recent call are forgotten.
const MANY: usize = 10_000;

impl Limiter {
    /// A quota of no calls means no limit.
    pub fn new(per_minute: u32, per_hour: u32, catalog: &Arc<Catalog>) -> Limiter {
        let quotas = [
            Quota {
                name: "minute",
                calls: per_minute,
                seconds: 60,
            },
            Quota {
                name: "hour",
                calls: per_hour,
                seconds: 3600,
            },
        ];
        Limiter {
            library: quotas.into_iter().filter(|quota| quota.calls > 0).collect(),
            shared: catalog.is_shared().then(|| Arc::clone(catalog)),
            windows: Mutex::new(HashMap::new()),
        }
    }

    fn quotas(&self, family: Family) -> &[Quota] {
        match family {
            Family::Library => &self.library,
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
                    Box::pin(async move { calls::admit(tx, &caller, family, &quotas, now.secs()).await })
                })
                .await
                .map(Some);
        }
        let mut windows = self.windows.lock().unwrap_or_else(|e| e.into_inner());
        if windows.len() >= MANY {
            let longest = quotas.iter().map(|quota| quota.seconds).max().unwrap_or(0);
            windows.retain(|_, window| {
                window
                    .seconds
                    .back()
                    .is_some_and(|(at, _)| *at >= now.secs() - longest)
            });
        }
        let window = windows.entry((family, caller.to_owned())).or_default();
        Ok(Some(window.admit(quotas, now.secs())))
    }
}

impl Limiter {
    /// Forgets shared counts that no window needs any more.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), CatalogError> {
        let Some(catalog) = &self.shared else {
            return Ok(());
        };
        let longest = self.library.iter().map(|quota| quota.seconds).max().unwrap_or(0);
        let before = now.secs() - longest;
        catalog
            .write(move |tx| Box::pin(async move { calls::forget(tx, before).await.map(|_| ()) }))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::{Quota, Window};

    const QUOTAS: [Quota; 2] = [
        Quota {
            name: "minute",
            calls: 100,
            seconds: 60,
        },
        Quota {
            name: "hour",
            calls: 1500,
            seconds: 3600,
        },
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
            random
        };
        let mut window = Window::default();
        let mut admitted = Vec::new();
        let mut millis = 1_000_000u64;
        for _ in 0..20_000 {
            millis += match next() % 20 {
                0 => 30_000,
                1..=4 => next() % 3000,
                _ => next() % 50,
            };
            let second = (millis / 1000) as i64;
            let verdict = window.admit(&QUOTAS, second);
            match verdict.retry_after {
                None => admitted.push(millis),
                Some(wait) => {
                    assert!(wait >= 1);
                    if next() % 4 == 0 {
                        millis += wait as u64 * 1000;
                        let again = window.admit(&QUOTAS, (millis / 1000) as i64);
                        assert_eq!(again.retry_after, None, "after waiting {wait} s");
                        admitted.push(millis);
                    }
                }
            }
        }
        for (quota, length) in [(100, 60_000), (1500, 3_600_000)] {
            for (index, first) in admitted.iter().enumerate() {
                let within = admitted[index..]
                    .iter()
                    .take_while(|at| **at - first < length)
                    .count();
                assert!(within <= quota, "{within} calls in {length} ms from {first}");
            }
        }
    }

    #[test]
    fn refused_calls_do_not_count_and_the_standing_is_told() {
        let mut window = Window::default();
        for n in 0..100 {
            let verdict = window.admit(&QUOTAS, 1000);
            assert_eq!(verdict.retry_after, None);
            assert_eq!(verdict.standings[0].remaining, 99 - n);
        }
        for _ in 0..50 {
            assert_eq!(window.admit(&QUOTAS, 1030).retry_after, Some(31));
        }
        assert_eq!(window.admit(&QUOTAS, 1060).retry_after, Some(1));
        let verdict = window.admit(&QUOTAS, 1061);
        assert_eq!(
            (verdict.retry_after, verdict.standings[1].remaining),
            (None, 1399)
        );
    }

    #[test]
    fn a_clock_that_steps_back_opens_nothing() {
        let mut window = Window::default();
        let quota = [Quota {
            name: "minute",
            calls: 2,
            seconds: 60,
        }];
        assert_eq!(window.admit(&quota, 1000).retry_after, None);
        assert_eq!(window.admit(&quota, 900).retry_after, None);
        assert!(window.admit(&quota, 900).retry_after.is_some());
    }
}

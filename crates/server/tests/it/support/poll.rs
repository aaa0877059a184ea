//! Waiting for a state that comes by itself.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::SOON;

/// What `look` finds, as soon as it finds something. Panics, naming `what`, when that does not come soon.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    eventually_within(SOON, what, look).await
}

/// Like [`eventually`], within a bound of one's own.
pub async fn eventually_within<T>(within: Duration, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let found = timeout(within, async {
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
}

//! Whether the server is still there: a connection can be dead for long before the system tells.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{Error, Result};

/// After this time without a word from the server the connection is lost.
const SILENCE: Duration = Duration::from_secs(120);
/// The same after the machine slept.
const SILENCE_AFTER_SLEEP: Duration = Duration::from_secs(10);

/// When the server was last heard, and how long its silence is borne.
pub struct Pulse {
    state: Mutex<(Instant, Duration)>,
    hurried: Notify,
}

impl Pulse {
    pub fn new() -> Pulse {
        Pulse { state: Mutex::new((Instant::now(), SILENCE)), hurried: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, (Instant, Duration)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server was heard.
    pub fn beat(&self) {
        *self.state() = (Instant::now(), SILENCE);
    }

    /// The connection may have died in the machine's sleep.
    pub fn hurry(&self) {
        *self.state() = (Instant::now(), SILENCE_AFTER_SLEEP);
        self.hurried.notify_one();
    }

    /// Returns when the silence is too long.
    pub async fn watch(&self) -> Result<Infallible> {
        loop {
            let (heard, patience) = *self.state();
            let deadline = heard + patience;
            if Instant::now() >= deadline {
                return Err(Error::new(format!(
                    "nothing was heard of the server for {} s",
                    patience.as_secs()
                )));
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                () = self.hurried.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens after so many seconds.
    type Event = (u64, fn(&Pulse));

    /// After how many seconds the connection counts as lost.
    async fn lost_after(happens: &[Event]) -> u64 {
        let pulse = Pulse::new();
        let begun = Instant::now();
        let happening = async {
            for (second, what) in happens {
                tokio::time::sleep_until(begun + Duration::from_secs(*second)).await;
                what(&pulse);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = pulse.watch() => {}
            () = happening => {}
        }
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up_and_sooner_after_sleep() {
        assert_eq!(lost_after(&[]).await, 120);
        assert_eq!(lost_after(&[(100, Pulse::beat), (219, Pulse::beat)]).await, 339);
        assert_eq!(lost_after(&[(50, Pulse::hurry)]).await, 60);
        assert_eq!(lost_after(&[(50, Pulse::hurry), (55, Pulse::beat)]).await, 175);
    }
}

//! The server's limit of calls, for all calls of a run at once: who is told to wait makes the others wait too.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::Response;
use tokio::time::Instant;

use crate::progress::Progress;

/// When calls may go on.
#[derive(Default)]
pub struct Pause(Mutex<Option<Instant>>);

/// What is waited where a server does not say for how long, in seconds.
const UNSAID: u64 = 10;
/// The original's longest window is an hour.
const LONGEST: u64 = 3600;

impl Pause {
    /// Takes a 429 to heart.
    pub fn until(&self, response: &Response) {
        let seconds = crate::sign_in::retry_after(response.headers()).unwrap_or(UNSAID).clamp(1, LONGEST);
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut place = self.place();
        *place = Some(place.map_or(until, |before| before.max(until)));
    }

    /// Waits until calls may go on.
    pub async fn over(&self, progress: &Progress) {
        loop {
            let until = *self.place();
            let Some(until) = until.filter(|until| *until > Instant::now()) else { return };
            let seconds = until.duration_since(Instant::now()).as_secs_f64().ceil() as u64;
            progress.waiting(seconds, "the server's limit of calls is reached");
            tokio::time::sleep_until(until).await;
            progress.going_on();
        }
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

//! The server's limit of calls, for all calls of a run at once: who is told to wait makes the others wait too.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::Response;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::output::shown;
use crate::progress::Progress;

/// When calls may go on, and what the server said about it.
#[derive(Default)]
pub struct Pause(Mutex<Option<(Instant, String)>>);

/// What is waited where a server does not say for how long, in seconds.
const UNSAID: u64 = 10;
/// The original's longest window is an hour.
const LONGEST: u64 = 3600;

impl Pause {
    /// Takes a 429 to heart.
    pub async fn until(&self, response: Response) {
        let seconds = crate::sign_in::retry_after(response.headers()).unwrap_or(UNSAID).clamp(1, LONGEST);
        let until = Instant::now() + Duration::from_secs(seconds);
        let why = super::refusal(response).await;
        let why = if let Failure::Refused(refusal) = why { refusal.message } else { String::new() };
        let mut place = self.place();
        let later = place.take().filter(|(before, _)| *before > until);
        *place = Some(later.unwrap_or((until, why)));
    }

    /// Waits until calls may go on.
    pub async fn over(&self, progress: &Progress) {
        loop {
            let place = self.place().clone();
            let Some((until, why)) = place.filter(|(until, _)| *until > Instant::now()) else { return };
            let seconds = until.duration_since(Instant::now()).as_secs_f64().ceil() as u64;
            progress.waiting(
                seconds,
                &format!("the server's limit is reached ({})", shown(why.trim_end_matches('.'))),
            );
            tokio::time::sleep_until(until).await;
            progress.going_on();
        }
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

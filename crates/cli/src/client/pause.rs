//! The server's limit of calls, for all calls of a run at once: who is told to wait makes the others wait too. A run
//! does not wait for ever.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::Response;
use tokio::time::Instant;

use crate::failure::{Failure, Refusal};
use crate::output::shown;
use crate::progress::Progress;

/// When calls may go on, and what the server said about it.
#[derive(Default)]
pub struct Pause(Mutex<State>);

#[derive(Default)]
struct State {
    until: Option<(Instant, String)>,
    /// When a call was told to wait and none has been answered otherwise since.
    since: Option<Instant>,
}

/// What is waited where a server does not say for how long, in seconds.
const UNSAID: u64 = 10;
/// How long a run waits while no call is answered. The original's longest window is an hour; then the calls that waited
/// for its end come all at once, and some of them wait again.
const LONGEST: Duration = Duration::from_secs(75 * 60);

impl Pause {
    /// Takes a 429 to heart.
    ///
    /// # Errors
    /// When that would be to wait for too long: what the server says.
    pub async fn until(&self, response: Response) -> Result<(), Failure> {
        let said = crate::sign_in::retry_after(response.headers()).unwrap_or(UNSAID).max(1);
        let wait = Duration::from_secs(said).min(LONGEST * 2);
        let why = super::refusal(response).await;
        let now = Instant::now();
        let mut state = self.state();
        let since = *state.since.get_or_insert(now);
        if now.duration_since(since) + wait > LONGEST {
            return Err(too_long(why, said));
        }
        let why = if let Failure::Refused(refusal) = why { refusal.message } else { String::new() };
        let until = now + wait;
        let later = state.until.take().filter(|(before, _)| *before > until);
        state.until = Some(later.unwrap_or((until, why)));
        Ok(())
    }

    /// A call was answered: the server takes calls.
    pub fn answered(&self) {
        self.state().since = None;
    }

    /// Waits until calls may go on.
    pub async fn over(&self, progress: &Progress) {
        loop {
            let until = self.state().until.clone();
            let Some((until, why)) = until.filter(|(until, _)| *until > Instant::now()) else { return };
            let seconds = until.duration_since(Instant::now()).as_secs_f64().ceil() as u64;
            progress.waiting(
                seconds,
                &format!("the server's limit is reached ({})", shown(why.trim_end_matches('.'))),
            );
            tokio::time::sleep_until(until).await;
            progress.going_on();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn too_long(why: Failure, said: u64) -> Failure {
    match why {
        Failure::Refused(refusal) => Failure::Refused(Refusal {
            message: format!(
                "{}: that is {said} s more of waiting, and without an answer at most {} minutes are waited",
                refusal.message.trim_end_matches('.'),
                LONGEST.as_secs() / 60
            ),
            ..refusal
        }),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    fn refused(seconds: Option<u64>) -> Response {
        let answer = http::Response::builder().status(429);
        let answer = match seconds {
            Some(seconds) => answer.header("retry-after", seconds),
            None => answer,
        };
        Response::from(answer.body("no more calls").expect("an answer"))
    }

    fn quiet() -> Progress {
        Progress::new(Output { json: false, quiet: true })
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_takes_a_call_is_given_up() {
        for seconds in [None, Some(0), Some(60), Some(3600)] {
            let (pause, progress, begin) = (Pause::default(), quiet(), Instant::now());
            let failure = loop {
                match pause.until(refused(seconds)).await {
                    Ok(()) => pause.over(&progress).await,
                    Err(failure) => break failure,
                }
                assert!(begin.elapsed() <= LONGEST, "{seconds:?}");
            };
            assert!(begin.elapsed() >= Duration::from_secs(3600), "{seconds:?}: {:?}", begin.elapsed());
            assert!(failure.is(429) && failure.to_string().contains("no more calls"), "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_answered_now_and_then_waits_for_as_long_as_it_takes() {
        let (pause, progress) = (Pause::default(), quiet());
        for _ in 0..24 {
            // The others that waited for the hour to end were faster.
            for seconds in [3600, 1, 60] {
                pause.until(refused(Some(seconds))).await.expect("a window of the original");
                pause.over(&progress).await;
            }
            pause.answered();
        }
    }
}

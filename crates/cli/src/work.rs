//! Many things done a few at a time: each is told when it is done, and one that fails does not keep the others back.

use futures_util::StreamExt as _;
use serde_json::value::RawValue;

use crate::failure::{Failure, Status};
use crate::output::{BAD, Output, shown};
use crate::progress::Progress;

/// What became of one thing.
#[derive(Default)]
pub struct Worked {
    pub said: String,
    /// What the server has now, for `--json`.
    pub json: Option<Box<RawValue>>,
}

impl Worked {
    pub fn said(said: String) -> Worked {
        Worked { said, json: None }
    }
}

/// What became of all.
#[derive(Default)]
pub struct Done {
    pub json: Vec<Box<RawValue>>,
    pub worked: usize,
    pub failed: usize,
    /// Why the rest was not begun.
    pub stopped: Option<Failure>,
}

impl Done {
    /// The exit status, with what was collected for `--json` printed.
    pub fn finish(self, output: Output) -> Result<Status, Failure> {
        if output.json {
            output.json(&self.json)?;
        }
        match self.stopped {
            Some(failure) => Err(failure),
            None if self.failed > 0 => Ok(Status::Refused),
            None => Ok(Status::Done),
        }
    }
}

/// Does `work` for all of `things`, `jobs` of them at a time; they are told of in their order. When the server is away or takes no calls, what was not begun is left.
///
/// # Errors
/// When nothing can be said any more; what fails is counted.
pub async fn each<T>(
    progress: &Progress,
    jobs: usize,
    things: &[T],
    name: impl Fn(&T) -> String,
    work: impl AsyncFn(&T) -> Result<Worked, Failure>,
) -> Result<Done, Failure> {
    let mut done = Done::default();
    let all = futures_util::stream::iter(things).map(async |thing| (thing, work(thing).await));
    let mut all = std::pin::pin!(all.buffered(jobs));
    while let Some((thing, worked)) = all.next().await {
        progress.one_done();
        match worked {
            Ok(worked) => {
                done.worked += 1;
                progress.said(&worked.said)?;
                done.json.extend(worked.json);
            }
            Err(failure) if takes_no_more(&failure) => {
                done.stopped = Some(failure);
                break;
            }
            Err(failure) => {
                done.failed += 1;
                progress.warn(&failed(&name(thing), &failure));
            }
        }
    }
    Ok(done)
}

/// Whether what was not begun would fail in the same way: nobody answers, or no call is taken however long one waits.
fn takes_no_more(failure: &Failure) -> bool {
    matches!(failure, Failure::Unreachable(_) | Failure::Status(_)) || failure.is(429)
}

/// A name, and what went wrong with what has it.
pub fn failed(name: &str, failure: &Failure) -> String {
    format!("{BAD}{}{BAD:#}: {failure}", shown(name))
}

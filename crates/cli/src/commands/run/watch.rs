//! Actions that are followed together, to their ends or until somebody has waited enough: what is known of each then is
//! told, and how to go on.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::value::RawValue;

use super::screen::{Nowhere, Screen};
use super::{How, save};
use crate::client::live::Ended;
use crate::client::machines::Action;
use crate::client::{Client, Entity};
use crate::failure::{Failure, Status};
use crate::output::{BAD, GOOD, Output, shown};
use crate::work::failed;

pub struct Watch<'a> {
    output: Output,
    client: &'a Client,
    prefix: bool,
    /// Each machine's folder for results.
    folders: Option<Vec<PathBuf>>,
    names: Vec<String>,
    rows: RefCell<Vec<Row>>,
}

/// What is known of a machine's action.
#[derive(Default)]
struct Row {
    action: Option<Action>,
    raw: Option<Box<RawValue>>,
    ended: bool,
}

/// What machines are called here: with the beginning of their ids where several have one name.
fn told_apart(machines: &[(String, String)]) -> Vec<String> {
    let name = |(name, id): &(String, String)| {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        match machines.iter().filter(same).count() {
            0 | 1 => name.clone(),
            _ => format!("{name} {}", id.chars().take(8).collect::<String>()),
        }
    };
    machines.iter().map(name).collect()
}

/// An action that may not be looked at, as far as its end tells how its commands are.
fn unseen(mut action: Action, ended: &Ended) -> Action {
    let status = if ended.succeeded() { "Completed" } else { "Failed" };
    for step in &mut action.commands {
        step.command_status = status.into();
    }
    action
}

impl<'a> Watch<'a> {
    /// Of machines, each by name and id.
    ///
    /// # Errors
    /// When there are results in their folders already.
    pub fn new(
        output: Output,
        client: &'a Client,
        how: &How,
        machines: &[(String, String)],
    ) -> Result<Watch<'a>, Failure> {
        let folders = how.out.as_ref().map(|out| {
            save::folders(machines).into_iter().map(|folder| out.join(folder)).collect::<Vec<_>>()
        });
        for folder in folders.iter().flatten() {
            let taken = match std::fs::read_dir(folder) {
                Ok(mut entries) => entries.next().is_some(),
                Err(e) => e.kind() != std::io::ErrorKind::NotFound,
            };
            if taken {
                let text = format!("`{}` is there already: results need a new folder", folder.display());
                return Err(Failure::Here(text));
            }
        }
        Ok(Watch {
            output,
            client,
            prefix: how.prefix || machines.len() > 1,
            folders,
            names: told_apart(machines),
            rows: RefCell::new(machines.iter().map(|_| Row::default()).collect()),
        })
    }

    /// Something for people, beside the scripts' output.
    pub fn note(&self, text: &str) {
        if !self.output.quiet && !self.output.json {
            // What cannot be said changes nothing about what is done.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// A machine has an action now.
    pub fn started(&self, place: usize, action: Entity<Action>) {
        if let Some(row) = self.rows.borrow_mut().get_mut(place) {
            *row = Row { action: Some(action.is), raw: Some(action.raw), ended: false };
        }
    }

    /// Does `work` for each machine, all at the same time, unless somebody has enough of it.
    ///
    /// # Errors
    /// When nothing can be said any more, or nobody answers.
    pub async fn all(
        &self,
        timeout: Option<Duration>,
        work: impl AsyncFn(usize) -> Result<bool, Failure>,
    ) -> Result<Status, Failure> {
        let waited = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = self.each(work) => status,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(|e| Failure::Here(format!("cannot wait for Ctrl-C: {e}")))?;
                self.left("interrupted");
                Ok(Status::Refused)
            }
            () = waited => {
                self.left("the time for waiting is over");
                Ok(Status::Refused)
            }
        }
    }

    async fn each(&self, work: impl AsyncFn(usize) -> Result<bool, Failure>) -> Result<Status, Failure> {
        let work = &work;
        let mut all: FuturesUnordered<_> =
            (0..self.names.len()).map(|place| async move { (place, work(place).await) }).collect();
        let (mut good, mut bad, mut away, mut lost) = (0, 0, None, false);
        while let Some((place, done)) = all.next().await {
            match done {
                Ok(true) => good += 1,
                Ok(false) => bad += 1,
                Err(failure @ Failure::Status(_)) => return Err(failure),
                Err(failure) if self.names.len() == 1 && !self.is_open(place) => return Err(failure),
                Err(failure) => {
                    self.client.progress.warn(&failed(&self.names[place], &failure));
                    lost |= self.is_open(place);
                    match failure {
                        Failure::Unreachable(_) => away = Some(Status::Unreachable),
                        _ => bad += 1,
                    }
                }
            }
        }
        if lost {
            self.left("not all could be followed to their ends");
        }
        Ok(match away {
            Some(status) if good + bad == 0 => status,
            None if bad == 0 => Status::Done,
            _ => Status::Refused,
        })
    }

    fn is_open(&self, place: usize) -> bool {
        self.rows.borrow().get(place).is_some_and(|row| row.action.is_some() && !row.ended)
    }

    /// Follows a machine's action to its end, and keeps what came of it; whether all went well.
    ///
    /// # Errors
    /// When the server refuses or stays away, or something cannot be written.
    pub async fn follow(&self, place: usize) -> Result<bool, Failure> {
        let name = &self.names[place];
        let Some(action) = self.rows.borrow().get(place).and_then(|row| row.action.clone()) else {
            return Ok(false);
        };
        self.note(&format!("{}: action {} {}", shown(name), shown(&action.id), shown(&action.status)));
        let crowd = self.names.len();
        let ended = if self.output.json {
            self.client.follow(&action, crowd, &mut Nowhere).await?
        } else {
            let mut screen = Screen::new(self.prefix.then_some(name));
            let ended = self.client.follow(&action, crowd, &mut screen).await;
            screen.finish()?;
            ended?
        };
        self.end(place, &ended);
        if let Some(folder) = self.folders.as_ref().and_then(|folders| folders.get(place)) {
            let action = ended.action.clone().unwrap_or_else(|| unseen(action, &ended));
            let saved = save::save(self.client, &action, folder).await?;
            for path in saved {
                self.note(&format!("{}: {}", shown(name), shown(&path.display().to_string())));
            }
        }
        Ok(ended.succeeded())
    }

    fn end(&self, place: usize, ended: &Ended) {
        let name = shown(&self.names[place]);
        if ended.succeeded() {
            self.note(&format!("{name}: {GOOD}{}{GOOD:#}", ended.status));
        } else {
            let why = if ended.errors.is_empty() { String::new() } else { format!(": {}", ended.errors) };
            let text = format!("{}{why}", ended.status).replace('\n', " ");
            let text = shown(&text);
            self.client.progress.warn(&format!("{name}: {BAD}{text}{BAD:#}"));
        }
        if let Some(row) = self.rows.borrow_mut().get_mut(place) {
            row.ended = true;
            row.action = ended.action.clone().or(row.action.take());
            row.raw = ended.raw.clone().or(row.raw.take());
        }
    }

    /// Says what goes on without this program.
    fn left(&self, why: &str) {
        let rows = self.rows.borrow();
        let open: Vec<&str> = rows
            .iter()
            .filter(|row| !row.ended)
            .filter_map(|row| Some(row.action.as_ref()?.id.as_str()))
            .collect();
        let missing = rows.iter().filter(|row| row.action.is_none()).count();
        let mut text = why.to_owned();
        if !open.is_empty() {
            let ids = shown(&open.join(" ")).into_owned();
            let (go, it) =
                if open.len() == 1 { ("the action goes on", "it") } else { ("the actions go on", "them") };
            let first = shown(open[0]);
            text += &format!(
                ": {go}\n  to see {it}: jumpbag actions follow {first}\n  to end {it}: jumpbag actions cancel {ids}"
            );
        }
        if missing > 0 {
            text += &format!("\n  {missing} of {} machines were not asked, or have not answered", rows.len());
        }
        self.output.warn(text);
    }

    /// The actions as they are known, for people.
    ///
    /// # Errors
    /// When they cannot be printed.
    pub fn table(&self) -> Result<(), Failure> {
        if self.output.json {
            return Ok(());
        }
        let rows = self.rows.borrow();
        let known = self.names.iter().zip(rows.iter()).filter_map(|(name, row)| {
            let action = row.action.as_ref()?;
            Some([name.clone(), action.id.clone(), action.status.clone()])
        });
        let known: Vec<_> = known.collect();
        let Some([_, id, _]) = known.first().cloned() else { return Ok(()) };
        self.output.table(["machine", "action", "status"], known)?;
        self.output.said(format!("to see what comes of it: jumpbag actions follow {}", shown(&id)))
    }

    /// The same for programs, as the server sent them.
    ///
    /// # Errors
    /// When they cannot be printed.
    pub fn json(&self) -> Result<(), Failure> {
        if !self.output.json {
            return Ok(());
        }
        self.output.json(&self.rows.borrow().iter().filter_map(|row| row.raw.as_ref()).collect::<Vec<_>>())
    }
}

//! A plan carried out: what is new and changed first, deletes last and only when all else worked. Each change is made
//! only where the file is still as the plan saw it, on servers that know conditions.

use std::io::{Read as _, Seek as _, SeekFrom};

use tokio::sync::Mutex;

use super::{Rules, show};
use crate::client::{Client, Entity, Entry, Fields, Sent, Source};
use crate::failure::{Failure, Status};
use crate::output::{CHANGED, GOOD, Output, shown};
use crate::sync::{Lock, Plan, Step, Wanted, What};
use crate::work::{Done, Worked, each};

pub struct Apply {
    pub client: Client,
    pub plan: Plan,
    /// None: nothing is remembered, nothing is known of before.
    pub lock: Option<Lock>,
    pub rules: Rules,
    /// How many files the library has.
    pub all: usize,
    pub jobs: usize,
}

impl Apply {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// When too much would be deleted, or the server stays away.
    pub async fn run(mut self, output: Output, only_show: bool, diff: bool) -> Result<Status, Failure> {
        self.rules.check(self.plan.count(What::Delete), self.all)?;
        self.say_what_is_not_kept();
        if only_show {
            show::plan(output, &self.client, &self.plan, diff).await?;
            return Ok(match self.plan.changes().next() {
                Some(_) => Status::UsageOrChanges,
                None => Status::Done,
            });
        }
        if diff && !output.json {
            show::plan(output, &self.client, &self.plan, diff).await?;
        }
        let done = self.carry_out(output).await;
        self.client.progress.finish();
        let mut done = done?;
        let conflicts = self.plan.count(What::Conflict);
        if !output.json {
            for step in self.plan.0.iter().filter(|step| step.what == What::Conflict) {
                let why = step.why.as_deref().unwrap_or_default();
                output.warn(format!("{}: left as it is: {}", shown(&step.name), shown(why)));
            }
        }
        done.failed += conflicts;
        output.said(summary(&self.plan, &done))?;
        done.finish(output)
    }

    async fn carry_out(&mut self, output: Output) -> Result<Done, Failure> {
        let lock = Mutex::new(self.lock.take());
        self.remember_what_is_alike(&mut *lock.lock().await);
        let changes: Vec<&Step> = self
            .plan
            .0
            .iter()
            .filter(|step| matches!(step.what, What::Add | What::Override | What::Edit))
            .collect();
        let deletes: Vec<&Step> = self.plan.0.iter().filter(|step| step.what == What::Delete).collect();
        self.client.progress.start((changes.len() + deletes.len()) as u64, "done");
        let client = &self.client;
        let name = |step: &&Step| step.name.clone();
        let change = async |step: &&Step| change(output, client, step, &lock).await;
        let mut done = each(&client.progress, self.jobs, &changes, name, change).await?;
        if done.failed == 0 && done.stopped.is_none() {
            let delete = async |step: &&Step| delete(client, step, &lock).await;
            let deleted = each(&client.progress, self.jobs, &deletes, name, delete).await?;
            (done.failed, done.stopped) = (deleted.failed, deleted.stopped);
            done.worked += deleted.worked;
        } else if !deletes.is_empty() {
            client.progress.warn("nothing was deleted, because not everything before it worked");
        }
        if let Some(lock) = &*lock.lock().await {
            lock.write()?;
        }
        Ok(done)
    }

    /// What is alike now need not have become so by this program.
    fn remember_what_is_alike(&self, lock: &mut Option<Lock>) {
        let Some(lock) = lock else { return };
        for step in self.plan.0.iter().filter(|step| step.what == What::Unchanged) {
            step.entry.iter().for_each(|entry| lock.agree(entry));
        }
    }

    fn say_what_is_not_kept(&self) {
        let original =
            self.plan.0.iter().filter_map(|step| step.entry.as_ref()).any(|entry| !entry.is_versioned());
        let more = |step: &Step| {
            step.wanted.as_ref().is_some_and(|wanted| wanted.fields.is_more_than_the_originals())
        };
        if original && self.plan.0.iter().any(more) {
            self.client.say_what_is_not_kept();
        }
    }
}

async fn change(
    output: Output,
    client: &Client,
    step: &Step,
    lock: &Mutex<Option<Lock>>,
) -> Result<Worked, Failure> {
    let Some(wanted) = &step.wanted else { return Ok(Worked::default()) };
    let name = shown(&step.name);
    let tag = step.entry.as_ref().and_then(Entry::tag);
    let versioned = step.entry.as_ref().is_some_and(Entry::is_versioned);
    let (Entity { raw, is: entry }, style, verb) = if step.what == What::Edit && versioned {
        (client.patch(&step.name, &wanted.fields.patch(), tag.as_deref()).await?, CHANGED, "edited")
    } else {
        let (fields, verb, style) = match &step.entry {
            // An override forgets what it does not say.
            Some(entry) => {
                let verb = if step.what == What::Edit { "edited" } else { "overridden" };
                (wanted.fields.clone().or_kept(entry), verb, CHANGED)
            }
            None => (wanted.fields.clone(), "added", GOOD),
        };
        (upload(client, step, wanted, &fields, tag.as_deref()).await?, style, verb)
    };
    if let Some(lock) = &mut *lock.lock().await {
        lock.agree(&entry);
        lock.write_in_passing()?;
    }
    if output.json {
        return Ok(Worked { json: Some(raw), ..Worked::default() });
    }
    Ok(Worked::said(format!("{style}{verb:10}{style:#}  {name}")))
}

async fn upload(
    client: &Client,
    step: &Step,
    wanted: &Wanted,
    fields: &Fields,
    tag: Option<&str>,
) -> Result<Entity<Entry>, Failure> {
    let bar = client.progress.file(&wanted.name, wanted.size);
    let sent = Sent {
        name: &wanted.name,
        source: &wanted.source,
        sha256: &wanted.sha256,
        size: wanted.size,
        fields,
        // A name that was free when the plan was made must still be free.
        override_existing: step.entry.is_some(),
        if_match: tag,
    };
    client.upload(&sent, &bar).await
}

async fn delete(client: &Client, step: &Step, lock: &Mutex<Option<Lock>>) -> Result<Worked, Failure> {
    let tag = step.entry.as_ref().and_then(Entry::tag);
    client.delete(&step.name, tag.as_deref()).await?;
    if let Some(lock) = &mut *lock.lock().await {
        lock.forget(&step.name);
        lock.write_in_passing()?;
    }
    Ok(Worked::said(format!("{CHANGED}{:10}{CHANGED:#}  {}", "deleted", shown(&step.name))))
}

fn summary(plan: &Plan, done: &Done) -> String {
    let changes = plan.changes().count();
    let failed = if done.failed > 0 { format!(", {} not done", done.failed) } else { String::new() };
    let rest = if done.stopped.is_some() { ", the rest not begun" } else { "" };
    match changes {
        0 => format!("nothing to do: {} files are alike", plan.count(What::Unchanged)),
        _ => format!(
            "{} of {changes} changes done, {} unchanged{failed}{rest}",
            done.worked,
            plan.count(What::Unchanged)
        ),
    }
}

/// The bytes of a file that is wanted.
///
/// # Errors
/// When they cannot be read.
pub fn bytes(wanted: &Wanted) -> Result<Vec<u8>, Failure> {
    match &wanted.source {
        Source::Memory(bytes) => Ok(bytes.to_vec()),
        Source::File(path) => std::fs::read(path).map_err(|e| Failure::file("read", path, &e)),
        Source::Piece(path, begin) => {
            let read = || {
                let mut file = std::fs::File::open(path)?;
                file.seek(SeekFrom::Start(*begin))?;
                let mut bytes = Vec::new();
                file.take(wanted.size).read_to_end(&mut bytes).map(|_| bytes)
            };
            read().map_err(|e| Failure::file("read", path, &e))
        }
    }
}

//! `run`: machines are asked to do something, each by an action of its own. One that refuses does not keep the others back.

mod args;
pub mod save;
pub mod screen;
pub mod watch;

use std::path::PathBuf;
use std::time::Duration;

use super::Context;
use super::machines::tagged;
use crate::client::Client;
use crate::client::machines::{Command, GET_FILE, PUT_FILE, RUN_SCRIPT, Wanted};
use crate::failure::{Failure, Refusal, Status};
use crate::output::shown;
use crate::work::failed;
use watch::Watch;

const USAGE: &str = "jumpbag run [OPTIONS] <MACHINE> [SCRIPT] [-- <ARG>...]
       jumpbag run [OPTIONS] --machine <NAME>... [SCRIPT] [-- <ARG>...]
       jumpbag run [OPTIONS] --tag <TAG> [SCRIPT] [-- <ARG>...]";

const EXAMPLES: &str = "\
Without --machine and --tag the first word is the machine:
  jumpbag run web1 triage.sh --wait -- -v \"two words\"
  jumpbag run triage.sh -m web1 -m web2 --wait --out results -- -v
  jumpbag run triage.ps1 --tag dmz --comment 'case 4711'
  jumpbag run web1 --get /var/log/auth.log --out results

What follows `--` reaches the script argument by argument, as it is. The actions go on when this program ends.";

#[derive(clap::Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub struct Run {
    /// The machine's name or id, unless --machine or --tag says where; then the script, by its name in the library
    #[arg(value_names = ["MACHINE", "SCRIPT"], num_args = 0..=2)]
    names: Vec<String>,
    /// Arguments of the script
    #[arg(last = true, value_name = "ARG")]
    args: Vec<String>,
    /// A machine, by name or id; may be given again
    #[arg(long = "machine", short, value_name = "NAME")]
    machines: Vec<String>,
    /// All machines with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// A file of the library to put on the machine before; may be given again
    #[arg(long, value_name = "FILE")]
    put: Vec<String>,
    /// A file or folder to fetch from the machine afterwards; may be given again
    #[arg(long, value_name = "PATH")]
    get: Vec<String>,
    /// Why, for those who look at the actions
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

/// How the end is waited for.
#[derive(clap::Args, Clone)]
pub struct Waiting {
    /// Wait for the end and show what the scripts say: as it comes from jumpbag, at the end from the original
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub how: How,
}

#[derive(clap::Args, Clone)]
pub struct How {
    /// Put the machine's name before each line, as with several machines; implies --wait
    #[arg(long)]
    pub prefix: bool,
    /// Keep what came of it in a folder for each machine in this one: SCRIPT.stdout, SCRIPT.stderr, the files that were
    /// fetched; implies --wait
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Do not wait longer; implies --wait
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// A machine that is asked.
pub struct Target {
    pub name: String,
    pub id: String,
}

/// Machines that are asked at a time; more would only meet the server's limits.
const JOBS: usize = 4;

pub async fn run(context: &Context, mut run: Run) -> Result<Status, Failure> {
    let (machines, script) = run.split()?;
    let wanted = run.wanted(script.as_deref())?;
    let client = context.client()?;
    let (targets, refusals) = targets(&client, &machines, run.tag.as_deref()).await?;
    let how = run.waiting.how;
    let wait = run.waiting.wait || how.prefix || how.out.is_some() || how.timeout.is_some();
    let places: Vec<(String, String)> =
        targets.iter().map(|target| (target.name.clone(), target.id.clone())).collect();
    let watch = Watch::new(context.output, &client, &how, &places)?;
    if places.len() + refusals > 1 {
        watch.note(&format!("{} machines", places.len() + refusals));
    }
    let turns = tokio::sync::Semaphore::new(JOBS);
    let odd = run.args.iter().any(|arg| arg.contains(['"', '\'']));
    let work = async |place: usize| {
        let target = &targets[place];
        let action = {
            let _turn = turns.acquire().await;
            client.run(&target.id, &wanted).await?
        };
        if odd && action.is.commands.iter().all(|step| step.library_file.is_none()) {
            client.progress.warn(&format!(
                "{}: an argument holds a quote, and how Microsoft Defender for Endpoint reads that is documented nowhere",
                shown(&target.name)
            ));
        }
        watch.started(place, action);
        if wait { watch.follow(place).await } else { Ok(true) }
    };
    let timeout = how.timeout.map(Duration::from_secs);
    let status = watch.all(timeout, work).await;
    if !wait {
        watch.table()?;
    }
    watch.json()?;
    match status? {
        Status::Done if refusals > 0 => Ok(Status::Refused),
        other => Ok(other),
    }
}

impl Run {
    /// Where, and which script.
    fn split(&mut self) -> Result<(Vec<String>, Option<String>), Failure> {
        let mut names = std::mem::take(&mut self.names).into_iter();
        let mut machines = std::mem::take(&mut self.machines);
        if machines.is_empty() && self.tag.is_none() {
            machines.extend(names.next());
        }
        let (script, more) = (names.next(), names.next());
        if let Some(more) = more {
            return Err(Failure::Usage(format!(
                "with --machine or --tag there is one script and nothing else: what is `{more}`? Arguments follow `--`"
            )));
        }
        if machines.is_empty() && self.tag.is_none() {
            return Err(Failure::Usage(format!("which machine?\n\nUsage: {USAGE}")));
        }
        if script.is_none() && !self.args.is_empty() {
            return Err(Failure::Usage("there are arguments and no script".into()));
        }
        if script.is_none() && self.put.is_empty() && self.get.is_empty() {
            let text = format!("nothing to do: a script, `--put` or `--get` is needed\n\nUsage: {USAGE}");
            return Err(Failure::Usage(text));
        }
        Ok((machines, script))
    }

    fn wanted(&self, script: Option<&str>) -> Result<Wanted, Failure> {
        let mut commands: Vec<Command> =
            self.put.iter().map(|name| Command::new(PUT_FILE, "FileName", name)).collect();
        if let Some(script) = script {
            let command = Command::new(RUN_SCRIPT, "ScriptName", script);
            let args = args::joined(&self.args)?;
            commands.push(if args.is_empty() { command } else { command.with("Args", &args) });
        }
        commands.extend(self.get.iter().map(|path| Command::new(GET_FILE, "Path", path)));
        let comment = self.comment.clone().unwrap_or_else(|| {
            let what = script.or(commands.first().map(Command::about)).unwrap_or_default();
            let mark = uuid::Uuid::new_v4().simple().to_string();
            format!("jumpbag run {what} by {}, {}", who(), &mark[..8])
        });
        Ok(Wanted { comment, unique: self.comment.is_none(), commands })
    }
}

/// Who sits here, for those who read comments.
pub fn who() -> String {
    let of = |names: &[&str]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
    };
    let user = of(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "somebody".into());
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let host = of(&["COMPUTERNAME", "HOSTNAME"])
        .or_else(|| read("/proc/sys/kernel/hostname"))
        .or_else(|| read("/etc/hostname"));
    match host.as_deref().map(str::trim).filter(|host| !host.is_empty()) {
        Some(host) => format!("{user}@{host}"),
        None => user,
    }
}

/// The machines that are meant, each once, and how many names mean none.
async fn targets(
    client: &Client,
    names: &[String],
    tag: Option<&str>,
) -> Result<(Vec<Target>, usize), Failure> {
    let (mut targets, mut refusals): (Vec<Target>, usize) = (Vec::new(), 0);
    for name in names {
        match client.machine(name).await {
            Ok(machine) => {
                targets.push(Target { name: machine.is.name().to_owned(), id: machine.is.id });
            }
            // Who may run scripts may be one who must not look at machines.
            Err(failure) if failure.is(403) => targets.push(Target { name: name.clone(), id: name.clone() }),
            Err(failure @ Failure::Refused(_)) if names.len() > 1 || tag.is_some() => {
                client.progress.warn(&failed(name, &failure));
                refusals += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
    if let Some(tag) = tag {
        let machines = client.machines(Some(&tagged(tag))).await?;
        if machines.is_empty() {
            return Err(Failure::Refused(Refusal {
                status: 404,
                code: "ResourceNotFound".into(),
                message: format!("no machine has the tag `{tag}`"),
                target: None,
            }));
        }
        let tagged = |machine: crate::client::Entity<_>| -> Target {
            let machine: crate::client::machines::Machine = machine.is;
            Target { name: machine.name().to_owned(), id: machine.id }
        };
        targets.extend(machines.into_iter().map(tagged));
    }
    let mut seen = std::collections::HashSet::new();
    targets.retain(|target| seen.insert(target.id.to_lowercase()));
    Ok((targets, refusals))
}

//! `actions result`: what one command brought.

use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::client::live::{Show as _, Stream};
use crate::client::machines::{Action, GET_FILE, RUN_SCRIPT, Step};
use crate::commands::run::save::{fetched, last_part, plain};
use crate::commands::run::screen::Screen;
use crate::failure::{Failure, Status, output_or_disk};
use crate::folder::{beside, keep, write_whole};
use crate::output::{GOOD, Output, shown};

#[derive(clap::Args)]
pub struct Wanted {
    id: String,
    /// The command's index, when several have a result
    #[arg(long, value_name = "N")]
    command: Option<u32>,
    /// What the script wrote to standard output, or the file, goes into this file or folder; `-` is standard output
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

type Done = Result<Status, Failure>;

pub async fn run(output: Output, client: &Client, wanted: Wanted) -> Done {
    let action = client.action(&wanted.id).await?.is;
    let step = chosen(&action, wanted.command)?;
    let to = wanted.output.as_deref();
    match step.command.kind.as_str() {
        RUN_SCRIPT if output.json => json(client, &action, step, to).await,
        RUN_SCRIPT => script(output, client, &action, step, to).await,
        _ if output.json => {
            Err(Failure::Usage("a file that was fetched is no JSON: leave out `--json`".into()))
        }
        _ => file(output, client, &action, step, to).await,
    }
}

/// The command whose result is wanted.
fn chosen(action: &Action, index: Option<u32>) -> Result<&Step, Failure> {
    let has_result = |step: &&Step| [RUN_SCRIPT, GET_FILE].contains(&step.command.kind.as_str());
    let mut with: Vec<&Step> = action.commands.iter().filter(has_result).collect();
    if let Some(index) = index {
        with.retain(|step| step.index == index);
    }
    let list = || {
        let line = |step: &Step| {
            format!("\n  --command {}: {} {}", step.index, step.command.kind, step.command.about())
        };
        action.commands.iter().filter(has_result).map(line).collect::<String>()
    };
    match with[..] {
        [step] => Ok(step),
        [] if list().is_empty() => {
            Err(Failure::Usage("the action has no command that brings a result".into()))
        }
        [] => Err(Failure::Usage(format!("there is no such command with a result:{}", list()))),
        _ => Err(Failure::Usage(format!("several commands have a result:{}", list()))),
    }
}

/// The result as the server has it.
async fn json(client: &Client, action: &Action, step: &Step, to: Option<&Path>) -> Done {
    let result = client.script_result(&action.id, step.index).await?;
    match to.filter(|to| *to != Path::new("-")) {
        Some(path) => write_whole(path, |file| std::io::Write::write_all(file, &result.raw))?,
        None => {
            use std::io::Write as _;
            let mut stdout = std::io::stdout().lock();
            stdout
                .write_all(&result.raw)
                .and_then(|()| stdout.write_all(b"\n"))
                .map_err(crate::failure::output)?;
        }
    }
    Ok(Status::Done)
}

async fn script(output: Output, client: &Client, action: &Action, step: &Step, to: Option<&Path>) -> Done {
    if let Some(path) = to.filter(|to| *to != Path::new("-")) {
        let path = if path.is_dir() {
            path.join(format!("{}.stdout", plain(step.command.about(), "script")))
        } else {
            path.to_path_buf()
        };
        let mut file = beside(&path)?;
        client.output(&action.id, step.index, Stream::Out, file.as_file_mut()).await?;
        keep(file, &path)?;
        output.said(format!("{GOOD}{}{GOOD:#}", shown(&path.display().to_string())))?;
        return Ok(Status::Done);
    }
    let mut screen = Screen::new(None);
    let streams: &[Stream] = if to.is_some() { &[Stream::Out] } else { &[Stream::Out, Stream::Err] };
    for stream in streams {
        let mut file = tempfile::tempfile().map_err(output_or_disk)?;
        client.output(&action.id, step.index, *stream, &mut file).await?;
        file.seek(SeekFrom::Start(0)).map_err(output_or_disk)?;
        let mut piece = vec![0; 128 * 1024];
        loop {
            match std::io::Read::read(&mut file, &mut piece).map_err(output_or_disk)? {
                0 => break,
                read => screen.bytes(*stream, &piece[..read])?,
            }
        }
    }
    screen.finish()?;
    Ok(Status::Done)
}

async fn file(output: Output, client: &Client, action: &Action, step: &Step, to: Option<&Path>) -> Done {
    if to == Some(Path::new("-")) {
        let folder = tempfile::tempdir().map_err(output_or_disk)?;
        let place = |end: &str| folder.path().join(format!("file{end}"));
        let path = fetched(client, &action.id, step, place).await?;
        let mut file = std::fs::File::open(&path).map_err(|e| Failure::file("read", &path, &e))?;
        std::io::copy(&mut file, &mut std::io::stdout().lock()).map_err(crate::failure::output)?;
        return Ok(Status::Done);
    }
    let name = plain(last_part(step.command.about()), "file");
    let place = |end: &str| match to {
        Some(to) if to.is_dir() => to.join(format!("{name}{end}")),
        Some(to) => to.to_path_buf(),
        None => PathBuf::from(format!("{name}{end}")),
    };
    for path in ["", ".tar.gz", ".gz"].map(place) {
        if path.exists() {
            return Err(Failure::Here(format!("`{}` is here already: use `-o PATH`", path.display())));
        }
    }
    let path = fetched(client, &action.id, step, place).await?;
    output.said(format!("{GOOD}{}{GOOD:#}", shown(&path.display().to_string())))?;
    Ok(Status::Done)
}

//! Many files uploaded: by `jumpbag files upload`, by `curl` to the same server, and by rclone to one that speaks S3.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Bench, Samples, contestant, installed, write};
use crate::Result;
use crate::http::{Body, Connection, Content};
use crate::operator::{Operator, alone, timed};
use crate::peers::{self, Dialect, JUMPBAG, S3S, Syncs};
use crate::table::{Table, Unit};
use crate::work::{Contestant, Folder};

pub const UPLOAD: &str = "cli-upload";
/// The rows of the others.
pub const LOOP: &str = "curl, a process for each file";
pub const COPY: &str = "rclone copy, to s3s-fs";
const CURL: &str = "curl, one process, 8 at a time";

const SIZE: usize = 100_000;

pub fn run(bench: &Bench) -> Vec<Table> {
    let files = bench.scaled(200, 20);
    let table = Table::new(
        UPLOAD,
        format!("Uploads of {files} files of 100 KB"),
        Unit::Milliseconds,
        "The whole command to a server that is fresh and has just been started. `jumpbag files upload FOLDER` lists the \
         library, hashes the files, and sends 8 at a time. A shell loop starts `curl -F` for each file; one `curl --parallel` \
         has all of them in one command. Both send to jumpbag, with a token that was got before. `rclone copy --transfers 8` \
         sends to s3s-fs, which keeps files in a folder too, but syncs nothing; beside the upload it lists the bucket.",
    );
    let folder = folder(bench, files);
    let folder = &folder;
    let to_jumpbag = |name: &str, command: fn(&Operator, &Path) -> Result<Command>| Contestant {
        syncs: Some(Syncs::Yes),
        ..contestant(name, move || {
            let folder = folder.as_ref().map_err(Clone::clone)?.path();
            let operator = Operator::sign_in(bench, "cli-upload")?;
            let (seconds, _) = timed(command(&operator, folder)?)?;
            let dialect = peers::spoken(operator.address(), format!("{}\r\n", operator.bearer));
            complete(files, dialect.as_ref(), operator.address())?;
            Ok(vec![(0, seconds * 1000.0)])
        })
    };
    let rclone = move || {
        let folder = folder.as_ref().map_err(Clone::clone)?.path();
        copied(bench, folder, files)
    };
    let contestants = vec![
        to_jumpbag(JUMPBAG, own),
        to_jumpbag(LOOP, curl_loop),
        to_jumpbag(CURL, curl_parallel),
        Contestant { syncs: Some(Syncs::No), ..contestant(COPY, rclone) },
    ];
    bench.turns(bench.runs, vec![table], contestants)
}

fn folder(bench: &Bench, files: usize) -> Result<Folder> {
    let folder = bench.folder("files")?;
    let base = Content::base(SIZE);
    for number in 0..files {
        let bytes = [&(number as u128).to_be_bytes()[..], &base].concat();
        write(&folder.path().join(format!("file-{number:05}.bin")), &bytes)?;
    }
    Ok(folder)
}

fn own(operator: &Operator, folder: &Path) -> Result<Command> {
    let mut command = operator.jumpbag();
    command.args(["files", "upload"]).arg(folder);
    Ok(command)
}

fn curl_loop(operator: &Operator, folder: &Path) -> Result<Command> {
    installed("curl")?;
    let mut command = alone("sh", folder);
    let script =
        "for file in ./*; do curl -sSf -o /dev/null -H \"$1\" -F \"file=@$file\" \"$2\" || exit 1; done";
    command.args(["-c", script, "sh", &operator.bearer, &files_at(operator)]).current_dir(folder);
    Ok(command)
}

fn curl_parallel(operator: &Operator, folder: &Path) -> Result<Command> {
    installed("curl")?;
    let entries = std::fs::read_dir(folder).map_err(|e| format!("reading `{}`: {e}", folder.display()))?;
    let each = entries.flatten().map(|entry| {
        let (url, bearer) = (files_at(operator), &operator.bearer);
        let path = entry.path();
        let path = path.display();
        format!(
            "url = \"{url}\"\nheader = \"{bearer}\"\nform = \"file=@{path}\"\noutput = \"/dev/null\"\nfail\n"
        )
    });
    let config = operator.home().join("curl");
    write(&config, each.collect::<Vec<_>>().join("next\n").as_bytes())?;
    let mut command = alone("curl", folder);
    command.args(["-sS", "--parallel", "--parallel-max", "8", "--config"]).arg(config);
    Ok(command)
}

fn files_at(operator: &Operator) -> String {
    format!("{}/api/libraryfiles", operator.url())
}

fn copied(bench: &Bench, folder: &Path, files: usize) -> Result<Samples> {
    let program = installed("rclone")?;
    let Some(peer) = bench.peer(S3S) else {
        let missing = bench.missing.iter().find(|(name, _)| *name == S3S);
        return Err(
            missing.map_or_else(|| format!("{S3S} is not there"), |(name, why)| format!("{name}: {why}"))
        );
    };
    let running = bench.start(peer)?;
    let home = bench.folder("home")?;
    let mut command = alone(program, home.path());
    peers::rclone(&mut command, folder, running.server.address);
    let (seconds, _) = timed(command)?;
    complete(files, running.dialect.as_ref(), running.server.address)?;
    Ok(vec![(0, seconds * 1000.0)])
}

/// Whether a server lists as many files as were sent to it.
fn complete(files: usize, dialect: &dyn Dialect, address: SocketAddr) -> Result<()> {
    let body = Connection::open(address)?.send(&dialect.list(None), Body::Keep)?.success("a list")?.body;
    let rows = String::from_utf8_lossy(&body).matches(dialect.mark()).count();
    if rows == files { Ok(()) } else { Err(format!("{rows} of {files} files are there")) }
}

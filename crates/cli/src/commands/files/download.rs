//! `files download`: a file appears under its name whole and verified, or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::matching;
use crate::client::{Client, Entry};
use crate::failure::{self, Failure, Status};
use crate::folder::{beside, keep};
use crate::output::{GOOD, Output, shown, size};
use crate::transport;

#[derive(clap::Args)]
pub struct Download {
    /// Names, or patterns such as '*.ps1'
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// A version other than the current one, of one file
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Into this folder or file; `-` is standard output
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace files that are here
    #[arg(long = "override")]
    override_existing: bool,
}

pub async fn run(output: Output, client: &Client, download: Download) -> Result<Status, Failure> {
    let entries = matching(client, &download.names).await?;
    let to = download.output.as_deref();
    let standard = to == Some(Path::new("-"));
    if (standard || download.version.is_some()) && entries.len() != 1 {
        return Err(Failure::Usage("`-o -` and `--version` are for one file".into()));
    }
    for entry in &entries {
        if standard {
            fetch(client, entry, download.version, &mut std::io::stdout().lock()).await?;
            continue;
        }
        let path = place(to, &entry.file_name, entries.len())?;
        if path.exists() && !download.override_existing {
            let text = format!("`{}` is here already: `--override` replaces it", path.display());
            return Err(Failure::Here(text));
        }
        to_file(client, entry, download.version, &path).await?;
        output.said(format!("{GOOD}{}{GOOD:#}", shown(&path.display().to_string())))?;
    }
    Ok(Status::Done)
}

/// Downloads into a file beside its place, verifies it, and gives it its name.
///
/// # Errors
/// When the server refuses or breaks off, or the file cannot be written; nothing is left under the name then.
pub async fn to_file(
    client: &Client,
    entry: &Entry,
    version: Option<u64>,
    path: &Path,
) -> Result<(), Failure> {
    let mut file = beside(path)?;
    fetch(client, entry, version, file.as_file_mut()).await.map_err(|failure| match failure {
        Failure::Here(text) => Failure::Here(format!("`{}`: {text}", path.display())),
        other => other,
    })?;
    keep(file, path)
}

/// Writes the bytes of a file and compares them with what the server says they are; their SHA-256.
///
/// # Errors
/// When the server refuses or breaks off, or they cannot be written, or are not what they should be.
pub async fn fetch(
    client: &Client,
    entry: &Entry,
    version: Option<u64>,
    to: &mut impl Write,
) -> Result<String, Failure> {
    let mut answer = client.content(&entry.file_name, version).await?;
    // The digest of the version that came: somebody may have replaced the file since it was listed.
    let tag = answer
        .headers()
        .get("etag")
        .and_then(|tag| tag.to_str().ok())
        .map(|tag| tag.trim_matches('"').to_owned());
    let expected = tag.unwrap_or_else(|| entry.sha256.clone());
    let bar = client.progress.file(&entry.file_name, answer.content_length().unwrap_or_default());
    let (mut digest, mut count) = (Sha256::new(), 0);
    while let Some(piece) = transport::piece(&mut answer).await? {
        digest.update(&piece);
        to.write_all(&piece).map_err(failure::output_or_disk)?;
        count += piece.len() as u64;
        bar.moved(piece.len() as u64);
    }
    to.flush().map_err(failure::output_or_disk)?;
    let found = jumpbag_wire::hex::hex(&digest.finalize());
    if found != expected {
        let text = format!("what came ({}) has the SHA-256 {found} and not {expected}", size(count));
        return Err(Failure::Here(text));
    }
    Ok(found)
}

/// Whether a name from a library can be one here: it is no path.
pub fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|plain| plain == name) && !name.contains(['/', '\\', ':'])
}

/// Where a file goes. A name from a library is a name and never a path.
pub fn place(to: Option<&Path>, name: &str, files: usize) -> Result<PathBuf, Failure> {
    let file = if is_plain(name) {
        Ok(name)
    } else {
        Err(Failure::Here(format!("`{}` is no name that a file here may have: use `-o FILE`", shown(name))))
    };
    match to {
        None => Ok(PathBuf::from(file?)),
        Some(to) if to.is_dir() => Ok(to.join(file?)),
        Some(to) if files > 1 || to.to_string_lossy().ends_with(std::path::MAIN_SEPARATOR) => {
            std::fs::create_dir_all(to).map_err(|e| Failure::file("make", to, &e))?;
            Ok(to.join(file?))
        }
        Some(to) => Ok(to.to_path_buf()),
    }
}

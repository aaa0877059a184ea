//! How a command ends when it does not succeed, and the exit status that says so to scripts.

use std::fmt;
use std::process::ExitCode;

use crate::output::{shown, shown_lines};

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// The server said no.
    Refused(Refusal),
    /// It cannot be done as it was asked for, whatever the server says: another command line is needed.
    Usage(String),
    /// Something here stands in the way: a file, the disk, what was found in it.
    Here(String),
    /// No answer came: the server, the issuer of tokens or the way there is down.
    Unreachable(String),
    /// What was wanted has been said already; only the exit status is left to say.
    Status(Status),
}

/// What the server answered instead of doing it.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    /// The stable identifier of the API, or of OAuth 2.0 where the issuer refused.
    pub code: String,
    pub message: String,
    /// The request's id in the server's log.
    pub target: Option<String>,
}

/// Exit statuses; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Done = 0,
    /// The server refused, a script failed on a machine, or something here could not be read or written.
    Refused = 1,
    /// The command line is wrong; with `--plan`: there are changes.
    UsageOrChanges = 2,
    Unreachable = 3,
}

impl Failure {
    pub fn status(&self) -> Status {
        match self {
            Failure::Refused(_) | Failure::Here(_) => Status::Refused,
            Failure::Usage(_) => Status::UsageOrChanges,
            Failure::Unreachable(_) => Status::Unreachable,
            Failure::Status(status) => *status,
        }
    }

    /// Whether the server answered with this status.
    pub fn is(&self, status: u16) -> bool {
        matches!(self, Failure::Refused(refusal) if refusal.status == status)
    }

    /// A file or folder could not be used.
    pub fn file(verb: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
        Failure::Here(format!("cannot {verb} `{}`: {error}", path.display()))
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(status as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Much of it comes from elsewhere.
        match self {
            Failure::Refused(refusal) => f.write_str(&shown(&refusal.to_string())),
            Failure::Usage(text) | Failure::Here(text) | Failure::Unreachable(text) => {
                f.write_str(&shown_lines(text))
            }
            Failure::Status(_) => Ok(()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {}", self.message.trim_end_matches('.'), self.status, self.code)?;
        match &self.target {
            Some(target) => write!(f, ", request {target})"),
            None => f.write_str(")"),
        }
    }
}

/// For `std::io::Error`s of standard output: a reader that went away is not a failure worth words.
pub fn output(error: std::io::Error) -> Failure {
    unwritten("write to standard output", &error)
}

/// For `std::io::Error`s of whatever bytes are written to.
pub fn output_or_disk(error: std::io::Error) -> Failure {
    unwritten("write", &error)
}

fn unwritten(verb: &str, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Status(Status::Refused),
        _ => Failure::Here(format!("cannot {verb}: {error}")),
    }
}

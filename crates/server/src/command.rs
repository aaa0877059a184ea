//! The command line: what each subcommand takes and does.

mod audit;
mod backup;
mod check;
mod clients;
mod machines;
mod room;
mod serve;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jumpbag_wire::time::Timestamp;

use crate::access::keys;
use crate::app::Stores;
use crate::catalog::audit::Actor;
use crate::config::{Flags, Layers, Settings};
use crate::error::Error;

/// A live response library that speaks Microsoft Defender for Endpoint's API.
#[derive(Parser)]
#[command(name = "jumpbag-server", version, subcommand_required = false)]
pub struct Args {
    /// Settings file (TOML); also JUMPBAG_CONFIG
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port of the API
    #[arg(long, global = true, value_name = "ADDR")]
    listen: Option<String>,
    /// Folder for database and blobs
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// off, self-signed or files
    #[arg(long, global = true, value_name = "MODE")]
    tls: Option<String>,
    /// Any setting by its name, as in jumpbag.example.toml; may be given again
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the library (the default)
    Serve,
    /// App registrations: who may ask for tokens
    #[command(subcommand)]
    Clients(clients::Command),
    /// People who sign in with a name and a password
    #[command(subcommand)]
    Users(users::Command),
    /// The keys that sign tokens
    #[command(subcommand)]
    Keys(Keys),
    /// Tokens that machines enrol with
    #[command(subcommand)]
    Enroll(machines::Enroll),
    /// The machines that agents run on
    #[command(subcommand)]
    Machines(machines::Command),
    /// The log of all changes: verify it, export it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show the settings in force and where each came from; secrets are starred
    Config,
    /// Read every row and every blob, verify each SHA-256, report what does not fit
    Check {
        /// Remove blobs that no row names; best while the server is stopped
        #[arg(long)]
        repair: bool,
    },
    /// Copy the whole library into a new folder, while serving
    Backup {
        /// A folder that does not exist yet
        folder: PathBuf,
    },
    /// Fill an empty installation from a backup
    Restore {
        /// A folder made by `backup`
        folder: PathBuf,
    },
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Subcommand)]
enum Keys {
    /// Make a new signing key; tokens of the old one stay good until they expire
    Rotate,
}

/// Why a command ended without what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Settings(#[from] crate::config::Problems),
    #[error("{}", .0.chain())]
    Refused(#[from] Error),
    #[error("{0}")]
    Said(String),
    /// Everything was said already.
    #[error("")]
    Silent,
}

impl From<crate::catalog::CatalogError> for Failure {
    fn from(error: crate::catalog::CatalogError) -> Failure {
        Failure::Refused(error.into())
    }
}

impl From<crate::blobs::BlobError> for Failure {
    fn from(error: crate::blobs::BlobError) -> Failure {
        Failure::Refused(error.into())
    }
}

pub async fn run(args: Args) -> ExitCode {
    match dispatch(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            for line in text.lines() {
                eprintln!("jumpbag-server: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

impl Args {
    fn flags(&self) -> Result<Flags, Failure> {
        let mut settings = Vec::new();
        for pair in &self.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Failure::Said(format!(
                    "--set `{pair}`: expected KEY=VALUE, for example --set rate_limits=false"
                ))
            })?;
            settings.push((format!("--set {key}"), key.trim().to_owned(), value.to_owned()));
        }
        for (flag, key, value) in [
            ("--listen", "listen", &self.listen),
            ("--data-dir", "data_dir", &self.data_dir),
            ("--tls", "tls", &self.tls),
        ] {
            settings.extend(value.clone().map(|value| (flag.to_owned(), key.to_owned(), value)));
        }
        Ok(Flags { config: self.config.clone(), settings })
    }
}

async fn dispatch(args: Args) -> Result<(), Failure> {
    let layers = Layers::gather(&args.flags()?, std::env::vars());
    let command = args.command.unwrap_or(Command::Serve);
    match command {
        Command::Config => return config(&layers),
        Command::Openapi => return openapi(),
        // Whoever was handed an export needs no installation.
        Command::Audit(audit::Command::Verify { file: Some(file), keys, checkpoints }) => {
            return audit::verify_export(&file, &keys, &checkpoints);
        }
        _ => {}
    }
    let settings = layers.settings()?;
    match command {
        Command::Serve => serve::run(settings).await,
        Command::Enroll(command) => machines::enroll(&settings, command).await,
        Command::Machines(command) => machines::machines(&settings, command).await,
        Command::Clients(command) => clients::run(&settings, command).await,
        Command::Users(command) => users::run(&settings, command).await,
        Command::Keys(Keys::Rotate) => rotate(&settings).await,
        Command::Audit(command) => audit::run(&settings, command).await,
        Command::Check { repair } => check::run(&settings, repair).await,
        Command::Backup { folder } => backup::backup(&settings, &folder).await,
        Command::Restore { folder } => backup::restore(&settings, &folder).await,
        Command::Config | Command::Openapi => Ok(()),
    }
}

/// Shows what is in force even when something in it is wrong, then says what.
fn config(layers: &Layers) -> Result<(), Failure> {
    for (key, value, origin) in layers.describe() {
        println!("{key} = {value}  # {origin}");
    }
    layers.settings()?;
    Ok(())
}

fn openapi() -> Result<(), Failure> {
    let document = crate::http::openapi().to_pretty_json().map_err(|e| Failure::Said(e.to_string()))?;
    println!("{document}");
    Ok(())
}

async fn rotate(settings: &Settings) -> Result<(), Failure> {
    let stores = Stores::open_existing(settings).await?;
    let kid = keys::rotate(&stores.catalog, Actor::operator("keys rotate"), Timestamp::now()).await?;
    println!("new signing key: {kid}");
    Ok(())
}

//! The command line: what each subcommand takes and does.

mod actions;
mod audit;
mod bundle;
mod files;
mod login;
mod machines;
mod run;
mod shell;
mod sync;
mod whoami;

use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::profile::Session;

const EXIT: &str = "\
Exit status:
  0  done
  1  the server refused, a script failed, or something here could not be read or written
  2  wrong usage, or with `--plan` there are changes
  3  no answer from the server";

/// A live response library as code: jumpbag's, or that of Microsoft Defender for Endpoint.
#[derive(Parser)]
#[command(name = "jumpbag", version, after_help = EXIT, max_term_width = 110)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Everywhere")]
pub struct Options {
    /// Profile of `jumpbag login` to use instead of the one in use
    #[arg(long, global = true, value_name = "NAME", env = "JUMPBAG_PROFILE", hide_env_values = true)]
    profile: Option<String>,
    /// Print what the server sent as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing but results and failures
    #[arg(long, short, global = true)]
    quiet: bool,
}

/// For commands that send files.
#[derive(clap::Args, Clone, Copy)]
pub struct Jobs {
    /// How many files are sent at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
}

impl From<Jobs> for usize {
    fn from(jobs: Jobs) -> usize {
        jobs.jobs.into()
    }
}

#[derive(Subcommand)]
enum Command {
    /// Sign in, and keep how in a profile
    Login(Box<login::Login>),
    /// Forget a profile and its secret
    Logout,
    /// Who is signed in, where, with which permissions, until when
    Whoami,
    /// The files of the library
    #[command(subcommand)]
    Files(files::Command),
    /// Make the library like a folder, or a folder like the library
    Sync(sync::Sync),
    /// The library as one signed file, for sites that no network reaches
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// The log of all changes of a jumpbag server
    #[command(subcommand)]
    Audit(audit::Command),
    /// The machines
    #[command(subcommand)]
    Machines(machines::Command),
    /// Run a script of the library on machines, put files there, fetch files from there
    Run(Box<run::Run>),
    /// What machines were asked to do, and what came of it
    #[command(subcommand)]
    Actions(actions::Command),
    /// Print a script that completes commands in a shell
    Completions { shell: clap_complete::Shell },
    /// Write manual pages into a folder
    Man { folder: std::path::PathBuf },
}

impl Args {
    pub fn output(&self) -> Output {
        Output { json: self.options.json, quiet: self.options.quiet }
    }
}

/// What every command has at hand.
pub struct Context {
    pub output: Output,
    profile: Option<String>,
}

impl Context {
    pub fn session(&self) -> Result<Session, Failure> {
        Session::open(self.profile.as_deref())
    }

    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(self.session()?, self.output)
    }
}

/// # Errors
/// Whatever kept the command from being done.
pub async fn run(args: Args) -> Result<Status, Failure> {
    let output = args.output();
    let context = Context { output, profile: args.options.profile };
    match args.command {
        Command::Login(login) => login::login(&context, *login).await,
        Command::Logout => login::logout(&context),
        Command::Whoami => whoami::whoami(&context).await,
        Command::Files(command) => files::run(&context, command).await,
        Command::Sync(sync) => sync::run(&context, sync).await,
        Command::Bundle(command) => bundle::run(&context, command).await,
        Command::Audit(command) => audit::run(&context, command),
        Command::Machines(command) => machines::run(&context, command).await,
        Command::Run(run) => run::run(&context, *run).await,
        Command::Actions(command) => actions::run(&context, command).await,
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { folder } => shell::manual(output, &folder),
    }
}

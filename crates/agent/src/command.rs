//! The command line.

mod words;

use std::process::ExitCode;

use crate::agent::Agent;
use crate::enroll::{self, Pasted};
use crate::error::{Context, Result};
use crate::settings::Home;
use crate::{facts, service};
use words::{Asked, ServiceVerb};

/// Does what the command line says. 0: done; 1: it failed; 2: the command line is wrong.
pub fn main() -> ExitCode {
    let asked = match words::read(std::env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(error) => {
            say!("jumpbag-agent: {error}\n\n{}", words::USAGE);
            return ExitCode::from(2);
        }
    };
    #[cfg(unix)]
    if matches!(asked, Asked::Supervise) {
        return crate::run::supervise::supervise();
    }
    match perform(asked) {
        Ok(text) => {
            if !text.is_empty() {
                use std::io::Write as _;
                let _ = writeln!(std::io::stdout(), "{text}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            say!("jumpbag-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(asked: Asked) -> Result<String> {
    match asked {
        Asked::Help => Ok(words::USAGE.trim_end().to_owned()),
        Asked::Version => Ok(concat!("jumpbag-agent ", env!("CARGO_PKG_VERSION")).to_owned()),
        Asked::Facts => {
            serde_json::to_string_pretty(&facts::gather()).context(|| "cannot write the facts".into())
        }
        Asked::Enroll { home, pasted } => enrolled(&home, &pasted),
        Asked::Run { home } => run_agent(&home, asked_to_stop()).map(|()| String::new()),
        Asked::Service { verb: ServiceVerb::Install, home } => service::install(home.folder()),
        Asked::Service { verb: ServiceVerb::Uninstall, .. } => service::uninstall(),
        Asked::Service { verb: ServiceVerb::Status, .. } => service::status(),
        #[cfg(windows)]
        Asked::Service { verb: ServiceVerb::Serve, home } => service::serve(home).map(|()| String::new()),
        #[cfg(unix)]
        Asked::Supervise => Ok(String::new()),
    }
}

fn enrolled(home: &Home, pasted: &Pasted) -> Result<String> {
    let machine = runtime()?.block_on(enroll::enroll(home, pasted))?;
    Ok(format!(
        "This machine is enrolled at {} as {machine}.\n\
         Start the agent with `jumpbag-agent service install`, or `jumpbag-agent run` to see what it does.",
        pasted.url
    ))
}

/// Runs the agent until `stop` returns.
///
/// # Errors
/// When it cannot be started.
pub fn run_agent(home: &Home, stop: impl Future<Output = ()>) -> Result<()> {
    let runtime = runtime()?;
    let agent = {
        // Some of its parts are of the runtime.
        let _inside = runtime.enter();
        Agent::open(home)?
    };
    runtime.block_on(agent.run(stop));
    // A thread that reads a file for nobody is not waited for.
    runtime.shutdown_background();
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    runtime.context(|| "cannot start".into())
}

/// Returns when the system or a person wants the agent to stop.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut term), Ok(mut int)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            return;
        }
    }
    #[cfg(windows)]
    if tokio::signal::ctrl_c().await.is_ok() {
        return;
    }
    std::future::pending().await
}

//! The program: `jumpbag --help` says what it can do.

mod bundle;
mod client;
mod commands;
mod failure;
mod folder;
mod output;
mod profile;
mod progress;
mod sign_in;
mod sync;
mod transport;
mod work;

use std::process::ExitCode;

use clap::Parser as _;

use crate::failure::{Failure, Status};

fn main() -> ExitCode {
    let args = commands::Args::parse();
    let output = args.output();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            output.warn(format!("cannot start: {e}"));
            return Status::Refused.into();
        }
    };
    match runtime.block_on(commands::run(args)) {
        Ok(status) => status.into(),
        Err(failure) => {
            if !matches!(failure, Failure::Status(_)) {
                output.warn(failure.to_string());
            }
            failure.status().into()
        }
    }
}

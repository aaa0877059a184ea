//! The program: `jumpbag-server --help` says what it can do.

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = jumpbag_server::command::Args::parse();
    // One library does all cryptography; installed before anything can ask for it.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("jumpbag-server: another cryptographic provider is installed");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("jumpbag-server: cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(jumpbag_server::command::run(args))
}

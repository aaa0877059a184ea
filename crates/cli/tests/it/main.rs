//! Whole-program tests of the command line: the real program, against a real server and against a strict simulation of
//! the original.

mod agent;
mod bundles;
mod examples;
mod original;
mod original_selftest;
// Shared with the server's tests, which use all of it.
#[allow(dead_code)]
#[path = "../../../server/tests/it/support/process.rs"]
mod process;
mod program;
mod server;

mod actions;
mod documents;
mod files;
mod machines;
mod own_users;
mod real_provider;
mod run;
mod signing_in;
mod syncing;
mod trouble;

/// How long anything that should happen soon may take on a busy machine.
pub const SOON: std::time::Duration = std::time::Duration::from_secs(30);

/// Waits until something is so. Panics when it does not become so soon.
pub async fn until(so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(2));
        while !so() {
            ticks.tick().await;
        }
    });
    waited.await.expect("it becomes so soon");
}

//! What the integration tests stand on: they start real servers and talk to them over real sockets. A server that
//! is not installed fails the test and names `scripts/test`; nothing is skipped.

pub mod azurite;
pub mod browser;
pub mod client;
pub mod clients;
pub mod dice;
pub mod form;
pub mod kept;
pub mod oidc;
pub mod poll;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod receiver;
pub mod s3;
pub mod server;
pub mod shared;
pub mod snapshot;
pub mod stream;

use std::path::PathBuf;
use std::sync::Once;

/// How long anything that should happen soon may take on a busy machine.
pub const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// The root of the repository.
pub fn repository() -> PathBuf {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).expect("the crate lives two folders below the root").to_path_buf()
}

/// Where `scripts/test` installs the programs that the tests use.
pub fn tools() -> PathBuf {
    repository().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into())).join("test-tools")
}

/// Chooses the cryptographic library of this process, as the server's `main` does for its own.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody else may have installed one already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// A name that no other test, process or run has.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

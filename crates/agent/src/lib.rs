//! `jumpbag-agent`: runs live response commands on a machine. It dials out to its server and listens to nobody; what
//! the pinned key of its server has not signed for this machine it does not run, and what it started once it never
//! starts again.

/// Says something to whoever reads the agent's log.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::log::say(format_args!($($words)*))
    };
}

pub mod agent;
pub mod backoff;
pub mod clock;
pub mod command;
pub mod courier;
pub mod disk;
pub mod duty;
pub mod enroll;
pub mod error;
pub mod facts;
pub mod identity;
pub mod link;
pub mod log;
pub mod run;
pub mod service;
pub mod settings;
pub mod spool;
pub mod work;

/// How the agent names itself.
pub const USER_AGENT: &str = concat!("jumpbag-agent/", env!("CARGO_PKG_VERSION"));

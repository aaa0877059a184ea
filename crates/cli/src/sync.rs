//! A folder and a library made alike. What somebody else changed since they last were is never overwritten unless told.

pub mod lock;
pub mod plan;
pub mod text;

pub use lock::Lock;
pub use plan::{Plan, Step, Wanted, What};

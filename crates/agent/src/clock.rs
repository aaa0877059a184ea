//! The time as the server knows it: a machine's own clock may be off.

use std::sync::atomic::{AtomicI64, Ordering};

use jumpbag_wire::time::Timestamp;

/// The machine's clock, corrected by what the server last said.
#[derive(Debug, Default)]
pub struct Clock {
    /// Microseconds to add.
    off: AtomicI64,
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(Timestamp::now().micros().saturating_add(self.off.load(Ordering::Relaxed)))
    }

    /// Returns by how many seconds the machine's clock is behind.
    pub fn set(&self, server: Timestamp) -> i64 {
        let off = server.micros().saturating_sub(Timestamp::now().micros());
        self.off.store(off, Ordering::Relaxed);
        off / 1_000_000
    }
}

//! How long to wait before another attempt: at random within a time that doubles, so that machines that lost their
//! server at once do not come back at once.

use std::time::Duration;

pub struct Backoff {
    first: f64,
    most: f64,
    attempts: i32,
}

/// The least wait, however the dice fall.
const LEAST: f64 = 0.05;

impl Backoff {
    /// Seconds.
    pub fn new(first: f64, most: f64) -> Backoff {
        Backoff { first, most, attempts: 0 }
    }

    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        self.next_at(chance())
    }

    /// `chance` is between 0 and 1.
    fn next_at(&mut self, chance: f64) -> Duration {
        let within = (self.first * 2_f64.powi(self.attempts.min(30))).min(self.most);
        self.attempts = self.attempts.saturating_add(1);
        Duration::try_from_secs_f64((within * chance).max(LEAST)).unwrap_or(Duration::from_secs(60))
    }
}

fn chance() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new(1.0, 300.0);
        let waits: Vec<u64> = (0..11).map(|_| backoff.next_at(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        backoff.reset();
        assert_eq!(backoff.next_at(0.5), Duration::from_millis(500));
        assert_eq!(backoff.next_at(0.0), Duration::from_millis(50));
        assert!((0..100).all(|_| (0.0..=1.0).contains(&chance())));
    }
}

//! Choices at random that a seed repeats.

use proptest::test_runner::{RngAlgorithm, TestRng};

/// A seed for this run, said aloud; `TEST_SEED` repeats the choices of another run, not its timing.
pub fn seed() -> u64 {
    let seed = std::env::var("TEST_SEED").map_or_else(
        |_| uuid::Uuid::new_v4().as_u64_pair().0,
        |text| text.parse().expect("`TEST_SEED` is a number"),
    );
    eprintln!("TEST_SEED={seed}");
    seed
}

/// One of many streams of choices that a seed gives.
pub fn rng(seed: u64, stream: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&stream.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// How often a test kills: `TEST_KILLS`, or 20.
pub fn kills() -> u32 {
    std::env::var("TEST_KILLS").map_or(20, |text| text.parse().expect("`TEST_KILLS` is a number"))
}

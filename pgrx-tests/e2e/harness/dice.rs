//! Random numbers that can be repeated with the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64, by Sebastiano Vigna.
pub struct Dice {
    pub seed: u64,
    state: u64,
}

impl Dice {
    /// Creates a generator with the seed in `INVOICE_SYNC_SEED`, or with an arbitrary one. The seed is printed, so
    /// that it is in the output of a failed test.
    pub fn new() -> Self {
        let given = std::env::var("INVOICE_SYNC_SEED").ok();
        let seed = given.map_or_else(seed_from_clock, |seed| {
            seed.parse().expect("INVOICE_SYNC_SEED is a number")
        });
        println!("to have this again: INVOICE_SYNC_SEED={seed}");
        Self::of(seed)
    }

    /// With this seed.
    pub fn of(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("fits");
        usize::try_from(self.next() % limit).expect("it came from one")
    }

    /// Returns true once in `times` calls, on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn seed_from_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::from(since.subsec_nanos()))
}

//! Cuts a life that fails down to the fewest steps that still fail.

use std::time::{Duration, Instant};

use super::step::Step;

/// Leaves out as much as still fails, by halves down to single steps, for as long as there is
/// time. `fails` plays the steps in a shop of their own.
pub fn shrink(
    mut steps: Vec<Step>,
    time: Duration,
    mut fails: impl FnMut(&[Step]) -> bool,
) -> Vec<Step> {
    let until = Instant::now() + time;
    let mut size = (steps.len() / 2).max(1);
    loop {
        let mut from = 0;
        let before = steps.len();
        while from < steps.len() {
            if Instant::now() > until {
                return steps;
            }
            let mut fewer = steps.clone();
            fewer.drain(from..(from + size).min(steps.len()));
            if !fewer.is_empty() && fails(&fewer) {
                steps = fewer;
            } else {
                from += size;
            }
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if steps.len() == before {
            return steps;
        }
    }
}

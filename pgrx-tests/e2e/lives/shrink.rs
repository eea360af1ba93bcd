//! Cuts a life that fails down to the fewest steps that still fail.

use std::time::{Duration, Instant};

use super::script::BILLS;
use super::step::Step;

/// Leaves out as much as still fails, for as long as there is time: first all about an
/// invoice, and all rests but the last, then halves down to single steps. `fails` plays
/// the steps in a shop of their own.
pub fn shrink(
    mut steps: Vec<Step>,
    time: Duration,
    mut fails: impl FnMut(&[Step]) -> bool,
) -> Vec<Step> {
    let until = Instant::now() + time;
    let mut try_without = |steps: &mut Vec<Step>, leaves: &dyn Fn(usize, &Step) -> bool| {
        let numbered = steps.iter().enumerate();
        let kept = numbered.filter(|(at, step)| !leaves(*at, step));
        let fewer: Vec<Step> = kept.map(|(_, step)| step.clone()).collect();
        let is_worth_it = !fewer.is_empty() && fewer.len() < steps.len();
        if is_worth_it && Instant::now() < until && fails(&fewer) {
            *steps = fewer;
            return true;
        }
        false
    };
    for bill in 0..BILLS {
        let of_it: Vec<usize> = steps
            .iter()
            .filter(|step| step.bills().contains(&bill))
            .filter_map(Step::begins)
            .collect();
        try_without(&mut steps, &|_, step| {
            step.bills().contains(&bill) || step.sales().iter().any(|sale| of_it.contains(sale))
        });
    }
    let last = steps.len().saturating_sub(1);
    try_without(&mut steps, &|at, step| at < last && *step == Step::Rest);
    let mut size = (steps.len() / 2).max(1);
    loop {
        let (before, mut from) = (steps.len(), 0);
        while from < steps.len() {
            if Instant::now() > until {
                return steps;
            }
            if !try_without(&mut steps, &|at, _| (from..from + size).contains(&at)) {
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

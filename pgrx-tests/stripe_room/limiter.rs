//! Places in the line, by a clock of the test's own.

use std::time::{Duration, Instant};

use super::super::limiter::Limiter;

/// Waits in milliseconds for so many requests at once.
fn waits(limiter: &Limiter, now: Instant, requests: usize) -> Vec<u128> {
    (0..requests)
        .map(|_| limiter.reserve_at(now).as_micros().div_ceil(10) / 100)
        .collect()
}

#[test]
fn a_burst_of_one_seconds_worth_goes_through_and_the_rest_is_spaced() {
    let start = Instant::now();
    let limiter = Limiter::starting_at(10, start);

    assert_eq!(waits(&limiter, start, 10), [0; 10]);
    assert_eq!(waits(&limiter, start, 3), [100, 200, 300]);
}

#[test]
fn who_waited_in_line_keeps_to_the_rate() {
    let start = Instant::now();
    let limiter = Limiter::starting_at(25, start);
    let mut now = start;
    let mut sent = 0;

    while now < start + Duration::from_secs(10) {
        now += limiter.reserve_at(now);
        sent += 1;
    }

    assert!(
        (274..=276).contains(&sent),
        "a burst of 25 and 25 in each of 10 seconds, not {sent}"
    );
}

#[test]
fn an_idle_hour_saves_up_no_more_than_one_second() {
    let start = Instant::now();
    let limiter = Limiter::starting_at(4, start);
    waits(&limiter, start, 4);

    let later = start + Duration::from_secs(3600);

    assert_eq!(waits(&limiter, later, 5), [0, 0, 0, 0, 250]);
}

#[test]
fn a_clock_reading_that_was_overtaken_gains_nothing() {
    let start = Instant::now();
    let limiter = Limiter::starting_at(1, start);
    let later = start + Duration::from_secs(1);
    assert_eq!(waits(&limiter, later, 1), [0]);

    assert_eq!(waits(&limiter, start, 1), [1000]);
    assert_eq!(waits(&limiter, later, 1), [2000]);
}

#[test]
fn a_rate_of_none_is_one() {
    let start = Instant::now();
    let limiter = Limiter::starting_at(0, start);

    assert_eq!(waits(&limiter, start, 2), [0, 1000]);
}

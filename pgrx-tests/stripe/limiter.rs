//! The rate limiter, with a clock that the tests set.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::super::limiter::{Limiter, Limits, rate_limit_key};
use crate::pg::{SharedNumber, monotonic_nanoseconds};
use crate::settings::Secret;

const SECOND: u64 = 1_000_000_000;

/// An arbitrary time, in nanoseconds.
const START: u64 = 77 * SECOND;

/// Returns the waits of this many requests at the same time, in milliseconds.
fn waits(limiter: &Limiter, now: u64, requests: usize) -> Vec<u128> {
    (0..requests)
        .map(|_| limiter.reserve_at(now).as_micros().div_ceil(10) / 100)
        .collect()
}

#[test]
fn a_quarter_of_the_rate_passes_at_once_and_the_rest_is_spaced() {
    let limiter = Limiter::new(20, None);

    assert_eq!(waits(&limiter, START, 5), [0; 5]);
    assert_eq!(waits(&limiter, START, 3), [50, 100, 150]);
}

/// Returns when each of this many requests is sent if each starts as soon as allowed.
fn sent(limiter: &Limiter, requests: usize) -> Vec<u64> {
    let mut now = START;
    let send = |_| {
        now += nanoseconds(limiter.reserve_at(now));
        now
    };
    (0..requests).map(send).collect()
}

#[test]
fn no_second_has_more_requests_than_stripe_allows() {
    for (rate, allowed) in [(80, 100), (20, 25)] {
        let sent = sent(&Limiter::new(rate, None), 1_000);
        for (first, at) in sent.iter().enumerate() {
            let until = sent.partition_point(|other| *other < at + SECOND);
            assert!(until - first <= allowed, "{rate}: {}", until - first);
        }
    }
}

#[test]
fn waiting_requests_keep_to_the_rate() {
    let limiter = Limiter::new(25, None);
    let mut now = START;
    let mut sent = 0;

    while now < START + 10 * SECOND {
        now += nanoseconds(limiter.reserve_at(now));
        sent += 1;
    }

    assert!(
        (255..=257).contains(&sent),
        "a burst of 6 and 25 in each of 10 seconds, not {sent}"
    );
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().expect("a short wait")
}

#[test]
fn an_idle_hour_allows_no_more_than_a_burst() {
    let limiter = Limiter::new(8, None);
    waits(&limiter, START, 4);

    assert_eq!(waits(&limiter, START + 3600 * SECOND, 3), [0, 0, 125]);
}

#[test]
fn an_older_clock_reading_gains_nothing() {
    let limiter = Limiter::new(1, None);
    let later = START + SECOND;
    assert_eq!(waits(&limiter, later, 1), [0]);

    assert_eq!(
        waits(&limiter, START, 1),
        [2000],
        "a second after the first"
    );
    assert_eq!(waits(&limiter, later, 1), [2000], "and another");
}

#[test]
fn a_rate_of_zero_counts_as_one() {
    let limiter = Limiter::new(0, None);

    assert_eq!(waits(&limiter, START, 2), [0, 1000]);
}

#[test]
fn clones_and_limiters_with_one_number_share_the_limit() {
    static NUMBER: AtomicU64 = AtomicU64::new(START);
    let alone = Limiter::new(2, None);
    let clone = alone.clone();
    let (one, other) = (
        Limiter::new(2, Some(SharedNumber::of(&NUMBER))),
        Limiter::new(4, Some(SharedNumber::of(&NUMBER))),
    );

    assert_eq!(waits(&alone, START, 1), [0]);
    assert_eq!(waits(&clone, START, 1), [500]);
    assert_eq!(waits(&one, START, 2), [0, 500]);
    assert_eq!(waits(&other, START, 1), [1000], "the same line");
}

#[test]
fn a_new_number_begins_without_a_burst() {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let before = monotonic_nanoseconds();
    let limiter = Limiter::new(8, Some(SharedNumber::of(&NUMBER)));
    let began = limiter.reserve_at(before);

    for request in 1..=4 {
        let wait = limiter.reserve_at(before);
        assert_eq!(wait - began, request * Duration::from_millis(125));
    }
    Limiter::new(8, Some(SharedNumber::of(&NUMBER)));
    assert_eq!(
        limiter.reserve_at(before) - began,
        Duration::from_millis(625),
        "a further limiter changes nothing"
    );
}

#[test]
fn concurrent_threads_get_separate_reservations() {
    let limiter = Limiter::new(1_000, None);
    let mut waits: Vec<Duration> = std::thread::scope(|threads| {
        let limiter = &limiter;
        let counting = move || {
            (0..1_000)
                .map(|_| limiter.reserve_at(START))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| threads.spawn(counting)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it counts"))
            .collect()
    });
    waits.sort();

    assert_eq!(waits[249], Duration::ZERO);
    let spaced: Vec<Duration> = (1..=3_750).map(Duration::from_millis).collect();
    assert!(waits[250..] == spaced, "each a millisecond after another");
}

#[test]
fn each_account_and_key_has_its_own_limit() {
    let key = |text| Secret::for_tests(text);
    let base = "https://api.stripe.com";
    let keys = [
        rate_limit_key(base, &key("sk_test_1"), None, ""),
        rate_limit_key(base, &key("sk_live_1"), None, ""),
        rate_limit_key(base, &key("sk_test_1"), Some("acct_1"), ""),
        rate_limit_key("http://127.0.0.1:1", &key("sk_test_1"), None, ""),
        rate_limit_key(base, &key("sk_test_1"), None, "/v1/events"),
        rate_limit_key(base, &key("sk_test_1"), None, "/v1/charges"),
    ];
    for (n, line) in keys.iter().enumerate() {
        assert!(!keys[..n].contains(line), "{keys:?}");
    }
    assert_eq!(keys[0], rate_limit_key(base, &key("sk_test_1"), None, ""));
}

/// Returns the limits without other sessions.
fn limits(per_second: u32) -> Limits {
    Limits::new(per_second, Limits::parts(per_second).map(|_| None))
}

/// Returns when each of this many requests for these paths, in turn, is sent by one thread after another.
fn sent_to(limits: &Limits, paths: &[&str], requests: usize) -> Vec<(u64, usize)> {
    let mut now = START;
    (0..requests)
        .map(|number| {
            let path = number % paths.len();
            for limiter in limits.of(paths[path]) {
                now += nanoseconds(limiter.reserve_at(now));
            }
            (now, path)
        })
        .collect()
}

/// Returns the most requests in one second.
fn most(sent: impl Iterator<Item = u64>) -> usize {
    let sent: Vec<u64> = sent.collect();
    let within = |from: &u64| {
        sent.iter()
            .filter(|at| (*from..*from + SECOND).contains(at))
            .count()
    };
    sent.iter().map(within).max().unwrap_or(0)
}

#[test]
fn no_endpoint_has_more_requests_than_stripe_allows_it() {
    let one = [
        "/v1/payment_intents/pi_1",
        "/v1/payment_intents/pi_2",
        "/v1/payment_intents/pi_3",
    ];
    let sent = sent_to(&limits(80), &one, 200);
    let of_all = most(sent.iter().map(|(at, _)| *at));
    assert!((18..=20).contains(&of_all), "{of_all}");

    // What another endpoint gets is not taken from it.
    let limits = limits(80);
    let wait = |path: &str| -> Duration {
        let limiters = limits.of(path);
        limiters.map(|it| it.reserve_at(START)).sum()
    };
    for number in 1..=4 {
        assert_eq!(wait(one[number % 3]), Duration::ZERO, "the burst");
    }
    for (path, waits_for_it) in [
        (one[1], true),
        ("/v1/payment_intents", false),
        ("/v1/checkout/sessions/cs_1", false),
        ("/v1/checkout/sessions", false),
        ("/v1/nonsense", false),
        ("/v1/payment_intents/pi_1/capture", false),
    ] {
        let wait = wait(path);
        assert_eq!(wait > Duration::ZERO, waits_for_it, "{path}: {wait:?}");
    }
}

#[test]
fn all_endpoints_together_keep_to_the_rate() {
    let paths = [
        "/v1/payment_intents/pi_1",
        "/v1/checkout/sessions/cs_1",
        "/v1/charges/ch_1",
        "/v1/disputes",
        "/v1/refunds",
        "/v1/invoices/in_1",
    ];
    let sent = sent_to(&limits(80), &paths, 600);
    assert!(most(sent.iter().map(|(at, _)| *at)) <= 100);
    for (number, endpoint) in paths.iter().enumerate() {
        let of_it = sent.iter().filter(|(_, path)| *path == number);
        assert!(most(of_it.map(|(at, _)| *at)) <= 20, "{endpoint}");
    }
}

#[test]
fn a_rate_that_no_endpoint_exceeds_is_the_only_one() {
    for (per_second, parts) in [(1, 1), (20, 1), (21, 13), (80, 13), (10_000, 13)] {
        assert_eq!(Limits::parts(per_second).count(), parts, "{per_second}");
    }
    // A rate that Stripe has raised raises that of each endpoint.
    let sent = sent_to(&limits(1_000), &["/v1/events"], 1_000);
    let of_one = most(sent.iter().map(|(at, _)| *at));
    assert!((245..=250).contains(&of_one), "{of_one}");
}

//! The retry policy as a table: outcome and number of an attempt → next step.

use std::time::Duration;

use super::super::retry::{AttemptOutcome, Next, next};

const HOUR: Duration = Duration::from_secs(3600);

fn outcome(status: impl Into<Option<u16>>) -> AttemptOutcome {
    AttemptOutcome {
        status: status.into(),
        should_retry: None,
        retry_after: None,
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn is_retried(outcome: AttemptOutcome) -> bool {
    next(outcome, 1, 0.0, HOUR) != Next::GiveUp
}

#[test]
fn transient_failures_are_retried() {
    for status in [409, 429, 500, 502, 503, 504, 529, 599] {
        assert!(is_retried(outcome(status)), "{status} is tried again");
    }
    assert!(is_retried(outcome(None)), "so is a broken connection");
}

#[test]
fn permanent_failures_are_not_retried() {
    for status in [200, 302, 400, 401, 402, 403, 404, 408, 410, 422, 424] {
        assert!(!is_retried(outcome(status)), "{status} stays what it is");
    }
}

#[test]
fn should_retry_overrides_the_status() {
    for status in [Some(200), Some(400), Some(404), Some(429), Some(500), None] {
        for advice in [true, false] {
            let outcome = AttemptOutcome {
                should_retry: Some(advice),
                ..outcome(status)
            };
            assert_eq!(is_retried(outcome), advice, "{status:?}, advice {advice}");
        }
    }
}

#[test]
fn there_are_four_attempts() {
    let advised = AttemptOutcome {
        should_retry: Some(true),
        ..outcome(429)
    };
    for attempt in 1..=3 {
        assert_ne!(next(advised, attempt, 0.0, HOUR), Next::GiveUp, "{attempt}");
    }
    for attempt in [4, 5, 40, u32::MAX] {
        assert_eq!(next(advised, attempt, 0.0, HOUR), Next::GiveUp, "{attempt}");
    }
}

#[test]
fn the_delay_doubles_and_is_cut_by_up_to_half() {
    let table = [(1, 250, 500), (2, 500, 1000), (3, 1000, 2000)];
    for (attempt, least, most) in table {
        let delay = |jitter| next(outcome(503), attempt, jitter, HOUR);
        assert_eq!(delay(0.0), Next::RetryAfter(ms(least)), "{attempt}");
        assert_eq!(delay(1.0), Next::RetryAfter(ms(most)), "{attempt}");
        assert_eq!(delay(-3.0), delay(0.0), "jitter outside its bounds");
        assert_eq!(delay(7.0), delay(1.0), "jitter outside its bounds");
    }
}

#[test]
fn a_longer_retry_after_is_respected() {
    let table = [
        // Requested wait and actual wait; the back-off alone would be 500 ms.
        (0, 500),
        (1, 1_000),
        (60, 60_000),
    ];
    for (asked, waited) in table {
        let outcome = AttemptOutcome {
            retry_after: Some(Duration::from_secs(asked)),
            ..outcome(429)
        };
        assert_eq!(
            next(outcome, 1, 1.0, HOUR),
            Next::RetryAfter(ms(waited)),
            "Retry-After: {asked}"
        );
    }
}

#[test]
fn a_retry_after_of_more_than_a_minute_gives_up() {
    for asked in [61, 3600, u64::MAX] {
        let outcome = AttemptOutcome {
            should_retry: Some(true),
            retry_after: Some(Duration::from_secs(asked)),
            ..outcome(429)
        };
        assert_eq!(
            next(outcome, 1, 0.0, Duration::MAX),
            Next::GiveUp,
            "{asked}"
        );
    }
}

#[test]
fn retry_after_alone_does_not_cause_a_retry() {
    let outcome = AttemptOutcome {
        retry_after: Some(ms(1)),
        ..outcome(400)
    };
    assert_eq!(next(outcome, 1, 0.0, HOUR), Next::GiveUp);
}

#[test]
fn no_wait_exceeds_the_time_left() {
    let left = |left| next(outcome(503), 1, 1.0, left);
    assert_eq!(left(ms(501)), Next::RetryAfter(ms(500)));
    assert_eq!(left(ms(500)), Next::GiveUp, "no time would be left to ask");
    assert_eq!(left(Duration::ZERO), Next::GiveUp);
    let asked = AttemptOutcome {
        retry_after: Some(Duration::from_secs(30)),
        ..outcome(429)
    };
    assert_eq!(
        next(asked, 1, 0.0, Duration::from_secs(29)),
        Next::GiveUp,
        "Retry-After beyond the time left"
    );
}

//! Which answers are older than what is known, and must not be used.

use super::builders::{ids, invoice, received, world};
use crate::domain::rules::{Memory, Remembered};

#[test]
fn an_answer_is_outdated_by_a_later_request() {
    let known = world(invoice("Sent")).remembering("pi_1", 100_00, 0).memory;
    let mut answer = received(&["pi_1"], 100_00);
    for (as_of, is_outdated) in [(-1, true), (0, false), (1, false)] {
        answer.as_of = as_of;
        assert_eq!(known.outdates(&answer), is_outdated, "asked at {as_of}");
    }
    let mut other = received(&["pi_2"], 100_00);
    other.as_of = -1;
    assert!(!known.outdates(&other), "nothing is known of it");
}

#[test]
fn an_answer_that_was_on_its_way_at_the_same_time_takes_nothing_back() {
    // Asked for at 10, acted on at 30.
    let known = |refunded| {
        let mut memory = Memory::default();
        memory.0.insert(
            "pi_1".into(),
            Remembered {
                ids: ids(&["pi_1"]),
                as_of: 10,
                seen_at: 30,
                currency: None,
                received: 100_00,
                refunded,
                refunded_latest: refunded,
                own_seen_at: 0,
                dispute: None,
                withheld: 0,
                is_own: true,
            },
        );
        memory
    };
    let answer = |as_of, refunded| {
        let mut answer = received(&["pi_1"], 100_00).with_refund(refunded);
        answer.as_of = as_of;
        answer
    };
    for (as_of, before, says, is_outdated) in [
        (20, 100_00, 0, true),
        (20, 100_00, 100_00, false),
        (20, 0, 100_00, false),
        (30, 100_00, 0, false),
        (9, 100_00, 100_00, true),
    ] {
        assert_eq!(
            known(before).outdates(&answer(as_of, says)),
            is_outdated,
            "asked at {as_of}: {says} after {before}"
        );
    }
}

#[test]
fn a_refund_kept_for_a_row_does_not_outdate_the_answer_that_takes_it_back() {
    // Another invoice of the payment was decided on the same answer, asked at 20, a moment ago.
    let learned = |as_of, seen_at, refunded| Remembered {
        ids: ids(&["pi_1"]),
        as_of,
        seen_at,
        currency: None,
        received: 100_00,
        refunded,
        refunded_latest: refunded,
        own_seen_at: 0,
        dispute: None,
        withheld: 0,
        is_own: false,
    };
    let mut memory = Memory::default();
    let own = learned(5, 6, 100_00);
    memory.keep_latest("pi_1".into(), own.clone());
    memory.keep_latest("pi_1".into(), learned(20, 30, 40_00));
    memory.keep_own("pi_1", &own);
    let kept = &memory.0["pi_1"];
    assert_eq!((kept.refunded, kept.is_own), (100_00, true));
    for (says, is_outdated) in [(40_00, false), (100_00, false), (0, true)] {
        let mut answer = received(&["pi_1"], 100_00).with_refund(says);
        answer.as_of = 20;
        assert_eq!(memory.outdates(&answer), is_outdated, "{says}");
    }
}

//! When schedules are due, in seconds since 1970 as in the output of `date -u`.

use crate::domain::cron::Cron;

/// Wednesday, 2026-07-29 12:07:30 UTC.
const NOW: i64 = 1_785_326_850;

fn next(schedule: &str) -> Option<i64> {
    Cron::parse(schedule).expect(schedule).next_after(NOW)
}

#[test]
fn schedules_are_due_as_in_cron() {
    let cases = [
        ("*/15 * * * *", 1_785_327_300),       // 12:15
        ("* * * * *", 1_785_326_880),          // 12:08
        ("7 12 * * *", 1_785_413_220),         // the next day, 12:07
        ("0 3 * * *", 1_785_380_400),          // the next day, 03:00
        ("5-10/5,40 12 * * *", 1_785_327_000), // 12:10
        ("0 0 1 * *", 1_785_542_400),          // 2026-08-01
        ("0 0 * * 0", 1_785_628_800),          // Sunday, 2026-08-02
        ("0 0 * * 7", 1_785_628_800),          // the same
        ("0 0 1 * 5", 1_785_456_000),          // either: Friday, 2026-07-31
        ("0 0 29 2 *", 1_835_395_200),         // 2028-02-29
        ("59 23 31 12 *", 1_798_761_540),      // 2026-12-31 23:59
    ];
    for (schedule, due) in cases {
        assert_eq!(next(schedule), Some(due), "{schedule}");
    }
}

#[test]
fn a_due_time_is_followed_by_the_next_one() {
    let schedule = Cron::parse("*/15 * * * *").expect("it is one");
    assert_eq!(schedule.next_after(1_785_327_300), Some(1_785_328_200));
    assert_eq!(schedule.next_after(1_785_327_299), Some(1_785_327_300));
}

#[test]
fn a_day_that_never_comes_is_never_due() {
    assert_eq!(next("0 0 30 2 *"), None);
}

#[test]
fn invalid_schedules_are_rejected() {
    for text in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-3 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "30 seconds",
        "0 0 $ * *",
    ] {
        assert_eq!(Cron::parse(text), None, "{text}");
    }
}

//! The double's own clock in unix seconds, so that tests can create objects in the past.

use std::time::{SystemTime, UNIX_EPOCH};

/// Follows the system's clock with an offset, or is fixed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    Running { ahead: i64 },
    Frozen(i64),
}

impl Clock {
    pub(crate) fn starting_at(frozen: Option<i64>) -> Self {
        frozen.map_or(Clock::Running { ahead: 0 }, Clock::Frozen)
    }

    pub(crate) fn now(self) -> i64 {
        match self {
            Clock::Running { ahead } => system_seconds().saturating_add(ahead),
            Clock::Frozen(at) => at,
        }
    }

    pub(crate) fn advance(&mut self, seconds: i64) {
        match self {
            Clock::Running { ahead } => *ahead = ahead.saturating_add(seconds),
            Clock::Frozen(at) => *at = at.saturating_add(seconds),
        }
    }
}

/// Formats a time for HTTP: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(seconds: i64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let weekday = WEEKDAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    let (mut year, mut day) = (1970, days);
    while day >= days_of_year(year) {
        day -= days_of_year(year);
        year += 1;
    }
    let mut month = 0;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    format!(
        "{weekday}, {:02} {} {year} {:02}:{:02}:{:02} GMT",
        day + 1,
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn days_of_year(year: i64) -> i64 {
    (0..12).map(|month| days_of_month(year, month)).sum()
}

/// `month` counts from 0.
fn days_of_month(year: i64, month: usize) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 if leap => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

fn system_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn dates_have_the_http_format() {
        for (seconds, written) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(seconds), written);
        }
    }
}

//! Parses the HTTP header `Date`.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>. Senders must
//! use one form, `Sun, 06 Nov 1994 08:49:37 GMT`; nothing else is read.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds since 1970; `None` for what is not of that form. The name of the day
/// is not checked. A leap second counts as the one after it.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (_, date) = text.split_once(", ")?;
    let parts: Vec<&str> = date.split(' ').collect();
    let &[day, month, year, time, "GMT"] = parts.as_slice() else {
        return None;
    };
    let clock: Vec<&str> = time.split(':').collect();
    let &[hour, minute, second] = clock.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = i64::try_from(month).ok()? + 1;
    let day = number(day, 2, 31).filter(|day| *day > 0)?;
    let year = number(year, 4, 9999)?;
    let seconds =
        number(hour, 2, 23)? * 3600 + number(minute, 2, 59)? * 60 + number(second, 2, 60)?;
    Some(days_since_1970(year, month, day) * 86_400 + seconds)
}

fn number(digits: &str, length: usize, most: i64) -> Option<i64> {
    let well_formed = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.parse().ok().filter(|_| well_formed)?;
    (value <= most).then_some(value)
}

/// In the Gregorian calendar. The year is counted from March, so that a leap day
/// is its last: <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

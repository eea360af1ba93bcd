//! When a schedule of pg_cron's is due: five fields, in GMT.
//!
//! Source: the parser of pg_cron (`entry.c`, from Vixie cron): numbers, ranges, steps and lists. If both the day of the
//! month and the day of the week are restricted, a day that matches either of them is due.

/// A schedule: a set of numbers for each field, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether both kinds of day are restricted.
    either_day: bool,
}

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// February 29 recurs within 8 years, even around 2100.
const DAYS_LOOKED_AT: i64 = 8 * 366 + 1;

impl Cron {
    /// Parses a schedule. Returns `None` for names of months and days, and for the seconds of newer versions of
    /// pg_cron.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return None;
        };
        let of_week = field(weekdays, 0, 7)?;
        Some(Self {
            minutes: field(minutes, 0, 59)?,
            hours: field(hours, 0, 23)?,
            days: field(days, 1, 31)?,
            months: field(months, 1, 12)?,
            // Sunday is 0 or 7.
            weekdays: of_week | of_week >> 7,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    /// Returns the first time after `after`, both in seconds since 1970; `None` if there is none (February 30).
    pub(crate) fn next_after(&self, after: i64) -> Option<i64> {
        let earliest = after.div_euclid(MINUTE) * MINUTE + MINUTE;
        let first_day = earliest.div_euclid(DAY);
        (first_day..first_day + DAYS_LOOKED_AT)
            .filter(|day| self.has_day(*day))
            .find_map(|day| self.first_of_day(day, earliest))
    }

    fn first_of_day(&self, day: i64, earliest: i64) -> Option<i64> {
        (0..DAY / MINUTE)
            .filter(|minute| has(self.hours, minute / 60) && has(self.minutes, minute % 60))
            .map(|minute| day * DAY + minute * MINUTE)
            .find(|time| *time >= earliest)
    }

    /// Returns whether a day matches. `day` is counted from 1970-01-01, a Thursday.
    fn has_day(&self, day: i64) -> bool {
        let (month, of_month) = month_and_day(day);
        let of_month = has(self.days, of_month);
        let of_week = has(self.weekdays, (day + 4).rem_euclid(7));
        has(self.months, month)
            && if self.either_day {
                of_month || of_week
            } else {
                of_month && of_week
            }
    }
}

fn has(set: u64, number: i64) -> bool {
    set >> number & 1 == 1
}

fn field(text: &str, least: u32, most: u32) -> Option<u64> {
    text.split(',').try_fold(0, |set, part| {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None => {
                let only: u32 = range.parse().ok()?;
                (only, only)
            }
        };
        if from < least || to > most || from > to {
            return None;
        }
        let numbers = (from..=to).step_by(step);
        Some(numbers.fold(set, |set, number| set | 1 << number))
    })
}

/// Converts in the Gregorian calendar: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn month_and_day(days_since_1970: i64) -> (i64, i64) {
    let day_of_era = (days_since_1970 + 719_468).rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The year begins in March.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

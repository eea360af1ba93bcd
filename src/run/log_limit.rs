//! Limits how many refused webhooks are written to the server log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::host::moment::now;
use crate::pg::shared_number;

/// Allows a number of log entries in each period, and counts the others, over all sessions of the database.
pub(crate) struct Allowance {
    /// The name of the shared counter.
    key: [u8; 8],
    most: u32,
    seconds: i64,
    /// Counts for this session alone if there is no shared memory.
    unshared: AtomicU64,
}

/// Limits the entries about refused webhooks.
pub(crate) static REFUSALS: Allowance = Allowance::new(*b"refusals", 5, 60);

/// Limits the entries that name the secrets tried; one is enough to find a wrong secret.
pub(crate) static ENDINGS: Allowance = Allowance::new(*b"endings.", 1, 3600);

impl Allowance {
    const fn new(key: [u8; 8], most: u32, seconds: i64) -> Self {
        Self {
            key,
            most,
            seconds,
            unshared: AtomicU64::new(0),
        }
    }

    /// Requests one entry. Returns how many were omitted since the last one, or `None` if this one must be omitted.
    pub(crate) fn take(&self) -> Option<u32> {
        let period = u32::try_from(now() / self.seconds).unwrap_or(u32::MAX);
        let after = |before| next(before, period, self.most).0;
        let before = match shared_number(u64::from_be_bytes(self.key)) {
            Some(number) => number.replace(after)?,
            None => {
                let (order, unshared) = (Ordering::Relaxed, &self.unshared);
                let changed = unshared.fetch_update(order, order, |before| Some(after(before)));
                changed.unwrap_or_else(|unchanged| unchanged)
            }
        };
        next(before, period, self.most).1
    }
}

/// Returns the counter after `before`. Its upper half is the period, its lower half the number of requests in it.
fn next(before: u64, period: u32, most: u32) -> (u64, Option<u32>) {
    let (former, count) = ((before >> 32) as u32, before as u32);
    let (count, left_out) = if former == period {
        (count, 0)
    } else {
        (0, count.saturating_sub(most))
    };
    let after = u64::from(period) << 32 | u64::from(count.saturating_add(1));
    (after, (count < most).then_some(left_out))
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn omitted_entries_are_counted_and_reported_in_the_next_period() {
        let mut number = 0;
        let mut take = |period| {
            let (after, taken) = next(number, period, 2);
            number = after;
            taken
        };
        let first: Vec<_> = (0..5).map(|_| take(7)).collect();
        assert_eq!(first, [Some(0), Some(0), None, None, None]);
        let second: Vec<_> = (0..3).map(|_| take(9)).collect();
        assert_eq!(second, [Some(3), Some(0), None]);
        assert_eq!([take(10), take(11)], [Some(1), Some(0)]);
    }

    #[test]
    fn the_count_does_not_overflow_into_the_period() {
        let full = u64::from(u32::MAX) | 7 << 32;
        assert_eq!(next(full, 7, 5), (full, None));
    }
}

//! The monthly budget of read requests to Stripe, and what a sweep may spend of it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::pg::{sequence, sql};

/// The interval between sweeps that forecasts assume, in seconds.
const SWEEP_INTERVAL: f64 = 15.0 * 60.0;

/// The requests of a sweep that finds nothing: one page of the feed, sometimes two.
const REQUESTS_PER_SWEEP: f64 = 1.5;

/// The last fifth of the budget is spread evenly over the rest of the month.
const FREE_SHARE: f64 = 0.8;

/// The requests of a month so far.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Usage {
    #[serde(skip)]
    budget: u64,
    /// Requests since the beginning of the month.
    used: u64,
    /// The elapsed part of the month and its whole length, in seconds.
    passed: f64,
    length: f64,
}

/// Counts requests. The count stays even if the transaction is rolled back. Does nothing in a read-only
/// transaction.
pub(crate) fn count(requests: u64) {
    if sequence::is_read_only() {
        return;
    }
    for _ in 0..requests {
        sequence::next_value(c"stripe_read");
    }
}

/// Records the count at the beginning of a month (UTC).
pub(crate) fn begin_month() {
    sql::execute(
        "insert into invoice_sync.stripe_month (began, reads_before)
        select m.began, s.last_value - (not s.is_called)::int
        from (select date_trunc('month', clock_timestamp() at time zone 'UTC')::date) m (began),
             invoice_sync.stripe_read s
        where not exists (select from invoice_sync.stripe_month k where k.began = m.began)
        on conflict do nothing",
        &[],
    );
}

/// Returns how much of `budget` requests was used in this month (UTC), by all callers.
pub(crate) fn usage(budget: u64) -> Usage {
    let row = sql::fetch_one(
        "select jsonb_build_object(
            'used', greatest(s.last_value - (not s.is_called)::int - coalesce(k.reads_before, 0), 0),
            'passed', extract(epoch from m.now - m.began),
            'length', extract(epoch from m.began + interval '1 month' - m.began))
        from (select n.now, date_trunc('month', n.now) as began
              from (select clock_timestamp() at time zone 'UTC') n (now)) m
        cross join invoice_sync.stripe_read s
        left join invoice_sync.stripe_month k on k.began = m.began::date",
        &[],
    );
    row.and_then(|row| serde_json::from_value(row).ok()).map_or(
        Usage {
            budget,
            used: 0,
            passed: 0.0,
            length: 1.0,
        },
        |usage: Usage| Usage { budget, ..usage },
    )
}

impl Usage {
    /// Returns how many due checks a sweep may make now.
    pub(crate) fn allowance(&self) -> usize {
        let sweeps = ((self.length - self.passed) / SWEEP_INTERVAL).max(1.0);
        let budget = self.budget as f64;
        let spare = budget - self.used as f64 - sweeps * REQUESTS_PER_SWEEP;
        let free = spare - budget * (1.0 - FREE_SHARE);
        (spare / sweeps).max(free).max(0.0) as usize
    }

    /// Returns the usage for a run's result. The forecast assumes the same rate for the rest of the month.
    pub(crate) fn to_json(&self) -> Value {
        let share = (self.passed / self.length).max(f64::EPSILON);
        json!({
            "budget": self.budget,
            "used": self.used,
            "forecast": (self.used as f64 / share).round(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: f64 = 24.0 * 60.0 * 60.0;

    fn after(days: f64, used: u64) -> Usage {
        Usage {
            budget: 10_000,
            used,
            passed: days * DAY,
            length: 30.0 * DAY,
        }
    }

    #[test]
    fn early_in_the_month_many_checks_are_allowed_at_once() {
        assert_eq!(after(0.0, 0).allowance(), 10_000 - 2_000 - 4_320);
        assert!(after(15.0, 2_000).allowance() > 3_000);
    }

    #[test]
    fn near_the_limit_checks_are_spread_and_requests_for_the_feed_are_reserved() {
        // 1,440 sweeps are left: 2,160 requests for their feeds, 840 for everything else.
        assert_eq!(after(15.0, 7_000).allowance(), 0);
        // One day is left: 96 sweeps, 144 requests for their feeds.
        assert_eq!(after(29.0, 9_000).allowance(), 8);
        assert_eq!(after(29.0, 11_000).allowance(), 0);
    }

    #[test]
    fn the_forecast_assumes_the_same_rate_for_the_rest_of_the_month() {
        assert_eq!(after(3.0, 400).to_json()["forecast"], json!(4_000.0));
    }
}

//! What a backfill tells its caller about its progress.

use std::time::Duration;

use crate::ledger::backfills::Part;
use crate::stripe::history::HistoryPage;

/// Reports the progress to the caller. Stripe's lists do not contain their length: the total is extrapolated from
/// the part of the period that was read.
pub(super) fn report_progress(
    part: &Part,
    history_page: &HistoryPage,
    objects: u64,
    repaired: u64,
    took: Duration,
) {
    let reached = history_page
        .last
        .as_ref()
        .map_or(part.since, |(_, made)| *made);
    let from = part.reached.unwrap_or(part.until);
    let time = (part.until - part.since).max(1) as f64;
    let done = (part.until - reached.max(part.since)) as f64 / time;
    let done = if history_page.is_last { 1.0 } else { done };
    let done_now = (from - reached.max(part.since)) as f64 / time;
    let seconds = took.as_secs_f64().max(0.001);
    let left = if done_now > 0.0 {
        seconds / done_now * (1.0 - done)
    } else {
        0.0
    };
    let whose = part.account.as_ref();
    let whose = whose.map_or(String::new(), |account| format!("{account}, "));
    let about = if history_page.is_last { "" } else { "about " };
    let whole = objects as f64 / done.max(f64::EPSILON);
    pgrx::notice!(
        "{whose}{}: {objects} read of {about}{whole:.0}, {:.0} % of the period; {repaired} invoices repaired, {:.0} objects per second, about {:.0} s left",
        part.list,
        done * 100.0,
        (objects - part.objects) as f64 / seconds,
        left
    );
}

//! A clock that was ahead and is set back: what was put off meanwhile would wait until it shows that time again.

use crate::pg::sql;

/// Makes due what is further ahead than its longest interval, with an hour or a day for clocks that differ. Mostly there is
/// nothing: each part looks into an index, or into a table or a part of one with few rows.
pub(crate) fn make_due() {
    sql::execute(
        "with events as (
            update invoice_sync.event set next_attempt_at = now()
            where state = 'pending' and next_attempt_at > now() + interval '2 days' and next_attempt_at < 'infinity'
        ), checks as (
            update invoice_sync.invoice_check set next_check_at = now()
            where next_check_at > now() + interval '31 days'
        ), feeds as (
            update invoice_sync.feed set next_read_at = now()
            where next_read_at > now() + interval '2 days'
        ), backfills as (
            update invoice_sync.backfill set refused_at = null
            where finished_at is null and refused_at > now() + interval '1 hour'
        ), rounds as (
            update invoice_sync.round set thorough_at = null
            where thorough_at > now() + interval '1 hour'
        )
        -- A mail of this transaction is not older than it.
        update invoice_sync.alert
        set next_attempt_at = least(next_attempt_at, now()),
            created_at = least(created_at, now() - interval '1 second')
        where sent_at is null and replaced_by is null
          and next_attempt_at < 'infinity'
          and (next_attempt_at > now() + interval '2 days' or created_at > now() + interval '1 hour')",
        &[],
    );
}

//! When Stripe is to be asked about an invoice again.

use crate::domain::recheck::Recheck;
use crate::pg::sql;

/// Notes that Stripe was asked about the ids that the invoice stores.
pub(crate) fn note(invoice: &str, stored_ids: &[String], recheck: Recheck) {
    let ids = serde_json::Value::from(stored_ids).to_string();
    let seconds = recheck.seconds().map(|seconds| seconds.to_string());
    sql::execute(
        "insert into invoice_sync.invoice_check (invoice_id, stored_ids, checked_at, next_check_at)
        values ($1, array(select jsonb_array_elements_text($2::jsonb)), clock_timestamp(),
                now() + make_interval(secs => $3::float8))
        on conflict (invoice_id) do update
        set stored_ids = excluded.stored_ids,
            checked_at = excluded.checked_at,
            next_check_at = excluded.next_check_at",
        &[Some(invoice), Some(&ids), seconds.as_deref()],
    );
}

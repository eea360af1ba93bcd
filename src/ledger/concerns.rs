//! Whether anything open concerns an invoice or its payments: mostly nothing does, and then nothing more is asked about it.

use std::collections::BTreeSet;

use crate::pg::sql;

/// Returns whether an open issue is of this invoice, about one of these ids of payments, or about events; or an event of
/// such a payment has failed; or an answer could not be written.
pub(crate) fn exist(invoice: &str, ids: &BTreeSet<&str>) -> bool {
    let found = sql::look_up(
        1,
        "select to_jsonb(true)
        where exists (select from invoice_sync.issue x
                      where x.state <> 'resolved'
                        and (coalesce(x.invoice_id, '') = any ($1) or x.kind = 'event_failing'
                             or coalesce(x.object, '') = any ($2)))
           or exists (select from invoice_sync.event e
                      where e.state <> 'done' and e.attempts > 0
                        and (e.session_id = any ($2) or e.intent_id = any ($2) or e.charge_id = any ($2)
                             or e.stripe_invoice_id = any ($2)))
           or exists (select from invoice_sync.unwritten_answer)",
        &[vec![invoice], ids.iter().copied().collect()],
    );
    !found.is_empty()
}

//! What Stripe last said of each payment.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::domain::evidence::{Dispute, Evidence, PaymentState, merge_payments};
use crate::domain::identity::PaymentIds;
use crate::domain::rules::{Memory, Remembered};
use crate::pg::sql;

#[derive(Deserialize)]
struct Row {
    session_id: Option<String>,
    intent_id: Option<String>,
    charge_id: Option<String>,
    received: i64,
    refunded: i64,
    dispute: Option<String>,
}

/// What earlier runs knew of an invoice's payments.
pub(crate) fn recall(invoice: &str) -> Memory {
    read(
        "select to_jsonb(m) from invoice_sync.stripe_payment m where m.invoice_id = $1",
        invoice,
    )
}

/// What earlier runs knew of one payment, whatever invoice it was looked at for.
pub(crate) fn recall_payment(ids: &PaymentIds) -> Memory {
    let Some(key) = ids.key() else {
        return Memory::default();
    };
    read(
        "select to_jsonb(m) from invoice_sync.stripe_payment m
        where $1 in (m.id, m.session_id, m.intent_id, m.charge_id)",
        key,
    )
}

fn read(statement: &str, value: &str) -> Memory {
    let rows = sql::fetch(statement, &[Some(value)]);
    let mut memory = BTreeMap::new();
    for row in rows
        .into_iter()
        .filter_map(|row| serde_json::from_value::<Row>(row).ok())
    {
        let remembered = Remembered {
            received: row.received,
            refunded: row.refunded,
            dispute: row.dispute.as_deref().map(Dispute::from_status),
        };
        for id in [row.session_id, row.intent_id, row.charge_id]
            .into_iter()
            .flatten()
        {
            memory.insert(id, remembered.clone());
        }
    }
    Memory(memory)
}

/// Notes what Stripe says of the money that it received for this invoice, as
/// far as the plan accepted it.
pub(crate) fn note(invoice: &str, evidence: &[Evidence], learned: &Memory) {
    for payment in merge_payments(evidence) {
        let (PaymentState::Received(money), Some(key)) = (&payment.state, payment.ids.key()) else {
            continue;
        };
        if !learned.0.contains_key(key) {
            continue;
        }
        let document = json!({
            "id": key,
            "invoice_id": invoice,
            "session_id": payment.ids.session,
            "intent_id": payment.ids.intent,
            "charge_id": payment.ids.charge,
            "currency": money.currency.code(),
            "received": money.minor.max(0),
            "refunded": payment.refunded.clamp(0, money.minor.max(0)),
            "dispute": payment.dispute.as_ref().map(Dispute::as_status),
            "request_id": payment.request_id,
        });
        let received_at = payment.received_at.map(|at| at.to_string());
        sql::execute(
            "insert into invoice_sync.stripe_payment (
                id, invoice_id, session_id, intent_id, charge_id, currency, received, refunded,
                dispute, request_id, received_at, seen_at)
            select m.id, m.invoice_id, m.session_id, m.intent_id, m.charge_id, m.currency,
                   m.received, m.refunded, m.dispute, m.request_id,
                   to_timestamp($2::float8), clock_timestamp()
            from jsonb_populate_record(null::invoice_sync.stripe_payment, $1::jsonb) m
            on conflict (invoice_id, id) do update
            set session_id = coalesce(excluded.session_id, stripe_payment.session_id),
                intent_id = coalesce(excluded.intent_id, stripe_payment.intent_id),
                charge_id = coalesce(excluded.charge_id, stripe_payment.charge_id),
                currency = excluded.currency,
                received = excluded.received,
                refunded = excluded.refunded,
                dispute = excluded.dispute,
                request_id = excluded.request_id,
                received_at = excluded.received_at,
                seen_at = excluded.seen_at",
            &[Some(&document.to_string()), received_at.as_deref()],
        );
    }
}

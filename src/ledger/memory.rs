//! What Stripe last said of each payment.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::domain::evidence::{
    Dispute, Evidence, PaymentState, SessionSide, StripePayment, merge_payments,
};
use crate::domain::identity::PaymentIds;
use crate::domain::rules::{Memory, Remembered};
use crate::pg::sql;

#[derive(Deserialize)]
struct Row {
    invoice_id: String,
    session_id: Option<String>,
    intent_id: Option<String>,
    charge_id: Option<String>,
    received: i64,
    refunded: i64,
    dispute: Option<String>,
}

impl Row {
    fn remember(self, memory: &mut Memory) {
        let remembered = Remembered {
            received: self.received,
            refunded: self.refunded,
            dispute: self.dispute.as_deref().map(Dispute::from_status),
        };
        for id in [self.session_id, self.intent_id, self.charge_id]
            .into_iter()
            .flatten()
        {
            memory.0.insert(id, remembered.clone());
        }
    }
}

/// What earlier runs knew of these invoices' payments, by invoice.
pub(crate) fn recall(invoices: &[&str]) -> BTreeMap<String, Memory> {
    let mut memories: BTreeMap<String, Memory> = BTreeMap::new();
    let rows = read(
        "select to_jsonb(m) from invoice_sync.stripe_payment m
        where m.invoice_id in (select jsonb_array_elements_text($1::jsonb))",
        &json!(invoices).to_string(),
    );
    for row in rows {
        let memory = memories.entry(row.invoice_id.clone()).or_default();
        row.remember(memory);
    }
    memories
}

/// What earlier runs knew of one payment, whatever invoice it was looked at for.
pub(crate) fn recall_payment(ids: &PaymentIds) -> Memory {
    let mut memory = Memory::default();
    if let Some(key) = ids.key() {
        let rows = read(
            // By indexes: where there is an intent, the row's id is the intent's.
            "select to_jsonb(m) from invoice_sync.stripe_payment m
            where $1 in (m.id, m.session_id, m.charge_id)",
            key,
        );
        for row in rows {
            row.remember(&mut memory);
        }
    }
    memory
}

fn read(statement: &str, value: &str) -> Vec<Row> {
    sql::fetch(statement, &[Some(value)])
        .into_iter()
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect()
}

/// By which session each of these intents came, `None`: by none; those of which that is
/// not known are left out.
pub(crate) fn sessions_of<'a>(
    intents: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, Option<String>> {
    let intents: Vec<&str> = intents.collect();
    if intents.is_empty() {
        return BTreeMap::new();
    }
    let rows: Vec<[Option<String>; 2]> = sql::fetch_texts(
        "select m.id, max(m.session_id)
        from invoice_sync.stripe_payment m
        where m.id in (select jsonb_array_elements_text($1::jsonb))
          and (m.session_id is not null or m.sessionless)
        group by m.id",
        &[Some(&json!(intents).to_string())],
    );
    rows.into_iter()
        .filter_map(|[intent, session]| Some((intent?, session)))
        .collect()
}

/// Forgets that these payments were ever looked at for an invoice: the word of the
/// person who linked them is taken back.
pub(crate) fn forget(invoice: &str, payments: &[PaymentIds]) {
    let keys: Vec<&str> = payments.iter().filter_map(PaymentIds::key).collect();
    sql::execute(
        "delete from invoice_sync.stripe_payment
        where invoice_id = $1 and id in (select jsonb_array_elements_text($2::jsonb))",
        &[Some(invoice), Some(&json!(keys).to_string())],
    );
}

/// What Stripe says of the money that it received for an invoice.
pub(crate) struct Lesson<'a> {
    pub(crate) invoice: &'a str,
    pub(crate) evidence: &'a [Evidence],
    /// As far as the plan accepted it.
    pub(crate) learned: &'a Memory,
}

/// Notes lessons, each about another invoice.
pub(crate) fn note(lessons: &[Lesson]) {
    let mut rows = BTreeMap::new();
    for lesson in lessons {
        for payment in merge_payments(lesson.evidence) {
            let (PaymentState::Received(money), Some(key)) = (&payment.state, payment.ids.key())
            else {
                continue;
            };
            if !lesson.learned.0.contains_key(key) {
                continue;
            }
            let row = [
                Some(key.to_owned()),
                Some(lesson.invoice.to_owned()),
                payment.ids.session.clone(),
                payment.ids.intent.clone(),
                payment.ids.charge.clone(),
                Some(money.currency.code().to_owned()),
                Some(money.minor.max(0).to_string()),
                Some(payment.refunded.clamp(0, money.minor.max(0)).to_string()),
                payment
                    .dispute
                    .as_ref()
                    .map(|dispute| dispute.as_status().to_owned()),
                payment.request_id.clone(),
                payment.received_at.map(|at| at.to_string()),
                Some(sql::boolean(is_sessionless(&payment)).to_owned()),
            ];
            rows.insert((lesson.invoice, key.to_owned()), row);
        }
    }
    sql::execute_rows(
        "insert into invoice_sync.stripe_payment (
            id, invoice_id, session_id, intent_id, charge_id, currency, received, refunded,
            dispute, request_id, received_at, sessionless, seen_at)
        select m.id, m.invoice_id, m.session_id, m.intent_id, m.charge_id, m.currency,
               m.received::bigint, m.refunded::bigint, m.dispute, m.request_id,
               to_timestamp(m.received_at::float8), m.sessionless::boolean, clock_timestamp()
        from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) m (
            id, invoice_id, session_id, intent_id, charge_id, currency,
            received, refunded, dispute, request_id, received_at, sessionless)
        order by m.invoice_id, m.id
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
            sessionless = excluded.sessionless or stripe_payment.sessionless,
            seen_at = excluded.seen_at",
        &[],
        rows.values().map(sql::borrowed),
    );
}

/// Whether Stripe says that an intent came by no session.
fn is_sessionless(payment: &StripePayment) -> bool {
    let ids = &payment.ids;
    payment.session_side == SessionSide::Read && ids.session.is_none() && ids.intent.is_some()
}

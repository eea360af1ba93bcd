//! The last known state of each Stripe payment (`invoice_sync.stripe_payment`).

use std::collections::{BTreeMap, BTreeSet};

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;
use serde_json::json;

use crate::domain::evidence::{
    Dispute, Evidence, PaymentState, SessionSide, StripePayment, merge_payments,
};
use crate::domain::identity::PaymentIds;
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::rules::{Memory, Remembered};
use crate::domain::shared_payment::KnownPayment;
use crate::pg::{Problem, sql};

/// A row of [`RECALLED`].
#[derive(Deserialize)]
pub(super) struct Row {
    invoice_id: String,
    session_id: Option<String>,
    intent_id: Option<String>,
    charge_id: Option<String>,
    stripe_invoice_id: Option<String>,
    currency: Option<String>,
    received: i64,
    refunded: i64,
    refunded_latest: Option<i64>,
    dispute: Option<String>,
    withheld: Option<i64>,
    as_of: i64,
    seen_at: i64,
}

impl Row {
    fn ids(&self) -> PaymentIds {
        PaymentIds {
            session: self.session_id.clone(),
            intent: self.intent_id.clone(),
            charge: self.charge_id.clone(),
            stripe_invoice: self.stripe_invoice_id.clone(),
        }
    }

    fn remembered(&self) -> Remembered {
        let dispute = self.dispute.as_deref().map(Dispute::from_status);
        // Version 0.1.0 did not record the amount: a dispute was over the whole payment.
        let of_whole = dispute.as_ref().is_some_and(Dispute::withholds_money);
        let withheld = self.withheld.or(of_whole.then_some(self.received));
        Remembered {
            ids: self.ids(),
            as_of: self.as_of,
            seen_at: self.seen_at,
            own_seen_at: 0,
            currency: self.currency.as_deref().and_then(Currency::parse),
            received: self.received,
            refunded: self.refunded,
            dispute,
            withheld: withheld.unwrap_or_default(),
            refunded_latest: self.refunded_latest.unwrap_or(self.refunded),
            is_own: false,
        }
    }
}

/// What [`super::recall`] reads of payments: those of the invoices in the first parameter, and those with one of the
/// ids in the second one, some of them more than once. Each lookup can use an index: for a payment with an intent, the
/// row's id is the intent's. A time in the future was recorded before the clock was set back.
pub(super) const RECALLED: &str = "
select jsonb_build_object('payment', jsonb_build_object(
    'invoice_id', m.invoice_id, 'session_id', m.session_id, 'intent_id', case when m.id ~ '^([^/]+/)?pi_' then m.id end,
    'charge_id', m.charge_id, 'stripe_invoice_id', m.stripe_invoice_id, 'currency', m.currency,
    'received', m.received, 'refunded', m.refunded,
    'refunded_latest', m.refunded_latest, 'dispute', m.dispute, 'withheld', m.withheld,
    'as_of', case when m.as_of <= clock_timestamp()
                  then (extract(epoch from m.as_of) * 1000000)::bigint else 0 end,
    'seen_at', case when m.seen_at <= clock_timestamp()
                    then (extract(epoch from m.seen_at) * 1000000)::bigint else 0 end))
from invoice_sync.stripe_payment m
where m.invoice_id = any ($1) or m.id = any ($2) or m.session_id = any ($2) or m.charge_id = any ($2)";

/// Sorts rows of [`RECALLED`] by invoice: those about its own payments, and those about the payments that it was asked
/// for, whatever invoice they were recorded for. Of each payment, the latest state remains.
pub(super) fn memories(
    rows: &[Row],
    invoices: &BTreeSet<&str>,
    invoices_by_id: &BTreeMap<&str, Vec<&str>>,
) -> BTreeMap<String, Memory> {
    let mut memories: BTreeMap<String, Memory> = BTreeMap::new();
    for row in rows {
        let ids = row.ids();
        let asked_for = ids
            .of_one_payment()
            .filter_map(|id| invoices_by_id.get(id))
            .flatten();
        let own = invoices.get(row.invoice_id.as_str());
        for invoice in own.into_iter().chain(asked_for) {
            let memory = memories.entry((*invoice).to_owned()).or_default();
            for id in ids.of_one_payment() {
                memory.keep_latest(id.to_owned(), row.remembered());
            }
        }
    }
    for row in rows {
        if let Some(memory) = memories.get_mut(&row.invoice_id) {
            for id in row.ids().of_one_payment() {
                memory.keep_own(id, &row.remembered());
            }
        }
    }
    memories
}

/// The most ids that one statement looks up, so that the planner still uses the indexes.
const IDS_AT_ONCE: usize = 2_000;

/// Returns the records of the payments with these ids, each once, with all its known ids and its latest state.
pub(crate) fn known(ids: &BTreeSet<String>) -> Vec<KnownPayment> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let rows = ids.chunks(IDS_AT_ONCE).flat_map(|ids| {
        sql::look_up_texts::<6>(
            ids.len(),
            "select m.session_id, case when m.id ~ '^([^/]+/)?pi_' then m.id end, m.charge_id, m.stripe_invoice_id, m.currency,
                   m.received::text
            from invoice_sync.stripe_payment m
            where (m.id = any ($1) or m.session_id = any ($1) or m.charge_id = any ($1)) and m.received > 0
            order by m.as_of desc, m.invoice_id, m.id",
            &[ids.to_vec()],
        )
    });
    let mut payments: Vec<KnownPayment> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for [session, intent, charge, stripe_invoice, currency, received] in rows {
        let ids = PaymentIds {
            session,
            intent,
            charge,
            stripe_invoice,
        };
        let (Some(currency), Some(received)) = (
            currency.as_deref().and_then(Currency::parse),
            received.and_then(|received| received.parse().ok()),
        ) else {
            continue;
        };
        let place = ids.lookup().find_map(|id| places.get(id)).copied();
        let place = place.unwrap_or(payments.len());
        places.extend(ids.each().map(|id| (id.to_owned(), place)));
        match payments.get_mut(place) {
            Some(payment) => payment.ids.complete_from(&ids),
            None => payments.push(KnownPayment {
                ids,
                received: Money::new(received, currency),
            }),
        }
    }
    payments
}

/// Raises the recorded refunds to those of rows that were restored. A row's status then counts as Stripe's, see
/// [`ReceivedPayments`].
pub(crate) fn follow_rows(invoice: &str, rows: &[PaymentRow]) {
    let rows = rows.iter().filter_map(|row| {
        let refunded = match row.status {
            PaymentStatus::Refunded => i64::MAX,
            _ => row.refunded_minor(),
        };
        let id = row.ids.key().filter(|_| refunded > 0)?;
        Some([id.to_owned(), refunded.to_string()].map(Some))
    });
    let rows: Vec<[Option<String>; 2]> = rows.collect();
    sql::execute_rows(
        "update invoice_sync.stripe_payment m
        set refunded = greatest(m.refunded, least(m.received, r.refunded::bigint)),
            refunded_latest = coalesce(m.refunded_latest, m.refunded)
        from unnest($2, $3) r (id, refunded)
        where m.invoice_id = $1 and r.id in (m.id, m.session_id, m.charge_id)",
        &[invoice],
        rows.iter().map(sql::borrowed),
    );
}

/// Returns the session of each of these intents, `None` if it has no session. Intents without this information are
/// left out.
pub(crate) fn sessions_of<'a>(
    intents: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, Option<String>> {
    let intents: Vec<&str> = intents.collect();
    if intents.is_empty() {
        return BTreeMap::new();
    }
    let is_wanted = sql::is_one_of(intents.len());
    let statement = format!(
        "select m.id, max(m.session_id)
        from invoice_sync.stripe_payment m
        where m.id {is_wanted} and (m.session_id is not null or m.sessionless)
        group by m.id"
    );
    let rows: Vec<[Option<String>; 2]> = sql::look_up_texts(intents.len(), &statement, &[intents]);
    rows.into_iter()
        .filter_map(|[intent, session]| Some((intent?, session)))
        .collect()
}

/// Returns the invoices for which the payment was recorded within the last minute, as received in full, with all of its
/// ids, and about which nothing is left to ask.
pub(crate) fn just_settled(payment: &StripePayment) -> Vec<String> {
    let (PaymentState::Received(money), Some(key)) = (&payment.state, payment.ids.key()) else {
        return Vec::new();
    };
    let invoices: Vec<[Option<String>; 1]> = sql::look_up_texts(
        1,
        "select m.invoice_id
        from invoice_sync.stripe_payment m
        where m.id = $1 and ($2 is null or m.session_id = $2) and ($3 is null or m.charge_id = $3)
          and m.currency = $4 and m.received = $5::bigint and m.refunded = 0 and m.dispute is null
          and m.seen_at between clock_timestamp() - interval '1 minute' and clock_timestamp()
          and not exists (
              select from invoice_sync.invoice_check k
              where k.invoice_id = m.invoice_id and (k.next_check_at is not null or k.awaited <> '{}'))",
        &[
            Some(key),
            payment.ids.session.as_deref(),
            payment.ids.charge.as_deref(),
            Some(money.currency.code()),
            Some(&money.minor.to_string()),
        ],
    );
    invoices.into_iter().flatten().flatten().collect()
}

/// Returns whether payments of the application came by Stripe Invoices.
pub(crate) fn came_by_stripe_invoices() -> bool {
    let any = "select to_jsonb(true) from invoice_sync.stripe_payment where stripe_invoice_id is not null limit 1";
    !sql::look_up::<Option<&str>>(1, any, &[]).is_empty()
}

/// Deletes the records of these payments for an invoice, because the decision that linked them is undone.
pub(crate) fn forget(invoice: &str, payments: &[PaymentIds]) {
    let keys: Vec<&str> = payments.iter().filter_map(PaymentIds::key).collect();
    sql::execute(
        "delete from invoice_sync.stripe_payment
        where invoice_id = $1 and id in (select jsonb_array_elements_text($2::jsonb))",
        &[Some(invoice), Some(&json!(keys).to_string())],
    );
}

/// Stripe's data about the money received for an invoice.
pub(crate) struct ReceivedPayments<'a> {
    pub(crate) invoice: &'a str,
    /// The invoice's; `None` if it is not valid.
    pub(crate) currency: Option<Currency>,
    pub(crate) evidence: &'a [Evidence],
    /// The state that the plan accepted. Its refunds are at least those of a row that followed an earlier answer.
    pub(crate) learned: &'a Memory,
}

/// Records payments, each element for a different invoice. Never overwrites newer data: fails with 40001 if a newer
/// answer was processed meanwhile, or another one whose refund or dispute this one would take back, and the caller must
/// then roll back what is based on this one.
pub(crate) fn note(received: &[ReceivedPayments]) -> Result<(), Problem> {
    let mut rows = BTreeMap::new();
    for entry in received {
        for payment in merge_payments(entry.evidence) {
            // Of a payment that was not received, it is recorded where a row says otherwise.
            let currency = match &payment.state {
                PaymentState::Received(money) => Some(money.currency),
                PaymentState::Waiting(_) | PaymentState::Never(_) => entry.currency,
                PaymentState::NothingDue | PaymentState::Unknown { .. } => None,
            };
            let (Some(currency), Some(key)) = (currency, payment.ids.key()) else {
                continue;
            };
            let Some(learned) = entry.learned.0.get(key) else {
                continue;
            };
            let row = [
                Some(key.to_owned()),
                Some(entry.invoice.to_owned()),
                payment.ids.session.clone(),
                payment.ids.charge.clone(),
                Some(currency.code().to_owned()),
                Some(learned.received.to_string()),
                Some(learned.refunded.to_string()),
                learned
                    .dispute
                    .as_ref()
                    .map(|dispute| dispute.as_status().to_owned()),
                learned
                    .dispute
                    .is_some()
                    .then(|| learned.withheld.to_string()),
                payment.received_at.map(|at| at.to_string()),
                Some(payment.as_of.to_string()),
                Some(sql::boolean(is_sessionless(&payment)).to_owned()),
                Some(learned.refunded_latest.to_string()),
                payment.ids.stripe_invoice.clone(),
                Some(learned.own_seen_at.to_string()),
            ];
            rows.insert((entry.invoice, key.to_owned()), row);
        }
    }
    // Most are alone: then nothing is sorted or looked up among them.
    let (own_seen_at, order) = match rows.len() {
        1 => ("$15", ""),
        _ => (
            "(select n.own_seen_at
              from $rows n (
                  id, invoice_id, session_id, charge_id, currency,
                  received, refunded, dispute, withheld, received_at, as_of, sessionless,
                  refunded_latest, stripe_invoice_id, own_seen_at)
              where n.invoice_id = stripe_payment.invoice_id and n.id = stripe_payment.id)",
            "order by m.invoice_id, m.id",
        ),
    };
    // An older answer is not written, or is written for an invoice while another one has a newer one.
    let statement = format!(
        "insert into invoice_sync.stripe_payment (
            id, invoice_id, session_id, charge_id, currency, received, refunded,
            dispute, withheld, received_at, as_of, sessionless,
            refunded_latest, stripe_invoice_id, seen_at)
        select m.id, m.invoice_id, m.session_id, m.charge_id, m.currency,
               m.received::bigint, m.refunded::bigint, m.dispute, m.withheld::bigint,
               to_timestamp(m.received_at::float8),
               timestamptz 'epoch' + m.as_of::bigint * interval '1 microsecond',
               m.sessionless::boolean, nullif(m.refunded_latest, m.refunded)::bigint, m.stripe_invoice_id,
               clock_timestamp()
        from $rows m (
            id, invoice_id, session_id, charge_id, currency,
            received, refunded, dispute, withheld, received_at, as_of, sessionless,
            refunded_latest, stripe_invoice_id, own_seen_at)
        {order}
        on conflict (invoice_id, id) do update
        set session_id = coalesce(excluded.session_id, stripe_payment.session_id),
            charge_id = coalesce(excluded.charge_id, stripe_payment.charge_id),
            stripe_invoice_id = coalesce(excluded.stripe_invoice_id, stripe_payment.stripe_invoice_id),
            currency = excluded.currency,
            received = excluded.received,
            refunded = excluded.refunded,
            dispute = excluded.dispute,
            withheld = excluded.withheld,
            received_at = excluded.received_at,
            as_of = excluded.as_of,
            sessionless = excluded.sessionless or stripe_payment.sessionless,
            refunded_latest = excluded.refunded_latest,
            seen_at = excluded.seen_at
        where (stripe_payment.as_of <= excluded.as_of or stripe_payment.as_of > clock_timestamp())
          -- What another session has recorded since it was read, its row may state: it is not taken back.
          and (excluded.refunded >= stripe_payment.refunded
                   and coalesce(excluded.withheld, 0) >= coalesce(stripe_payment.withheld, 0)
                   and (stripe_payment.dispute is null or excluded.dispute = stripe_payment.dispute)
               or stripe_payment.seen_at > clock_timestamp()
               or stripe_payment.seen_at
                   <= timestamptz 'epoch' + {own_seen_at}::bigint * interval '1 microsecond')
        returning (exists (
            select from invoice_sync.stripe_payment m
            where m.id = stripe_payment.id and m.as_of > stripe_payment.as_of and m.as_of <= clock_timestamp()))::text"
    );
    let written: Vec<[Option<String>; 1]> =
        sql::fetch_for_rows(&statement, &[], rows.values().map(sql::borrowed));
    let is_newest = |[has_newer]: &[Option<String>; 1]| has_newer.as_deref() == Some("false");
    if written.len() == rows.len() && written.iter().all(is_newest) {
        return Ok(());
    }
    Err(Problem::new(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "a newer answer from Stripe was applied concurrently",
    ))
}

/// Returns whether Stripe's data show that an intent has no session.
fn is_sessionless(payment: &StripePayment) -> bool {
    let ids = &payment.ids;
    payment.session_side == SessionSide::Read && ids.session.is_none() && ids.intent.is_some()
}

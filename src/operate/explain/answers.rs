//! What Stripe says about the payments of an invoice, now or according to earlier runs.

use super::sources::Sources;
use super::{Asking, Line};
use crate::domain::account::account_of;
use crate::domain::evidence::{Evidence, PaymentState, StripePayment, merge_payments};
use crate::domain::identity::is_payment_link;
use crate::domain::money::{Currency, Money};
use crate::ledger::about_invoice::KnownPayment;
use crate::run::sync_invoice::IdsToAsk;

const STRIPE: &str = "Stripe";

pub(super) fn lines(
    sources: &Sources,
    asking: Asking,
    ids: &IdsToAsk,
    evidence: &[Evidence],
    known: &[KnownPayment],
) -> Vec<Line> {
    let mut lines: Vec<Line> = merge_payments(evidence)
        .iter()
        .map(|payment| answered(payment, asking))
        .chain(evidence.iter().filter_map(unanswerable))
        .collect();
    if asking == Asking::Memory {
        let is_answered = |id: &str| evidence.iter().any(|finding| is_about(finding, id));
        let unanswered = known.iter();
        let unanswered = unanswered.filter(|payment| !payment.ids.iter().any(|id| is_answered(id)));
        lines.extend(unanswered.map(remembered));
        let nothing = ids.all.iter().map(|id| id.trim()).filter(|id| {
            let is_known = |payment: &KnownPayment| payment.ids.iter().any(|own| own == id);
            !is_answered(id) && !known.iter().any(is_known)
        });
        lines.extend(nothing.map(|id| {
            let why = "no earlier run learned that Stripe received money by it";
            Line::new(STRIPE, id, None, why.to_owned())
        }));
    }
    if lines.is_empty() {
        lines.push(without_ids(sources));
    }
    lines
}

fn without_ids(sources: &Sources) -> Line {
    let by = match sources.value("invoice_reference_key").as_str() {
        Some(key) => format!(
            "A payment is found when Stripe reports it, if its metadata \"{key}\" ({}) names the invoice",
            sources.setting("invoice_reference_key")
        ),
        None => format!(
            "A payment cannot be found by its metadata either: {} is null",
            sources.setting("invoice_reference_key")
        ),
    };
    Line::new(
        STRIPE,
        "ids",
        Some("none".to_owned()),
        format!(
            "Neither the invoice nor its payments contain a Stripe id, so Stripe is not asked. {by}"
        ),
    )
}

fn answered(payment: &StripePayment, asking: Asking) -> Line {
    let why = match asking {
        Asking::Stripe => "asked now",
        Asking::Memory => "an earlier answer, which your tables refused to take",
    };
    let request = payment.request_id.as_ref();
    let request = request.map_or_else(String::new, |id| format!(" (request {id})"));
    let mut value = match &payment.state {
        PaymentState::Received(money) => described(
            *money,
            payment.refunded,
            payment.dispute.as_ref().map(|dispute| dispute.as_status()),
        ),
        PaymentState::Waiting(status) => format!("not paid yet ({status})"),
        PaymentState::Never(status) => format!("never paid ({status})"),
        PaymentState::NothingDue => "nothing had to be paid".to_owned(),
        PaymentState::Unknown { field, value } => format!("unknown {field} \"{value}\""),
    };
    if !payment.invoice_references.is_empty() {
        let named = payment.invoice_references.join(", ");
        value = format!("{value}, names invoice {named}");
    }
    let key = payment.ids.key().unwrap_or("a payment");
    let others = others(key, payment.ids.each());
    Line::new(STRIPE, key, Some(value), format!("{why}{request}{others}"))
}

/// Names the other ids of a payment.
fn others<'a>(key: &str, ids: impl Iterator<Item = &'a str>) -> String {
    let others: Vec<&str> = ids.filter(|id| *id != key).collect();
    match others.is_empty() {
        true => String::new(),
        false => format!("; the same payment: {}", others.join(", ")),
    }
}

/// Returns the line for an object that cannot be read.
fn unanswerable(finding: &Evidence) -> Option<Line> {
    let missing;
    let (id, value, why) = match finding {
        Evidence::Payment(_) => return None,
        Evidence::Missing { id, .. } => {
            let account = account_of(id.as_str());
            let account = account.map_or("of the API key".to_owned(), str::to_owned);
            missing = format!("the account {account} does not have it");
            (id.as_str(), "no such object", missing.as_str())
        }
        Evidence::OtherMode { id, .. } => (
            id.as_str(),
            "of the other mode",
            "the API key is of the other mode (test or live)",
        ),
        Evidence::NotAnId { text } if is_payment_link(text) => (
            text.as_str(),
            "a payment link",
            "Stripe is not asked about it; the events of the sessions that are made from it name it",
        ),
        Evidence::NotAnId { text } => (
            text.as_str(),
            "not the id of a Stripe payment",
            "it does not begin as the id of a checkout session, payment intent, charge or Stripe Invoice, so Stripe is not asked",
        ),
    };
    Some(Line::new(
        STRIPE,
        id,
        Some(value.to_owned()),
        why.to_owned(),
    ))
}

fn remembered(payment: &KnownPayment) -> Line {
    let value = match Currency::parse(&payment.currency) {
        Some(currency) => described(
            Money::new(payment.received, currency),
            payment.refunded,
            payment.dispute.as_deref(),
        ),
        None => format!("received {} {}", payment.received, payment.currency),
    };
    let others = others(&payment.id, payment.ids.iter().map(String::as_str));
    let why = format!("from memory, as of {}{others}", payment.as_of);
    Line::new(STRIPE, &payment.id, Some(value), why)
}

fn described(received: Money, refunded: i64, dispute: Option<&str>) -> String {
    if received.minor == 0 {
        return "received nothing".to_owned();
    }
    let mut text = format!("received {received}");
    if refunded > 0 {
        let refunded = Money::new(refunded, received.currency);
        text = format!("{text}, refunded {refunded}");
    }
    if let Some(status) = dispute {
        text = format!("{text}, dispute: {status}");
    }
    text
}

fn is_about(finding: &Evidence, id: &str) -> bool {
    match finding {
        Evidence::Payment(payment) => payment.ids.contains(id),
        Evidence::Missing { id: own, .. } | Evidence::OtherMode { id: own, .. } => {
            own.as_str() == id
        }
        Evidence::NotAnId { text } => text.trim() == id,
    }
}

//! Stripe Invoices and the payments that paid them. What counts is what each payment received, never what the Stripe
//! Invoice states as paid: a customer's balance, a credit note or a payment outside of Stripe brings no money.
//!
//! Sources: <https://docs.stripe.com/api/invoices/object>, <https://docs.stripe.com/api/invoice-payment/object>,
//! <https://docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices>.

use serde_json::Value;

use super::client::Client;
use super::error::StripeError;
use super::fields::{expect_object, flag, id_of, integer, text};
use super::lists::read_list;
use super::objects::{self, Reading};
use super::reductions;
use crate::domain::evidence::{Gratuity, PaymentState, SessionSide, StripePayment};
use crate::domain::identity::{PaymentIds, StripeId};
use crate::domain::money::Money;
use crate::domain::reductions::Reductions;
use crate::pg::Stop;

/// A Stripe Invoice as evidence.
struct StripeInvoice {
    /// What it says itself: its id, its state if no payment paid it, and what its metadata name.
    said: StripePayment,
    /// The intents and charges that paid it.
    payments: Vec<Part>,
    /// The one that replaced it, if it is void because it was revised.
    revision: Option<StripeId>,
}

/// A payment of a Stripe Invoice.
pub(super) struct Part {
    /// The intent or the charge.
    payment: StripeId,
    /// How much of it paid this Stripe Invoice, in Stripe's smallest unit, if that is known.
    paid: Option<i64>,
}

/// Returns the payments by which a Stripe Invoice was paid, or what it says if there are none; `ask` requests one of them.
/// Without the permission to read it, it may still be paid.
pub(super) fn retrieve(
    invoice: &StripeId,
    client: &Client,
    reading: &Reading,
    stop: &Stop,
    ask: impl Fn(&StripeId) -> Result<Vec<StripePayment>, StripeError>,
) -> Result<Vec<StripePayment>, StripeError> {
    let found = match read(invoice.as_str(), client, reading, stop) {
        Err(StripeError::Forbidden { message }) => {
            let state = PaymentState::Waiting(format!("it could not be read: {message}"));
            return Ok(vec![StripePayment {
                invoice_was_read: true,
                ..without_payment(invoice.as_str(), state)
            }]);
        }
        other => other?,
    };
    let found = match found.revision {
        Some(revision) if found.payments.is_empty() => {
            let mut revised = read(revision.as_str(), client, reading, stop)?;
            revised.said.former_ids.push(invoice.as_str().to_owned());
            revised
        }
        _ => found,
    };
    let (mut payments, mut shared) = (Vec::new(), Vec::new());
    for part in &found.payments {
        for payment in ask(&part.payment)? {
            if let Some(payment) = part.of_several(&payment) {
                shared.push(payment);
                continue;
            }
            let said = found.said_with(payments.is_empty());
            payments.push(payment.with_stripe_invoice(said));
        }
    }
    if payments.is_empty() {
        payments.push(found.said);
    }
    payments.extend(shared);
    Ok(payments)
}

/// Returns the payments by which a session's Stripe Invoice was paid, with what the session says of them; `ask`
/// requests one of them. If the key may not read them, the session stays the only thing that is known of the payment.
pub(super) fn payments_of(
    invoice: &str,
    session: StripePayment,
    client: &Client,
    reading: &Reading,
    stop: &Stop,
    ask: impl Fn(&StripeId) -> Result<Vec<StripePayment>, StripeError>,
) -> Result<Vec<StripePayment>, StripeError> {
    let found = match read(invoice, client, reading, stop) {
        Err(
            StripeError::Forbidden { .. }
            | StripeError::Refused { .. }
            | StripeError::NoSuchObject { .. },
        ) => return Ok(vec![session]),
        other => other?,
    };
    let (mut payments, mut shared) = (Vec::new(), Vec::new());
    for part in &found.payments {
        for payment in ask(&part.payment)? {
            if let Some(payment) = part.of_several(&payment) {
                shared.push(payment);
                continue;
            }
            let is_first = payments.is_empty();
            let mut session = session.clone();
            if !is_first {
                // The session states one gratuity for all of them.
                session.gratuity = Gratuity::None;
            }
            let payment = payment.with_session(session);
            payments.push(payment.with_stripe_invoice(found.said_with(is_first)));
        }
    }
    if payments.is_empty() {
        let mut session = session;
        if let PaymentState::Received(total) = &session.state {
            session.state = PaymentState::Received(Money::new(0, total.currency));
        }
        payments.push(session.with_stripe_invoice(found.said));
    }
    payments.extend(shared);
    Ok(payments)
}

/// Adds the Stripe Invoice that an intent paid, if there is one, and returns the payment unchanged if it may not be
/// read. One that paid several names none of them.
pub(super) fn with_invoice_of(
    payment: StripePayment,
    client: &Client,
    reading: &Reading,
    stop: &Stop,
) -> Result<StripePayment, StripeError> {
    let Some(intent) = payment.ids.intent.as_deref() else {
        return Ok(payment);
    };
    if payment.reductions.of_others > 0 {
        return Ok(payment);
    }
    let query = [
        ("payment[type]", "payment_intent"),
        ("payment[payment_intent]", intent),
        ("status", "paid"),
        ("limit", "1"),
        ("expand[]", "data.invoice"),
    ];
    let page = match client.get("/v1/invoice_payments", &query, stop) {
        Err(
            StripeError::Forbidden { .. }
            | StripeError::Refused { .. }
            | StripeError::NoSuchObject { .. },
        ) => return Ok(payment),
        answer => read_list(answer?)?,
    };
    let first = page.objects.first();
    if let Some(of_several) = first
        .and_then(part_of)
        .and_then(|it| it.of_several(&payment))
    {
        return Ok(of_several);
    }
    let paid = first.and_then(|it| it.get("invoice"));
    match paid.filter(|it| it.is_object()) {
        Some(invoice) => {
            let mut said = said(invoice, reading)?;
            // Of several payments, the first has the reasons for a lower sum, when the Stripe Invoice itself is read.
            said.reductions = Reductions::default();
            Ok(payment.with_stripe_invoice(said))
        }
        None => Ok(payment),
    }
}

impl Part {
    /// Returns the payment if more was received by it than it paid of this Stripe Invoice: it paid others, too, and it
    /// names none of them, because it is the payment of none of them as a whole.
    pub(super) fn of_several(&self, payment: &StripePayment) -> Option<StripePayment> {
        let PaymentState::Received(received) = payment.state else {
            return None;
        };
        let of_others = received.minor.saturating_sub(self.paid?);
        (of_others > 0).then(|| {
            let mut payment = payment.clone();
            payment.reductions.of_others = of_others;
            payment
        })
    }

    fn add(&mut self, other: &Self) {
        let both = self.paid.zip(other.paid);
        self.paid = both.map(|(paid, other)| paid.saturating_add(other));
    }
}

impl StripeInvoice {
    /// Returns what it says of one of its payments: what was taken off its price is said once.
    fn said_with(&self, is_first: bool) -> StripePayment {
        let mut said = self.said.clone();
        if !is_first {
            said.reductions = Reductions::default();
        }
        said
    }
}

fn read(
    invoice: &str,
    client: &Client,
    reading: &Reading,
    stop: &Stop,
) -> Result<StripeInvoice, StripeError> {
    if client.is_before_basil() {
        return read_before_basil(invoice, client, reading, stop);
    }
    let mut payments = Vec::new();
    let mut elsewhere = None;
    let mut body: Option<(Value, i64)> = None;
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![
            ("invoice", invoice),
            ("status", "paid"),
            ("expand[]", "data.invoice"),
        ];
        query.extend(after.as_deref().map(|after| ("starting_after", after)));
        let page = read_list(client.get_page("/v1/invoice_payments", &query, stop)?)?;
        let expanded = page.objects.first().and_then(|it| it.get("invoice"));
        let expanded = expanded.filter(|it| it.is_object());
        let paid = body.as_ref().map(|(body, _)| body).or(expanded);
        if let Some(paid) = paid.and_then(|paid| paid.get("amount_paid")?.as_i64()) {
            let rest: &mut i64 = elsewhere.get_or_insert(paid);
            for payment in &page.objects {
                if part_of(payment).is_some() {
                    *rest = rest.saturating_sub(integer(payment, "amount_paid")?);
                }
            }
        }
        for part in page.objects.iter().filter_map(part_of) {
            let mut known = payments.iter_mut();
            match known.find(|known: &&mut Part| known.payment == part.payment) {
                Some(known) => known.add(&part),
                None => payments.push(part),
            }
        }
        if body.is_none() {
            body = expanded.cloned().map(|expanded| (expanded, page.asked_at));
        }
        after = page.objects.last().and_then(id_of).map(str::to_owned);
        if !page.has_more || after.is_none() {
            break;
        }
    }
    let (body, asked_at) = match body {
        Some(body) => body,
        None => {
            let answer = client.get(&format!("/v1/invoices/{invoice}"), &[], stop)?;
            elsewhere = answer.body.get("amount_paid").and_then(Value::as_i64);
            (answer.body, answer.asked_at)
        }
    };
    finish(body, asked_at, payments, elsewhere, reading)
}

fn read_before_basil(
    invoice: &str,
    client: &Client,
    reading: &Reading,
    stop: &Stop,
) -> Result<StripeInvoice, StripeError> {
    let answer = client.get(&format!("/v1/invoices/{invoice}"), &[], stop)?;
    let body = answer.body;
    let is_elsewhere = body.get("paid_out_of_band").and_then(Value::as_bool) == Some(true);
    let named = ["payment_intent", "charge"].map(|field| body.get(field).and_then(id_of));
    let payment = named.into_iter().flatten().find_map(StripeId::parse);
    // It names its intent from the first attempt on, and keeps it when it is paid in another way.
    let payment = payment.filter(|_| !is_elsewhere);
    let part = payment.map(|payment| Part {
        payment,
        paid: None,
    });
    let payments = part.into_iter().collect();
    let elsewhere = body.get("amount_paid").and_then(Value::as_i64);
    let elsewhere = elsewhere.filter(|_| is_elsewhere);
    finish(body, answer.asked_at, payments, elsewhere, reading)
}

fn finish(
    body: Value,
    asked_at: i64,
    payments: Vec<Part>,
    elsewhere: Option<i64>,
    reading: &Reading,
) -> Result<StripeInvoice, StripeError> {
    let mut said = said(&body, reading)?;
    said.as_of = asked_at;
    said.invoice_was_read = true;
    if text(&body, "status")? == "paid" {
        said.reductions.elsewhere = elsewhere.unwrap_or(0).max(0);
    }
    let revision = body.get("latest_revision").and_then(id_of);
    let revision = revision.filter(|it| *it != text(&body, "id").unwrap_or_default());
    let is_void = text(&body, "status")? == "void";
    Ok(StripeInvoice {
        said,
        payments,
        revision: revision.filter(|_| is_void).and_then(StripeId::parse),
    })
}

/// Reads what a Stripe Invoice says without its payments. Its own metadata go before those of its subscription, which
/// are the same for each renewal.
fn said(invoice: &Value, reading: &Reading) -> Result<StripePayment, StripeError> {
    expect_object(invoice, "invoice")?;
    let id = text(invoice, "id")?;
    let state = match text(invoice, "status")? {
        // What is written off may still be paid.
        waiting @ ("draft" | "open" | "uncollectible") => PaymentState::Waiting(waiting.to_owned()),
        "void" => PaymentState::Never("void".to_owned()),
        "paid" if integer(invoice, "total")? <= 0 => PaymentState::NothingDue,
        "paid" => match objects::received(invoice, "total")? {
            PaymentState::Received(total) => PaymentState::Received(Money::new(0, total.currency)),
            other => other,
        },
        other => objects::unknown("Stripe Invoice status", other),
    };
    let mut said = without_payment(id, state);
    said.livemode = Some(flag(invoice, "livemode")?);
    said.former_ids.extend(revised(invoice));
    said.reductions = reductions::of_invoice(invoice);
    said.invoice_references = objects::names(invoice.get("metadata"), reading);
    if said.invoice_references.is_empty() {
        said.invoice_references = objects::names(of_subscription(invoice), reading);
        said.is_renewal_of_named = !said.invoice_references.is_empty()
            && invoice.get("billing_reason").and_then(Value::as_str) != Some("subscription_create");
    }
    Ok(said)
}

/// Returns the Stripe Invoice of which this one is a revision: it is void once this one is finalized. Source:
/// <https://docs.stripe.com/api/invoices/object#invoice_object-from_invoice>.
fn revised(invoice: &Value) -> Option<String> {
    let origin = invoice.get("from_invoice")?;
    let is_revision = origin.get("action")?.as_str()? == "revision";
    let revised = origin.get("invoice").and_then(id_of)?;
    is_revision.then(|| revised.to_owned())
}

/// Returns the metadata of the subscription, as they were when the Stripe Invoice was finalized.
/// Source: <https://docs.stripe.com/api/invoices/object#invoice_object-parent-subscription_details-metadata>.
fn of_subscription(invoice: &Value) -> Option<&Value> {
    let since_basil = invoice.pointer("/parent/subscription_details/metadata");
    since_basil.or_else(|| invoice.pointer("/subscription_details/metadata"))
}

/// Returns whether the metadata of a Stripe Invoice or its subscription name an invoice.
pub(super) fn names_an_invoice(invoice: &Value, reading: &Reading) -> bool {
    let mut metadata = [invoice.get("metadata"), of_subscription(invoice)].into_iter();
    metadata.any(|metadata| !objects::names(metadata, reading).is_empty())
}

fn without_payment(invoice: &str, state: PaymentState) -> StripePayment {
    StripePayment {
        ids: PaymentIds {
            stripe_invoice: Some(invoice.to_owned()),
            ..PaymentIds::default()
        },
        former_ids: Vec::new(),
        state,
        as_of: 0,
        tells_returns: false,
        refunded: 0,
        dispute: None,
        withheld: 0,
        session_side: SessionSide::Read,
        livemode: None,
        gratuity: Gratuity::None,
        invoice_references: Vec::new(),
        is_renewal_of_named: false,
        invoice_was_read: false,
        received_at: None,
        balance_transaction: None,
        net: None,
        reductions: Reductions::default(),
        attributes: Default::default(),
        is_unsettled: false,
        request_id: None,
    }
}

/// Returns what an Invoice Payment says; `None` for a payment outside of Stripe (`payment_record`).
pub(super) fn part_of(invoice_payment: &Value) -> Option<Part> {
    let integer = |of: &Value, field: &str| of.get(field).and_then(Value::as_i64);
    let named = invoice_payment.get("payment")?;
    // What was paid too much is the customer's credit, and paid no other Stripe Invoice.
    let invoice = invoice_payment.get("invoice");
    let overpaid = invoice.and_then(|it| integer(it, "amount_overpaid"));
    let paid = integer(invoice_payment, "amount_paid");
    let id = |field: &str| named.get(field).and_then(id_of).and_then(StripeId::parse);
    Some(Part {
        payment: id("payment_intent").or_else(|| id("charge"))?,
        paid: paid.map(|paid| paid.saturating_add(overpaid.unwrap_or(0))),
    })
}

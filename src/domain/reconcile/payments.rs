//! Judges one Stripe payment: whether it is money of this invoice, refunded or disputed.

use serde_json::json;

use super::receipt::Receipt;
use super::{Draft, Facts, booking, books, sharing};
use crate::domain::evidence::{Dispute, Gratuity, PaymentState, StripePayment};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::{AmountUnit, Currency, Money};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::recheck::{HELD, Recheck};
use crate::domain::rules::{Remembered, Rules};

impl Draft {
    /// Returns the money of a payment for this invoice; `None` if there is none, or it may not be booked.
    pub(super) fn judge_payment<'p>(
        &mut self,
        payment: &'p StripePayment,
        currency: Currency,
        facts: &Facts,
        rules: &Rules,
    ) -> Option<Receipt<'p>> {
        let label = facts.invoice.label();
        let key = payment.ids.key();
        let name = key.unwrap_or("a payment");
        let references = &payment.invoice_references;
        let is_named = references.iter().any(|r| facts.invoice.answers_to(r));
        if !is_named && facts.is_let_go(payment) {
            self.disown(payment, name);
            return None;
        }
        // Another account is asked in the mode that it is named for, which need not be that of the key.
        if let (Some(ours), Some(theirs)) = (rules.livemode, payment.livemode)
            && ours != theirs
            && payment.ids.account().is_none()
        {
            self.issues.push(
                Issue::new(
                    IssueKind::LivemodeMismatch,
                    Severity::Warning,
                    format!("Invoice {label} refers to {name}, which belongs to Stripe's other mode (test or live) and was not booked. Correct the id, or set an API key of that mode."),
                )
                .about(key)
                .with_evidence(json!({ "id": key, "livemode": theirs })),
            );
            return None;
        }
        let received = match &payment.state {
            PaymentState::Received(money) if money.minor > 0 => *money,
            PaymentState::Received(_) | PaymentState::NothingDue => {
                if let PaymentState::Received(nothing) = payment.state
                    && (references.is_empty() || is_named)
                {
                    self.keep_reductions(payment, nothing);
                }
                self.reason(format!("{name}: nothing had to be paid"));
                self.free.extend(payment.ids.each().map(str::to_owned));
                return None;
            }
            PaymentState::Waiting(status) => {
                self.reason(format!("{name}: not paid yet ({status})"));
                self.recheck = Recheck::BackingOff;
                self.unpaid.push(payment.clone());
                return None;
            }
            PaymentState::Never(status) => {
                self.reason(format!("{name}: was never paid ({status})"));
                self.unpaid.push(payment.clone());
                return None;
            }
            PaymentState::Unknown { field, value } => {
                self.conclude_nothing_from_absence();
                let ids = payment.ids.each().map(str::to_owned);
                self.plan.unclear.extend(ids);
                self.issues.push(
                    Issue::new(
                        IssueKind::UnknownStatus,
                        Severity::Warning,
                        format!("Stripe reports the {field} \"{value}\" for {name} of invoice {label}, which this version of invoice_sync does not know, so nothing was booked. Check the payment in Stripe, and update the extension."),
                    )
                    .about(key)
                    .with_evidence(json!({ "id": key, "field": field, "value": value })),
                );
                return None;
            }
        };
        // A payment that is booked for this invoice was assigned by someone; the row of a refund is not the payment.
        let is_booked = facts.rows_of(&payment.ids).any(PaymentRow::was_received);
        if payment.lacks_session() && !is_booked {
            self.leave_until_session_is_read(payment, name);
            return None;
        }
        // An id that is stored goes before the name of a subscription.
        let is_stored_renewal = payment.is_renewal_of_named && facts.refer_to(payment);
        if !references.is_empty() && !is_named && !is_booked && !is_stored_renewal {
            self.issues.push(
                Issue::new(
                    IssueKind::UnlinkedPayment,
                    Severity::Warning,
                    format!(
                        "Stripe received {received} by {name}, to which invoice {label} refers, but the payment itself names invoice {}, so it was not booked. Book it for the right invoice (link_payment).",
                        references.join(", ")
                    ),
                )
                .about(key)
                .with_evidence(json!({ "id": key, "received": received.to_string(), "names_invoice": references })),
            );
            return None;
        }
        if received.currency != currency {
            self.issues.push(
                Issue::new(
                    IssueKind::CurrencyMismatch,
                    Severity::Warning,
                    format!("Stripe received {received} by {name}, but invoice {label} is in {currency}, so it was not booked. Record the payment by hand, or correct the currency of the invoice."),
                )
                .about(key)
                .with_evidence(json!({ "id": key, "received": received.to_string(), "invoice_currency": currency.code() })),
            );
            return None;
        }
        let (mut refunded, mut dispute) = (payment.refunded, payment.dispute.clone());
        let mut withheld = payment.withheld;
        if !payment.tells_returns
            && let Some(known) = facts.memory.of(&payment.ids)
        {
            refunded = refunded.max(known.refunded_latest);
            dispute = dispute.or_else(|| known.dispute.clone());
            withheld = withheld.max(known.withheld);
        }
        let receipt = Receipt {
            payment,
            received,
            gratuity: self.judge_gratuity(payment, received, rules.gratuity_unit, facts),
            refunded: Money::new(refunded.clamp(0, received.minor), currency),
            dispute,
            withheld: Money::new(withheld.clamp(0, received.minor), currency),
        };
        self.remember(&receipt, facts);
        self.keep_reductions(payment, received);
        Some(receipt)
    }

    /// Records that the invoice no longer refers to the payment. Its issues here are resolved when another invoice,
    /// or an issue about the payment alone, covers the money.
    fn disown(&mut self, payment: &StripePayment, name: &str) {
        self.reason(format!("{name}: the invoice no longer refers to it"));
        for id in payment.ids.each() {
            self.plan.judged.remove(id);
            self.plan.disowned.insert(id.to_owned());
        }
        self.recheck = self.recheck.sooner(HELD);
    }

    /// Leaves the payment undecided until its session is read: the session may name the invoice, or a gratuity.
    fn leave_until_session_is_read(&mut self, payment: &StripePayment, name: &str) {
        let why = format!("{name}: its checkout session was not read");
        self.reason(why.clone());
        self.plan.unread.get_or_insert(why);
        for id in payment.ids.each() {
            self.plan.judged.remove(id);
        }
        self.conclude_nothing_from_absence();
        self.recheck = Recheck::NextSweep;
    }

    pub(super) fn reason(&mut self, reason: String) {
        self.plan.reasons.push(reason);
    }

    /// Records what is known about the payment. For this pass, Stripe's answer counts at once. For later runs, a
    /// refunded amount is not lowered while a row still states the higher one, and the amount received is not raised while
    /// a row still states the lower one: the stored amount is what allows a later run to change that row.
    fn remember(&mut self, receipt: &Receipt, facts: &Facts) {
        let ids = &receipt.payment.ids;
        let remembered = Remembered {
            ids: ids.clone(),
            as_of: receipt.payment.as_of,
            seen_at: receipt.payment.as_of,
            own_seen_at: facts.memory.of(ids).map_or(0, |known| known.own_seen_at),
            currency: Some(receipt.received.currency),
            received: receipt.received.minor,
            refunded: receipt.refunded.minor,
            refunded_latest: receipt.refunded.minor,
            dispute: receipt.dispute.clone(),
            withheld: receipt.withheld.minor,
            is_own: true,
        };
        let mut learned = remembered.clone();
        let rows = facts.rows.iter().filter(|row| row.ids.same_payment(ids));
        for row in rows {
            if let Some(before) = facts.memory.of(ids)
                && before.refunded > remembered.refunded
                && books::refunded_by_row(row, remembered.received) > remembered.refunded
            {
                // A part stays a part.
                let kept = match before.refunded >= before.received {
                    true => before.refunded,
                    false => before.refunded.min(remembered.received.saturating_sub(1)),
                };
                learned.refunded = learned.refunded.max(kept);
                self.plan
                    .undecided
                    .extend([IssueKind::Refunded, IssueKind::PartiallyRefunded]);
            }
            if row.status == PaymentStatus::Disputed && receipt.gives_back(facts.memory.of(ids)) {
                self.plan.undecided.insert(IssueKind::Disputed);
                if receipt.dispute != Some(Dispute::Settled)
                    && let Some(before) = facts.memory.of(ids)
                {
                    // Until the row follows: an inquiry does not say that money was withheld.
                    learned.withheld = learned.withheld.max(before.withheld);
                }
            }
        }
        if self.note_refund_in_vain(receipt, facts)
            && let Some(before) = facts.memory.of(ids)
        {
            learned.refunded = learned.refunded.max(before.refunded);
        }
        if let Some(before) = received_until_row_grows(receipt, facts)
            && learned.refunded < before
        {
            learned.received = before;
        }
        for id in [&ids.session, &ids.intent, &ids.charge]
            .into_iter()
            .flatten()
        {
            self.known.insert(id.clone(), remembered.clone());
            self.plan.learned.0.insert(id.clone(), learned.clone());
            if let Some(at) = receipt.payment.received_at {
                self.received_at.insert(id.clone(), at);
            }
        }
    }

    /// Records nothing about a payment that another invoice has: it would count as this invoice's own once the other
    /// no longer has it, even if this invoice did not refer to it any more.
    pub(super) fn do_not_learn(&mut self, receipt: &Receipt) {
        for id in receipt.payment.ids.each() {
            self.plan.learned.0.remove(id);
        }
    }

    /// Returns the gratuity if it is between 0 and the amount received; otherwise returns 0 and raises an issue.
    fn judge_gratuity(
        &mut self,
        payment: &StripePayment,
        received: Money,
        unit: AmountUnit,
        facts: &Facts,
    ) -> Money {
        let none = Money::new(0, received.currency);
        let outside = |money| format!("{money} does not lie between 0 and the {received} received");
        let problem = match &payment.gratuity {
            Gratuity::None => return none,
            Gratuity::Tip(minor) => match Money::new(*minor, received.currency) {
                money if (0..=received.minor).contains(&money.minor) => return money,
                money => outside(money),
            },
            Gratuity::Text(text) => match Money::from_units(text, unit, received.currency) {
                Ok(money) if (0..=received.minor).contains(&money.minor) => return money,
                Ok(money) => outside(money),
                Err(error) => error.to_string(),
            },
            Gratuity::Contradictory(a, b) => {
                format!("session and payment intent contradict each other: \"{a}\" and \"{b}\"")
            }
        };
        let key = payment.ids.key();
        self.issues.push(
            Issue::new(
                IssueKind::AmountMismatch,
                Severity::Warning,
                format!(
                    "The gratuity of {} for invoice {} is not valid ({problem}), so 0 was used. Check the payment in Stripe, and correct its row if necessary.",
                    key.unwrap_or("a payment"),
                    facts.invoice.label()
                ),
            )
            .about(key)
            .with_evidence(json!({ "id": key, "gratuity": problem, "received": received.to_string() })),
        );
        none
    }

    pub(super) fn note_refund(&mut self, receipt: &Receipt, facts: &Facts) {
        if receipt.refunded.minor == 0 {
            return;
        }
        let (kind, how) = if receipt.wholly_refunded() {
            (IssueKind::Refunded, "in full")
        } else {
            (IssueKind::PartiallyRefunded, "in part")
        };
        let name = receipt.key().unwrap_or("a payment");
        let label = facts.invoice.label();
        let mut summary = format!(
            "Stripe refunded {} of the {} that invoice {label} received by {name} ({how}).",
            receipt.refunded, receipt.received,
        );
        let mut evidence = json!({
            "id": receipt.key(),
            "received": receipt.received.to_string(),
            "refunded": receipt.refunded.to_string(),
        });
        if let Some(others) = sharing::parts_of_others(receipt, facts) {
            let others = others.invoices();
            summary = format!(
                "{summary} The payment is shared with invoice {}, and Stripe does not say for which of them it was refunded.",
                others.join(", ")
            );
            evidence["shared_with"] = json!(others);
        }
        summary.push_str(" Decide whether the refunded money still counts for the invoice (mark_refunded or ignore).");
        self.issues.push(
            Issue::new(kind, Severity::Warning, summary)
                .about(receipt.key())
                .with_evidence(evidence),
        );
    }

    pub(super) fn note_dispute(&mut self, receipt: &Receipt, facts: &Facts) {
        let label = facts.invoice.label();
        let name = receipt.key().unwrap_or("a payment");
        let amount = if receipt.is_partly_withheld() {
            format!("{} of the {}", receipt.withheld, receipt.received)
        } else {
            receipt.received.to_string()
        };
        let (severity, status, text) = match &receipt.dispute {
            None | Some(Dispute::Settled) => return,
            Some(Dispute::Inquiry(status)) => (
                Severity::Notice,
                status.as_str(),
                format!(
                    "The customer's bank inquires about {} by {name} for invoice {label}. No money was withdrawn. Answer the inquiry in Stripe.",
                    receipt.received
                ),
            ),
            Some(Dispute::Open(status)) => (
                Severity::Critical,
                status.as_str(),
                format!(
                    "The customer disputes {amount} by {name} for invoice {label}. Stripe has withdrawn the money until the bank decides. Answer the dispute in Stripe."
                ),
            ),
            Some(Dispute::Lost) => (
                Severity::Critical,
                "lost",
                format!(
                    "The dispute about {amount} by {name} for invoice {label} was lost, and the money was returned to the customer. Decide whether it still counts for the invoice (mark_refunded or ignore)."
                ),
            ),
            Some(Dispute::Unknown(status)) => (
                Severity::Critical,
                status.as_str(),
                format!(
                    "The customer disputes {amount} by {name} for invoice {label}. Stripe reports a status of the dispute that this version of invoice_sync does not know. Check the dispute in Stripe."
                ),
            ),
        };
        let mut evidence = json!({
            "id": receipt.key(),
            "received": receipt.received.to_string(),
            "dispute_status": status,
        });
        if receipt.is_partly_withheld() {
            evidence["withheld"] = json!(receipt.withheld.to_string());
        }
        self.issues.push(
            Issue::new(IssueKind::Disputed, severity, text)
                .about(receipt.key())
                .with_evidence(evidence),
        );
    }
}

/// Returns what had been received of a payment of which more was captured since, if its row does not state more yet.
/// Without a column for the gratuity, only an answer with the session says whether the row states all of it.
fn received_until_row_grows(receipt: &Receipt, facts: &Facts) -> Option<i64> {
    let ids = &receipt.payment.ids;
    let before = facts.memory.of(ids)?.received;
    let rows: Vec<&PaymentRow> = facts.rows_of(ids).collect();
    let row = booking::row_of(&rows, receipt).filter(|row| row.was_received())?;
    let may_state_it = receipt.payment.lacks_session()
        && !row.gratuity.is_mapped()
        && (1..=before).contains(&row.amount_minor());
    let has_grown = receipt.received.minor > before;
    (has_grown && (may_state_it || booking::grown_amount(row, receipt, facts).is_some()))
        .then_some(before)
}

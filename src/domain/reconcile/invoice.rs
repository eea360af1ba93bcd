//! Decides what the payment rows mean for the invoice row.

use serde_json::json;

use super::receipt::Receipt;
use super::{Draft, Facts, books};
use crate::domain::invoice::{Field, Invoice, InvoiceStatus};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::{Currency, Money};
use crate::domain::payment::PaymentRow;
use crate::domain::plan::InvoiceChange;
use crate::domain::rules::Rules;

/// The sums that the invoice is compared with, in Stripe's smallest unit.
struct Sums {
    total: i64,
    /// The amount paid according to the invoice.
    stated: i64,
    /// The amount paid according to the invoice and to what came since, if that is known.
    stated_now: Option<i64>,
    /// The amount paid according to the rows, minus refunds.
    secured: i64,
    /// The amount received according to the rows, refunds included.
    received: i64,
    currency: Currency,
}

impl Sums {
    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    fn covered(&self) -> bool {
        self.secured >= self.total
    }

    /// Returns the amount paid to write; never below the invoice's own.
    fn amount_paid(&self) -> i64 {
        let stated = self.stated_now.unwrap_or(self.stated);
        stated.max(self.stated).max(self.secured)
    }

    /// Returns the remaining balance. It never rises if the status is Paid or there is no amount paid, because then
    /// the balance itself shows what was paid.
    fn balance(&self, invoice: &Invoice) -> i64 {
        let left = self.total.saturating_sub(self.amount_paid()).max(0);
        let may_rise =
            invoice.status != InvoiceStatus::Paid && invoice.amount_paid.value().is_some();
        match invoice.balance.value() {
            Some(now) if !may_rise => left.min(now.minor),
            _ => left,
        }
    }
}

impl Draft {
    pub(super) fn judge_invoice(
        &mut self,
        currency: Currency,
        facts: &Facts,
        receipts: &[Receipt],
        after: &[PaymentRow],
        rules: &Rules,
    ) {
        let invoice = facts.invoice;
        let sums = Sums {
            total: invoice.total.value().map_or(0, |money| money.minor),
            stated: invoice.amount_paid.value().map_or(0, |money| money.minor),
            secured: books::secured(after, &self.known),
            received: books::received(after, &self.known),
            stated_now: self.settled_beside_rows(facts, receipts, after),
            currency,
        };
        if invoice.status == InvoiceStatus::Unknown && sums.secured > 0 {
            self.plan.unknown_word = Some(invoice.status_word.clone());
        }
        if let Some(why) = unreadable(invoice) {
            self.judge_without_amounts(&sums, facts, after, why);
            return;
        }
        if sums.total <= 0 {
            self.judge_zero_total(&sums, invoice);
            return;
        }
        let booked_now =
            facts.before.is_some() || sums.secured > books::secured(facts.rows, &self.known);
        self.plan.invoice = self
            .raise(&sums, facts, after, booked_now, rules)
            .or_nothing();
        self.note_overpayment(&sums, invoice);
        if invoice.status == InvoiceStatus::Paid && !after.iter().any(PaymentRow::was_received) {
            self.note_paid_without_payment(facts);
        } else if !facts.invoice_is_record {
            self.note_missing_payment(&sums, invoice);
        }
    }

    /// Raises issues without changing amounts that cannot be read. An invoice without a total and without any money
    /// is not an issue.
    fn judge_without_amounts(
        &mut self,
        sums: &Sums,
        facts: &Facts,
        after: &[PaymentRow],
        why: String,
    ) {
        let invoice = facts.invoice;
        self.plan.undecided.insert(IssueKind::Overpaid);
        self.conclude_nothing_from_no_change();
        let is_paid = invoice.status == InvoiceStatus::Paid;
        if is_paid && !after.iter().any(PaymentRow::was_received) {
            self.note_paid_without_payment(facts);
        }
        let unpriced = invoice.total == Field::Null && !is_paid;
        if !unpriced || sums.received != 0 || sums.stated != 0 {
            self.amount_mismatch(invoice, why.clone(), json!({ "problem": why }));
        }
    }

    /// Raises an issue about money for an invoice whose total is zero or less; such an invoice is never set to Paid.
    fn judge_zero_total(&mut self, sums: &Sums, invoice: &Invoice) {
        if sums.secured > 0 {
            self.amount_mismatch(
                invoice,
                format!(
                    "its total is {}, but {} was paid",
                    sums.money(sums.total),
                    sums.money(sums.secured)
                ),
                json!({
                    "total": sums.money(sums.total).to_string(),
                    "paid": sums.money(sums.secured).to_string(),
                }),
            );
        }
    }

    /// Returns the change that brings the invoice up to the rows.
    fn raise(
        &self,
        sums: &Sums,
        facts: &Facts,
        after: &[PaymentRow],
        booked_now: bool,
        rules: &Rules,
    ) -> InvoiceChange {
        let invoice = facts.invoice;
        let balance = sums.money(sums.balance(invoice));
        let understated = match &invoice.amount_paid {
            Field::Unmapped => invoice
                .balance
                .value()
                .is_some_and(|now| now.minor > balance.minor),
            _ => sums.stated < sums.secured,
        };
        // Below the total, the application may have its own reasons for a status (Overdue although partly paid), so
        // the status changes only together with the amounts.
        if sums.secured <= 0 || !(sums.covered() || booked_now || understated) {
            return InvoiceChange::default();
        }
        // A word that may mean refunded or cancelled: only what just came is written.
        let is_unknown = invoice.status == InvoiceStatus::Unknown;
        if is_unknown && !booked_now {
            return InvoiceChange::default();
        }
        let status = match invoice.status {
            InvoiceStatus::Open | InvoiceStatus::Partial if sums.covered() => {
                Some(InvoiceStatus::Paid)
            }
            InvoiceStatus::Open => {
                Some(InvoiceStatus::Partial).filter(|_| rules.invoice_words.partial.is_some())
            }
            _ => None,
        };
        let becomes_paid =
            status == Some(InvoiceStatus::Paid) || (booked_now && sums.covered() && !is_unknown);
        InvoiceChange {
            status,
            amount_paid: corrected(&invoice.amount_paid, sums.money(sums.amount_paid())),
            balance: corrected(&invoice.balance, balance),
            paid_at: (becomes_paid && invoice.paid_at == Field::Null)
                .then(|| self.last_payment_at(after).unwrap_or(facts.now)),
        }
    }

    /// Returns when the last money was received, by Stripe's time or else by the row's date.
    fn last_payment_at(&self, after: &[PaymentRow]) -> Option<i64> {
        after
            .iter()
            .filter(|row| row.was_received() && row.amount_minor() > 0)
            .filter_map(|row| {
                row.ids
                    .lookup()
                    .find_map(|id| self.received_at.get(id).copied())
                    .or(row.paid_at)
            })
            .max()
    }

    fn note_overpayment(&mut self, sums: &Sums, invoice: &Invoice) {
        if sums.secured <= sums.total {
            return;
        }
        let excess = sums.money(sums.secured.saturating_sub(sums.total));
        self.issues.push(
            Issue::new(
                IssueKind::Overpaid,
                Severity::Warning,
                format!(
                    "Invoice {} has a total of {}, but {} was paid: {excess} too much. Refund the excess in Stripe, or accept the amount (accept_amount).",
                    invoice.label(),
                    sums.money(sums.total),
                    sums.money(sums.secured),
                ),
            )
            .with_evidence(json!({
                "total": sums.money(sums.total).to_string(),
                "paid": sums.money(sums.secured).to_string(),
                "excess": excess.to_string(),
            })),
        );
    }

    /// Raises an issue if the invoice states more than the rows.
    fn note_missing_payment(&mut self, sums: &Sums, invoice: &Invoice) {
        let is_paid = invoice.status == InvoiceStatus::Paid;
        let stated = match invoice.amount_paid.value() {
            Some(_) => sums.stated_now.unwrap_or(sums.stated),
            None => sums.stated,
        };
        let says_more = (is_paid && sums.received < sums.total) || stated > sums.received;
        if !says_more || self.plan.undecided.contains(&IssueKind::AmountMismatch) {
            return;
        }
        let says = if is_paid {
            stated.max(sums.total)
        } else {
            stated
        };
        self.amount_mismatch(
            invoice,
            format!(
                "it states that {} was paid, but its payments add up to {}",
                sums.money(says),
                sums.money(sums.received)
            ),
            json!({
                "status": invoice.status_word,
                "total": sums.money(sums.total).to_string(),
                "stated": sums.money(stated).to_string(),
                "recorded": sums.money(sums.received).to_string(),
            }),
        );
    }

    /// Raises an issue about a paid invoice without any received payment. Where the application records no payments, such
    /// an invoice is one only if Stripe was asked about an id that it stores.
    fn note_paid_without_payment(&mut self, facts: &Facts) {
        let invoice = facts.invoice;
        if facts.invoice_is_record {
            if invoice.stored_ids.is_empty() {
                return;
            }
            let judged = &self.plan.judged;
            let mut stored = invoice.stored_ids.iter();
            if !stored.all(|id| judged.contains(id) || judged.contains(id.trim())) {
                self.plan.undecided.insert(IssueKind::PaidWithoutPayment);
            }
        }
        if self.plan.undecided.contains(&IssueKind::PaidWithoutPayment) {
            return;
        }
        let stripe = if invoice.stored_ids.is_empty() {
            "the invoice contains no Stripe id"
        } else {
            "Stripe received none"
        };
        self.issues.push(
            Issue::new(
                IssueKind::PaidWithoutPayment,
                Severity::Warning,
                format!(
                    "Invoice {} is marked {}, but no payment is recorded and {stripe}. Record the payment, correct the status (set_status), or confirm that it was paid elsewhere (accept_paid_elsewhere).",
                    invoice.label(),
                    invoice.status_word
                ),
            )
            .with_evidence(json!({
                "status": invoice.status_word,
                "total": invoice.total.value().map(|total| total.to_string()),
                "stripe_ids": invoice.stored_ids,
            })),
        );
    }

    fn amount_mismatch(&mut self, invoice: &Invoice, why: String, evidence: serde_json::Value) {
        self.issues.push(
            Issue::new(
                IssueKind::AmountMismatch,
                Severity::Warning,
                format!(
                    "The amounts of invoice {} do not agree: {why}. Correct the invoice or its payments.",
                    invoice.label()
                ),
            )
            .with_evidence(evidence),
        );
    }
}

/// Returns why the invoice's amounts cannot be used, if so.
fn unreadable(invoice: &Invoice) -> Option<String> {
    if matches!(invoice.total, Field::Null | Field::Unmapped) {
        return Some("it has no total".to_owned());
    }
    [
        ("total", &invoice.total),
        ("amount paid", &invoice.amount_paid),
        ("balance", &invoice.balance),
    ]
    .into_iter()
    .find_map(|(what, field)| match field {
        Field::Unreadable(why) => Some(format!("its {what} cannot be read: {why}")),
        _ => None,
    })
}

/// Returns what to write into a column that should have the value `wanted`; `None` if it has it already.
fn corrected(field: &Field<Money>, wanted: Money) -> Option<Money> {
    (field.is_mapped() && field.value() != Some(wanted)).then_some(wanted)
}

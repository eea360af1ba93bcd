//! Payments of Stripe Invoices: which rows they are, and which renewals of a subscription an invoice needs.

use std::collections::BTreeSet;

use serde_json::json;

use super::receipt::Receipt;
use super::{Draft, Facts, books, sharing};
use crate::domain::identity::PaymentIds;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::Money;
use crate::domain::payment::PaymentRow;
use crate::domain::rules::Remembered;

impl Draft {
    /// Returns whether the payment renewed a subscription whose metadata name this invoice, and the invoice does not need
    /// it: then the name is that of the first invoice. Raises an issue if so. As long as the payments to which the invoice
    /// itself refers are not in the books, it is not known what it needs.
    pub(super) fn renews_what_is_paid(&mut self, receipt: &Receipt, facts: &Facts) -> bool {
        let Some(total) = facts.invoice.total.value() else {
            return false;
        };
        if !receipt.payment.is_renewal_of_named || facts.refer_to(receipt.payment) {
            return false;
        }
        let after = books::project(facts.rows, &self.plan.payments);
        // What was received and went back was paid once: a refund creates no need.
        let with_this = books::received(&after, &self.known).saturating_add(receipt.base().minor);
        // By the session of a subscription that began with a trial, nothing came, and nothing will.
        let is_over = |id: &String| {
            let was_never_paid = facts.finished.contains(id) && !facts.memory.has_received(id);
            was_never_paid || self.free.contains(id) || books::has_received(&after, id)
        };
        let mut stored = facts.invoice.stored_ids.iter();
        if with_this <= total.minor && stored.all(is_over) {
            return false;
        }
        self.issues.push(
            Issue::new(
                IssueKind::UnlinkedPayment,
                Severity::Warning,
                format!(
                    "Stripe received {} by {}, which renewed a subscription that names invoice {}. The invoice does not need it, so it was not booked. Book it for the invoice of the renewal (link_payment), or ignore it (ignore).",
                    receipt.received,
                    receipt.key().unwrap_or("a payment"),
                    facts.invoice.label(),
                ),
            )
            .about(receipt.key())
            .with_evidence(json!({
                "id": receipt.key(),
                "received": receipt.received.to_string(),
                "renews": facts.invoice.label(),
            })),
        );
        // It is not this invoice's payment, though it names it.
        self.do_not_learn(receipt);
        true
    }

    /// Returns whether the payment also paid other Stripe Invoices, and no row says which part of it is this invoice's.
    /// Raises an issue if so: booked as a whole, it would be more than the invoice's.
    pub(super) fn is_of_several_invoices(
        &mut self,
        rows: &[&PaymentRow],
        receipt: &Receipt,
        facts: &Facts,
    ) -> bool {
        let of_others = receipt.payment.reductions.of_others;
        let says_its_part = |row: &&PaymentRow| {
            row.was_received() || sharing::is_part_of_whole(row, receipt, facts)
        };
        if of_others <= 0 || rows.iter().any(says_its_part) {
            return false;
        }
        // Whether other invoices have the rest decides, once it is read.
        self.plan.without_row.push(receipt.payment.ids.clone());
        let of_others = Money::new(of_others, receipt.received.currency);
        self.issues.push(
            Issue::new(
                IssueKind::UnlinkedPayment,
                Severity::Warning,
                format!(
                    "Stripe received {} by {} for invoice {}, but {of_others} of it paid other Stripe Invoices, so it was not booked. Record the part of each invoice in a row with this id: together, they are confirmed. Or ignore it (ignore).",
                    receipt.received,
                    receipt.key().unwrap_or("a payment"),
                    facts.invoice.label(),
                ),
            )
            .about(receipt.key())
            .with_evidence(json!({
                "id": receipt.key(),
                "received": receipt.received.to_string(),
                "of_others": of_others.to_string(),
            })),
        );
        self.do_not_learn(receipt);
        true
    }

    /// Returns whether the row names only a Stripe Invoice, and several payments paid it.
    pub(super) fn is_of_several(&self, row: &PaymentRow) -> bool {
        let invoice = row.ids.stripe_invoice.as_deref();
        let names_no_payment = row.ids.key() == invoice;
        names_no_payment && invoice.is_some_and(|invoice| self.payments_of(invoice).count() > 1)
    }

    /// Adds up what is known of the payments of each Stripe Invoice that several paid, for the rows that name only that.
    pub(super) fn add_up_payments(&mut self) {
        let names = self.known.values();
        let names: BTreeSet<String> = names
            .filter_map(|known| known.ids.stripe_invoice.clone())
            .collect();
        for name in names {
            let payments: Vec<&Remembered> = self.payments_of(&name).collect();
            let [first, _, ..] = payments.as_slice() else {
                continue;
            };
            let sum = |part: fn(&Remembered) -> i64| {
                let parts = payments.iter().map(|known| part(known));
                parts.fold(0, i64::saturating_add)
            };
            let together = Remembered {
                ids: PaymentIds::default(),
                received: sum(|known| known.received),
                refunded: sum(|known| known.refunded),
                refunded_latest: sum(|known| known.refunded_latest),
                withheld: sum(|known| known.withheld),
                ..(*first).clone()
            };
            self.known.insert(name, together);
        }
    }

    /// Returns the payments of a Stripe Invoice.
    fn payments_of<'d>(&'d self, invoice: &'d str) -> impl Iterator<Item = &'d Remembered> + 'd {
        let known = self
            .known
            .iter()
            .filter(|(id, known)| known.ids.key() == Some(id.as_str()));
        let known = known.map(|(_, known)| known);
        known.filter(move |known| {
            known.received > 0 && known.ids.stripe_invoice.as_deref() == Some(invoice)
        })
    }

    /// Compares a row that names only a Stripe Invoice with all payments of that. Nothing is changed: which of them the
    /// row is, is not known.
    pub(super) fn compare_with_several(
        &mut self,
        rows: &[&PaymentRow],
        receipt: &Receipt,
        facts: &Facts,
    ) {
        let Some(name) = receipt.payment.ids.stripe_invoice.as_deref() else {
            return;
        };
        let stated = rows.iter().filter(|row| row.was_received());
        let stated = stated.fold(0_i64, |sum, row| sum.saturating_add(row.whole_minor()));
        let came = self.payments_of(name);
        let came = came.fold(0_i64, |sum, known| sum.saturating_add(known.received));
        if stated == came || !self.compared.insert(name.to_owned()) {
            return;
        }
        let booked = Money::new(stated, receipt.received.currency);
        let came = Money::new(came, receipt.received.currency);
        self.issues.push(
            Issue::new(
                IssueKind::AmountMismatch,
                Severity::Warning,
                format!(
                    "The books say {booked} for {name} of invoice {}, but Stripe received {came} by several payments. Correct the rows, or accept the amount (accept_amount).",
                    facts.invoice.label()
                ),
            )
            .about(Some(name))
            .with_evidence(json!({
                "id": name,
                "booked": booked.to_string(),
                "received": came.to_string(),
            })),
        );
    }
}

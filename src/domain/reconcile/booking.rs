//! Books a received payment: inserts its row, or updates the row that stands for it.

use std::collections::BTreeMap;

use serde_json::json;

use super::receipt::Receipt;
use super::{Draft, Facts, books, settlement, sharing};
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::{Field, InvoiceStatus};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::Money;
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::plan::{NewPayment, PaymentChange, PaymentUpdate};
use crate::domain::rules::Rules;

impl Draft {
    /// Books the payment, unless it is booked already.
    pub(super) fn book(&mut self, receipt: &Receipt, facts: &Facts, rules: &Rules) {
        let matching: Vec<&PaymentRow> = facts.rows_of(&receipt.payment.ids).collect();
        if self.is_of_several_invoices(&matching, receipt, facts) {
            return;
        }
        if matching.is_empty() {
            self.insert(receipt, facts, rules);
        } else if matching.iter().any(|row| self.is_of_several(row)) {
            self.compare_with_several(&matching, receipt, facts);
        } else if let Some(row) = row_of(&matching, receipt) {
            self.update(row, receipt, facts, rules);
        }
        if facts.invoice.status == InvoiceStatus::Closed && !receipt.wholly_refunded() {
            self.issues.push(
                Issue::new(
                    IssueKind::UnlinkedPayment,
                    Severity::Warning,
                    format!(
                        "Stripe received {} for invoice {}, whose status is {}. Payments of such invoices are booked, but the invoice is not changed. Refund the payment in Stripe, or correct the status.",
                        receipt.received,
                        facts.invoice.label(),
                        facts.invoice.status_word
                    ),
                )
                .about(receipt.key())
                .with_evidence(json!({
                    "id": receipt.key(),
                    "received": receipt.received.to_string(),
                    "invoice_status": facts.invoice.status_word,
                })),
            );
        }
    }

    fn insert(&mut self, receipt: &Receipt, facts: &Facts, rules: &Rules) {
        self.plan.without_row.push(receipt.payment.ids.clone());
        if self.cannot_record_full_refund(receipt, facts, rules)
            || self.has_uncounted_row(receipt, facts)
            || self.renews_what_is_paid(receipt, facts)
            || self.may_be_booked_without_id(receipt, facts)
        {
            return;
        }
        self.plan.payments.push(PaymentChange::Insert(NewPayment {
            ids: receipt.payment.ids.clone(),
            status: receipt.status(rules),
            amount: receipt.base(),
            gratuity: receipt.gratuity,
            refunded: receipt.refunded,
            received_at: receipt.payment.received_at,
            attributes: receipt.payment.attributes.clone(),
            request_id: receipt.payment.request_id.clone(),
        }));
    }

    /// Returns whether another invoice has the payment, and raises an issue if this invoice refers to it. A payment
    /// is booked for one invoice only. A pending row of another invoice takes precedence over an invoice without a
    /// row, unless the payment itself names this invoice; of two invoices with pending rows, the first to be
    /// confirmed gets it.
    pub(super) fn is_booked_elsewhere(&mut self, receipt: &Receipt, facts: &Facts) -> bool {
        let ids = &receipt.payment.ids;
        let Some(other) = facts.other_invoices.of(ids) else {
            return false;
        };
        let own: Vec<&PaymentRow> = facts.rows_of(ids).collect();
        let mut references = receipt.payment.invoice_references.iter();
        let is_named = references.any(|name| facts.invoice.answers_to(name));
        let is_ours = if other.was_received() {
            own.iter()
                .any(|row| row.was_received() || sharing::is_part_of_whole(row, receipt, facts))
        } else {
            !own.is_empty() || is_named
        };
        if is_ours {
            return false;
        }
        if !facts.refer_to(receipt.payment) && !is_named {
            self.reason(format!(
                "{}: it is booked for invoice {}, and this invoice does not refer to it",
                receipt.key().unwrap_or("a payment"),
                other.invoice()
            ));
            return true;
        }
        let how = if other.was_received() {
            "it is already booked for invoice"
        } else {
            "it is already expected by a pending payment of invoice"
        };
        self.issues.push(
            Issue::new(
                IssueKind::UnlinkedPayment,
                Severity::Warning,
                format!(
                    "Stripe received {} by {}, to which invoice {} refers, but {how} {}. Correct the reference of one of the invoices.",
                    receipt.received,
                    receipt.key().unwrap_or("a payment"),
                    facts.invoice.label(),
                    other.invoice(),
                ),
            )
            .about(receipt.key())
            .with_evidence(json!({
                "id": receipt.key(),
                "received": receipt.received.to_string(),
                "booked_for_invoice": other.invoice(),
            })),
        );
        true
    }

    /// Returns whether a row that does not count has the payment, and raises an issue if so: the application may have
    /// deleted it by mistake, or because it does not want it in the books. Money that went back needs no decision.
    fn has_uncounted_row(&mut self, receipt: &Receipt, facts: &Facts) -> bool {
        let ids = &receipt.payment.ids;
        let Some(part) = facts.other_invoices.uncounted(ids) else {
            return false;
        };
        if receipt.wholly_refunded() {
            self.reason(format!(
                "{}: fully refunded, and its row does not count",
                receipt.key().unwrap_or("a payment")
            ));
            return true;
        }
        let row = part.uncounted_row.as_deref().unwrap_or_default();
        self.issues.push(
            Issue::new(
                IssueKind::PossibleDuplicate,
                Severity::Warning,
                format!(
                    "Stripe received {} by {} for invoice {}, but the row of this payment ({row}, of invoice {}) does not count by the setting payment_condition, because it was deleted, for example. It was not recorded again. If the row is to count, restore it; otherwise record the payment anew (book_anyway), or leave it (ignore).",
                    receipt.received,
                    receipt.key().unwrap_or("a payment"),
                    facts.invoice.label(),
                    part.invoice,
                ),
            )
            .about(receipt.key())
            .with_evidence(json!({
                "id": receipt.key(),
                "received": receipt.received.to_string(),
                "uncounted_row": row,
            })),
        );
        true
    }

    /// Returns whether the payment was refunded in full and the tables cannot express this: it must not be booked as
    /// money.
    fn cannot_record_full_refund(
        &mut self,
        receipt: &Receipt,
        facts: &Facts,
        rules: &Rules,
    ) -> bool {
        let cannot_record = receipt.wholly_refunded()
            && receipt.status(rules) == PaymentStatus::Paid
            && !facts.has_refunded_column;
        if cannot_record {
            self.reason(format!(
                "{}: fully refunded, and the settings have neither a status nor a column for refunds",
                receipt.key().unwrap_or("a payment")
            ));
        }
        cannot_record
    }

    fn update(&mut self, row: &PaymentRow, receipt: &Receipt, facts: &Facts, rules: &Rules) {
        let update = match row.status {
            PaymentStatus::Pending | PaymentStatus::Failed
                if self.cannot_record_full_refund(receipt, facts, rules) =>
            {
                return;
            }
            // What Stripe says about this very payment is better evidence than what the application heard of it.
            PaymentStatus::Pending | PaymentStatus::Failed => confirm(row, receipt, facts, rules),
            PaymentStatus::Other => {
                self.issues.push(unknown_word(row, receipt, facts));
                return;
            }
            PaymentStatus::Paid
            | PaymentStatus::Refunded
            | PaymentStatus::PartlyRefunded
            | PaymentStatus::Disputed => {
                if grown_amount(row, receipt, facts).is_some() {
                    // The row follows below.
                } else if receipt.payment.lacks_session() {
                    // How much of the amount is a gratuity is not known.
                    self.plan.undecided.insert(IssueKind::AmountMismatch);
                } else {
                    self.compare_amount(row, receipt, facts);
                }
                let update = PaymentUpdate {
                    amount: grown_amount(row, receipt, facts),
                    ..self.update_received(row, receipt, facts, rules)
                };
                self.compare_refund(row, &update, receipt, facts);
                update
            }
        };
        if update.changes_anything() {
            self.plan.payments.push(PaymentChange::Update(update));
        }
    }

    /// Updates a row whose money was received earlier with what happened since.
    fn update_received(
        &self,
        row: &PaymentRow,
        receipt: &Receipt,
        facts: &Facts,
        rules: &Rules,
    ) -> PaymentUpdate {
        // Lowers only values that an earlier run raised, after a refund failed.
        let remembered = books::remembered_for(row, &facts.memory.0);
        let was_wholly_refunded =
            remembered.is_some_and(|r| r.refunded > 0 && r.refunded >= r.received);
        let wanted = receipt.status(rules);
        let status = match (row.status, wanted) {
            (from, to) if from == to => None,
            (_, PaymentStatus::Refunded)
            | (PaymentStatus::Paid | PaymentStatus::PartlyRefunded, PaymentStatus::Disputed) => {
                Some(wanted)
            }
            (PaymentStatus::Refunded, _) if was_wholly_refunded => Some(wanted),
            (PaymentStatus::Disputed, PaymentStatus::Paid) if receipt.gives_back(remembered) => {
                Some(wanted)
            }
            _ => None,
        };
        let refunded_now = row.refunded_minor();
        let ours_to_lower = remembered.is_some_and(|r| r.refunded >= refunded_now);
        let refunded = refunded_of(row, receipt, facts).filter(|refunded| {
            match refunded.minor.cmp(&refunded_now) {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Less => ours_to_lower,
                std::cmp::Ordering::Equal => false,
            }
        });
        PaymentUpdate {
            status,
            refunded: refunded.filter(|_| row.refunded.is_mapped()),
            attributes: settlement::late_values(row, receipt, facts),
            ..unchanged(row, receipt)
        }
    }

    /// Compares the amount of a paid row with the amount received.
    fn compare_amount(&mut self, row: &PaymentRow, receipt: &Receipt, facts: &Facts) {
        let base = receipt.base();
        let booked = match (&row.amount, row.gratuity.value()) {
            (Field::Value(amount), _) if *amount == base => return,
            (Field::Value(amount), Some(gratuity))
                if amount.checked_add(gratuity) == Some(receipt.received) =>
            {
                return;
            }
            (Field::Value(_), _) if sharing::is_one_of_parts(row, receipt, facts) => return,
            (Field::Value(amount), _) => {
                if row.whole_minor() < receipt.received.minor {
                    self.plan.in_part.push(receipt.payment.ids.clone());
                }
                amount.to_string()
            }
            (Field::Null, _) => "nothing".to_owned(),
            // There is no column to compare, or the issue exists already.
            (Field::Unmapped | Field::Unreadable(_), _) => return,
        };
        let gratuity = if receipt.gratuity.minor > 0 {
            format!(" without the gratuity of {}", receipt.gratuity)
        } else {
            String::new()
        };
        self.issues.push(
            Issue::new(
                IssueKind::AmountMismatch,
                Severity::Warning,
                format!(
                    "The books say {booked} for {} of invoice {}, but Stripe received {base}{gratuity}. Correct the payment, or accept the amount (accept_amount).",
                    receipt.key().unwrap_or("a payment"),
                    facts.invoice.label()
                ),
            )
            .about(receipt.key())
            .with_evidence(json!({
                "id": receipt.key(),
                "row": row.id,
                "booked": booked,
                "received_less_gratuity": base.to_string(),
            })),
        );
    }
}

/// Returns the row to update for this payment: the row that says the money was received, or else a pending one, or else
/// one that says an attempt failed. If
/// several rows say that it was received, none is changed. The result does not depend on the order of the rows;
/// several rows for one payment are an issue, with or without evidence.
pub(super) fn row_of<'r>(rows: &[&'r PaymentRow], receipt: &Receipt) -> Option<&'r PaymentRow> {
    let of = |test: fn(&PaymentRow) -> bool| rows.iter().copied().filter(move |row| test(row));
    let mut received = of(PaymentRow::was_received);
    if let Some(row) = received.next() {
        return received.next().is_none().then_some(row);
    }
    let fit = |row: &&PaymentRow| {
        let has_intent = row.ids.intent.is_some();
        let has_amount = row.amount == Field::Value(receipt.base());
        (!has_intent, !has_amount, row.id.clone())
    };
    let waiting = of(|row| row.status == PaymentStatus::Pending).min_by_key(fit);
    let failed = of(|row| row.status == PaymentStatus::Failed).min_by_key(fit);
    let lone = rows.first().copied().filter(|_| rows.len() == 1);
    waiting.or(failed).or(lone)
}

/// Returns how much of the row's money was refunded. Whose part of a shared payment was refunded is not known unless
/// all of it was.
fn refunded_of(row: &PaymentRow, receipt: &Receipt, facts: &Facts) -> Option<Money> {
    if sharing::parts_of_others(receipt, facts).is_none() {
        return Some(receipt.refunded);
    }
    let whole = Money::new(row.whole_minor(), receipt.received.currency);
    receipt.wholly_refunded().then_some(whole)
}

/// Returns the update that makes a pending row match Stripe's answer. A part of a shared payment keeps its amount.
fn confirm(row: &PaymentRow, receipt: &Receipt, facts: &Facts, rules: &Rules) -> PaymentUpdate {
    if sharing::is_part_of_whole(row, receipt, facts) {
        return PaymentUpdate {
            status: Some(receipt.status(rules)),
            refunded: refunded_of(row, receipt, facts)
                .filter(|refunded| row.refunded.is_mapped() && refunded.minor > 0),
            missing_ids: row.ids.lacking(&receipt.payment.ids),
            ..unchanged(row, receipt)
        };
    }
    let differs = |field: &Field<Money>, wanted: Money| {
        let now = field.value().map_or(0, |money| money.minor);
        field.is_mapped() && (now != wanted.minor || matches!(field, Field::Unreadable(_)))
    };
    let base = receipt.base();
    PaymentUpdate {
        status: Some(receipt.status(rules)),
        amount: Some(base).filter(|_| row.amount.is_mapped() && row.amount != Field::Value(base)),
        gratuity: Some(receipt.gratuity).filter(|money| differs(&row.gratuity, *money)),
        refunded: Some(receipt.refunded).filter(|money| differs(&row.refunded, *money)),
        missing_ids: row.ids.lacking(&receipt.payment.ids),
        attributes: settlement::values_of(row, receipt),
        ..unchanged(row, receipt)
    }
}

/// Returns the amount for a row that states what had been received of its payment before more of it was captured.
pub(super) fn grown_amount(row: &PaymentRow, receipt: &Receipt, facts: &Facts) -> Option<Money> {
    let amount = row.amount.value()?;
    let before = books::remembered_for(row, &facts.memory.0)?.received;
    let growth = receipt.received.minor.checked_sub(before)?;
    let gratuity = row.gratuity.value().unwrap_or(receipt.gratuity).minor;
    let stated_it = amount.minor.checked_add(gratuity) == Some(before);
    let grown = amount.minor.checked_add(growth)?;
    (growth > 0 && stated_it).then(|| Money::new(grown, amount.currency))
}

fn unchanged(row: &PaymentRow, receipt: &Receipt) -> PaymentUpdate {
    PaymentUpdate {
        row: row.id.clone(),
        ids: receipt.payment.ids.clone(),
        status: None,
        amount: None,
        gratuity: None,
        refunded: None,
        missing_ids: PaymentIds::default(),
        attributes: BTreeMap::new(),
        received_at: receipt.payment.received_at,
        request_id: receipt.payment.request_id.clone(),
    }
}

fn unknown_word(row: &PaymentRow, receipt: &Receipt, facts: &Facts) -> Issue {
    Issue::new(
        IssueKind::AmountMismatch,
        Severity::Warning,
        format!(
            "Stripe received {} by {} for invoice {}, but its payment has the status \"{}\", which is not in the settings, and was not changed. Correct the status, or add it to the settings.",
            receipt.received,
            receipt.key().unwrap_or("a payment"),
            facts.invoice.label(),
            row.status_word,
        ),
    )
    .about(receipt.key())
    .with_evidence(json!({
        "id": receipt.key(),
        "row": row.id,
        "row_status": row.status_word,
        "received": receipt.received.to_string(),
    }))
}

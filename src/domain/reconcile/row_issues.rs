//! Issues about the rows themselves: several of one payment, and amounts that cannot be read.

use serde_json::json;

use super::{Draft, books};
use crate::domain::invoice::{Field, Invoice};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::payment::PaymentRow;

impl Draft {
    pub(super) fn note_duplicates(&mut self, after: &[PaymentRow], invoice: &Invoice) {
        for group in books::groups(after)
            .iter()
            .filter(|group| group.is_duplicate(&self.known))
        {
            if group.rows.iter().any(|row| self.presumed.contains(&row.id)) {
                continue;
            }
            let rows: Vec<&str> = group.rows.iter().map(|row| row.id.as_str()).collect();
            let key = group.key().unwrap_or_default();
            self.issues.push(
                Issue::new(
                    IssueKind::DuplicatePayment,
                    Severity::Warning,
                    format!(
                        "Invoice {} has {} payment rows for the Stripe payment {key}, which counts once. Delete the rows that are wrong.",
                        invoice.label(),
                        rows.len(),
                    ),
                )
                .about(group.key())
                .with_evidence(json!({ "stripe_payment": key, "rows": rows })),
            );
        }
    }

    pub(super) fn note_unreadable_rows(&mut self, after: &[PaymentRow], invoice: &Invoice) {
        let label = invoice.label();
        for row in after {
            for (what, field) in [
                ("amount", &row.amount),
                ("gratuity", &row.gratuity),
                ("refunded amount", &row.refunded),
            ] {
                if let Field::Unreadable(why) = field {
                    self.issues.push(
                        Issue::new(
                            IssueKind::AmountMismatch,
                            Severity::Warning,
                            format!(
                                "Invoice {label} has a payment whose {what} cannot be read: {why}. Correct the payment."
                            ),
                        )
                        .with_evidence(json!({ "row": row.id, "problem": why })),
                    );
                }
            }
        }
    }
}

//! Values of Stripe's objects that a row lacks: filled when the row is completed, and those that Stripe knows only once
//! the money is settled, such as its fee, when Stripe knows them.

use std::collections::BTreeMap;

use super::receipt::Receipt;
use super::{Draft, Facts, sharing};
use crate::domain::evidence::is_late;
use crate::domain::identity::PaymentIds;
use crate::domain::payment::{Empty, PaymentRow};
use crate::domain::plan::PaymentChange;
use crate::domain::recheck::Recheck;

/// In seconds after a payment, how long Stripe is asked again.
const PATIENCE: i64 = 7 * 24 * 60 * 60;

/// Returns the values for a row of the application that is completed.
pub(super) fn values_of(row: &PaymentRow, receipt: &Receipt) -> BTreeMap<String, String> {
    let attributes = receipt.payment.attributes.iter();
    let fills = |(path, value): &(&String, &String)| match row.unfilled.get(*path) {
        Some(Empty::Null) => true,
        // A column of zero gets what is not zero.
        Some(Empty::Zero) => value.parse().is_ok_and(|minor: i64| minor != 0),
        None => false,
    };
    let filled = attributes.filter(fills);
    filled
        .map(|(path, value)| (path.clone(), value.clone()))
        .collect()
}

/// Returns the values for a row that was written before Stripe knew them. Whose part of a shared payment the fee is of
/// is not known.
pub(super) fn late_values(
    row: &PaymentRow,
    receipt: &Receipt,
    facts: &Facts,
) -> BTreeMap<String, String> {
    let ids = &receipt.payment.ids;
    if !is_awaited(facts, ids) || sharing::parts_of_others(receipt, facts).is_some() {
        return BTreeMap::new();
    }
    let mut values = values_of(row, receipt);
    values.retain(|path, _| is_late(path));
    values
}

fn is_awaited(facts: &Facts, ids: &PaymentIds) -> bool {
    facts.awaited.iter().any(|id| ids.contains(id))
}

impl Draft {
    /// Notes the payments whose rows still lack what Stripe does not know yet: those that are booked or completed now,
    /// and those that were noted before.
    pub(super) fn note_awaited(
        &mut self,
        receipts: &[Receipt],
        after: &[PaymentRow],
        facts: &Facts,
    ) {
        let has_row = |ids: &PaymentIds| {
            let mut rows = after.iter();
            rows.any(|row| row.was_received() && row.ids.same_payment(ids))
        };
        for receipt in receipts {
            let payment = receipt.payment;
            let is_recent = |at: i64| facts.now.saturating_sub(at) < PATIENCE;
            let is_written = || {
                let mut changes = self.plan.payments.iter();
                changes.any(|change| match change {
                    PaymentChange::Insert(new) => new.ids.same_payment(&payment.ids),
                    PaymentChange::Update(update) => {
                        update.status.is_some() && update.ids.same_payment(&payment.ids)
                    }
                })
            };
            let is_awaited = is_awaited(facts, &payment.ids);
            let is_unsettled = payment.is_unsettled
                && payment.received_at.is_some_and(is_recent)
                && has_row(&payment.ids)
                && (is_awaited || is_written());
            if is_unsettled {
                self.recheck = self.recheck.sooner(Recheck::BackingOff);
            }
            // What is known and still has to be written stays noted until it is.
            let is_filled = |change: &PaymentChange| match change {
                PaymentChange::Insert(_) => false,
                PaymentChange::Update(update) => {
                    update.ids.same_payment(&payment.ids) && !update.attributes.is_empty()
                }
            };
            if is_unsettled || is_awaited && self.plan.payments.iter().any(is_filled) {
                let key = payment.ids.key().map(str::to_owned);
                self.plan.awaited.extend(key);
            }
        }
        // Those that Stripe was not asked about now.
        let unasked = facts.awaited.iter().filter(|id| {
            let of_it = PaymentIds::from_columns([Some(id.as_str())]);
            !self.plan.judged.contains(*id) && has_row(&of_it)
        });
        let unasked: Vec<String> = unasked.cloned().collect();
        if !unasked.is_empty() {
            self.recheck = self.recheck.sooner(Recheck::BackingOff);
        }
        self.plan.awaited.extend(unasked);
    }
}

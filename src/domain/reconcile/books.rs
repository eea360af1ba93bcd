//! Sums of payment rows, each Stripe payment counted once.

use std::collections::BTreeMap;

use crate::domain::identity::{PaymentIds, StripeId};
use crate::domain::invoice::Field;
use crate::domain::money::Money;
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::plan::{NewPayment, PaymentChange, PaymentUpdate};
use crate::domain::rules::Remembered;

/// Returns the rows as they will be after the changes.
pub(crate) fn project(rows: &[PaymentRow], changes: &[PaymentChange]) -> Vec<PaymentRow> {
    let mut after = rows.to_vec();
    for change in changes {
        match change {
            PaymentChange::Insert(payment) => after.push(as_row(payment, rows.len())),
            PaymentChange::Update(update) => {
                if let Some(row) = after.iter_mut().find(|row| row.id == update.row) {
                    overlay(row, update);
                }
            }
        }
    }
    after
}

/// Returns whether the changes book money that no row says was received.
pub(crate) fn bring_money(rows: &[PaymentRow], changes: &[PaymentChange]) -> bool {
    changes.iter().any(|change| match change {
        PaymentChange::Insert(_) => true,
        PaymentChange::Update(update) => {
            let mut received = rows.iter().filter(|row| row.was_received());
            !received.any(|row| row.id == update.row)
        }
    })
}

fn as_row(payment: &NewPayment, ordinal: usize) -> PaymentRow {
    PaymentRow {
        id: format!("(new {ordinal})"),
        status: payment.status,
        status_word: String::new(),
        amount: Field::Value(payment.amount),
        gratuity: Field::Value(payment.gratuity),
        refunded: Field::Value(payment.refunded),
        ids: payment.ids.clone(),
        other_object: None,
        paid_at: payment.received_at,
        unfilled: BTreeMap::new(),
    }
}

pub(super) fn overlay(row: &mut PaymentRow, update: &PaymentUpdate) {
    let set = |field: &mut Field<Money>, value: Option<Money>| {
        if let Some(value) = value.filter(|_| field.is_mapped()) {
            *field = Field::Value(value);
        }
    };
    set(&mut row.amount, update.amount);
    set(&mut row.gratuity, update.gratuity);
    set(&mut row.refunded, update.refunded);
    if let Some(status) = update.status {
        row.status = status;
    }
    row.ids.complete_from(&update.missing_ids);
}

/// The rows of one payment: all rows of one Stripe payment, or one row without Stripe ids.
pub(crate) struct Group<'a> {
    pub(crate) rows: Vec<&'a PaymentRow>,
    /// Rows with a negative amount, by which an application books that payment's refunds.
    reversals: Vec<&'a PaymentRow>,
}

impl<'a> Group<'a> {
    /// Returns whether it has several rows that are not its parts.
    pub(crate) fn is_duplicate(&self, known: &BTreeMap<String, Remembered>) -> bool {
        self.without_attempts().count() > 1 && self.divided(known).is_none()
    }

    /// Returns its rows, without those of attempts that failed.
    fn without_attempts(&self) -> impl Iterator<Item = &PaymentRow> {
        let rows = self.rows.iter().copied();
        rows.filter(|row| row.status != PaymentStatus::Failed)
    }

    /// Returns what is known of the payment if it is divided among several rows: each was received, and together they
    /// come to exactly what Stripe received.
    fn divided<'k>(&self, known: &'k BTreeMap<String, Remembered>) -> Option<&'k Remembered> {
        let mut parts = self.without_attempts();
        if !parts.all(|row| row.was_received() && row.amount_minor() > 0)
            || self.without_attempts().count() < 2
        {
            return None;
        }
        let mut payments = self.rows.iter().map(|row| remembered_for(row, known));
        let payment = payments.find_map(|payment| payment)?;
        let whole = sum(self.without_attempts().map(PaymentRow::whole_minor));
        (whole == payment.received).then_some(payment)
    }

    /// Returns how much of a payment that is divided among the rows is gone: according to Stripe, or to the rows
    /// together.
    fn back_of_divided(&self, payment: &Remembered) -> i64 {
        let stated = self.without_attempts().map(|row| match row.status {
            PaymentStatus::Refunded => row.whole_minor(),
            _ => row.refunded_minor().min(row.whole_minor()),
        });
        let refunded = payment.refunded_latest.max(sum(stated));
        refunded.saturating_add(payment.withheld)
    }

    /// Returns whether it is a refund that names no payment.
    fn is_loose_reversal(&self) -> bool {
        self.rows
            .iter()
            .all(|row| is_booked_reversal(row) && row.ids.is_empty())
    }

    fn reversed(&self) -> i64 {
        let reversals = self.reversals.iter().filter(|row| is_booked_reversal(row));
        reversals.fold(0_i64, |sum, row| sum.saturating_sub(row.amount_minor()))
    }

    /// Returns what went back according to Stripe or to the row itself and that none of the group's reversals states.
    fn unstated(&self, known: &BTreeMap<String, Remembered>) -> i64 {
        let reversed = self.reversed();
        if let Some(payment) = self.divided(known) {
            let back = self.back_of_divided(payment).min(payment.received);
            return back.saturating_sub(reversed).max(0);
        }
        let received = self.rows.iter();
        let received = received.filter(|row| row.was_received() && !is_reversal(row));
        let back = received.map(|row| match came_and_back(row, known) {
            (came, _) if row.status == PaymentStatus::Refunded => came,
            (came, back) => back.min(came),
        });
        back.max().unwrap_or(0).saturating_sub(reversed).max(0)
    }

    /// Returns the id of the Stripe payment, if there is one.
    pub(crate) fn key(&self) -> Option<&'a str> {
        self.rows.iter().find_map(|row| row.ids.key())
    }

    /// Returns what the group adds to the amount paid: paid money, minus refunds, and nothing while a dispute
    /// withholds it.
    fn secured(&self, known: &BTreeMap<String, Remembered>) -> i64 {
        let reversed = self.reversed();
        if let Some(payment) = self.divided(known) {
            let counting = self.without_attempts().filter(|row| counts(row, known));
            let amount = sum(counting.map(PaymentRow::amount_minor));
            let back = self.back_of_divided(payment).max(reversed);
            return payment.received.saturating_sub(back).clamp(0, amount);
        }
        self.rows
            .iter()
            .filter(|row| counts(row, known) || is_booked_reversal(row))
            .map(|row| secured_by(row, reversed, known))
            .max()
            .unwrap_or(0)
    }

    /// Returns what the group says was received, including money that was refunded or withdrawn later.
    fn received(&self, known: &BTreeMap<String, Remembered>) -> i64 {
        if self.divided(known).is_some() {
            return sum(self.without_attempts().map(PaymentRow::amount_minor));
        }
        self.rows
            .iter()
            .filter(|row| row.was_received())
            .map(|row| row.amount_minor())
            .max()
            .unwrap_or(0)
    }
}

/// Returns whether the row has a negative amount, by which an application books a refund.
fn is_reversal(row: &PaymentRow) -> bool {
    row.amount_minor() < 0
}

/// Returns how much of a refund that failed the rows still state with a negative amount: `gone` is what went back of the
/// payment, `before` what had gone back before the refund failed. Nothing without such a row. One without a payment's id is
/// that of the refund if it has exactly its amount.
pub(super) fn reversed_in_vain(
    rows: &[PaymentRow],
    ids: &PaymentIds,
    before: i64,
    gone: i64,
) -> Option<i64> {
    let failed = before.saturating_sub(gone);
    let reversals = || rows.iter().filter(|row| is_booked_reversal(row));
    let own = reversals().filter(|row| row.ids.same_payment(ids));
    let reversed = sum(own.map(|row| row.amount_minor().saturating_neg()));
    let mut loose = reversals().filter(|row| row.ids.is_empty());
    let is_stated =
        reversed > gone || loose.any(|row| row.amount_minor().saturating_neg() == failed);
    (failed > 0 && is_stated).then_some(failed)
}

/// Returns whether the row is a reversal that has happened: paid, refunded and disputed all mean that the money is
/// gone.
fn is_booked_reversal(row: &PaymentRow) -> bool {
    is_reversal(row) && row.was_received()
}

/// Returns what the row adds to the amount paid. A refund may be recorded in other rows, at Stripe and in the row
/// itself; the largest of these amounts counts, not their sum.
fn secured_by(row: &PaymentRow, reversed: i64, known: &BTreeMap<String, Remembered>) -> i64 {
    let amount = row.amount_minor();
    if amount <= 0 {
        return amount;
    }
    let (came, back) = came_and_back(row, known);
    // A refund also reduces the gratuity: the amount counts as far as the remaining money covers it.
    came.saturating_sub(back.max(reversed)).clamp(0, amount)
}

/// Returns what came by the payment of a row, and how much of it is gone: refunded or withheld by disputes.
fn came_and_back(row: &PaymentRow, known: &BTreeMap<String, Remembered>) -> (i64, i64) {
    let remembered = remembered_for(row, known);
    let refunded = remembered.map_or(0, |payment| payment.refunded_latest);
    let withheld = remembered.map_or(0, |payment| payment.withheld);
    let received = remembered.map_or(0, |payment| payment.received);
    let back = refunded.max(row.refunded_minor()).saturating_add(withheld);
    (row.whole_minor().max(received), back)
}

/// Returns whether the row's money counts, as far as it has not gone back. A row whose word says that a part is gone
/// counts only if something says how much, and none of which Stripe says that nothing came.
fn counts(row: &PaymentRow, known: &BTreeMap<String, Remembered>) -> bool {
    if remembered_for(row, known).is_some_and(|payment| payment.received == 0) {
        return false;
    }
    match row.status {
        PaymentStatus::Paid => true,
        PaymentStatus::PartlyRefunded => is_refund_known(row, known),
        // A dispute may be over a part.
        PaymentStatus::Disputed => {
            remembered_for(row, known).is_some_and(|payment| payment.withheld > 0)
        }
        PaymentStatus::Pending
        | PaymentStatus::Failed
        | PaymentStatus::Refunded
        | PaymentStatus::Other => false,
    }
}

/// Returns whether Stripe or the row itself says how much of the row's payment went back.
pub(super) fn is_refund_known(row: &PaymentRow, known: &BTreeMap<String, Remembered>) -> bool {
    row.refunded_minor() > 0 || remembered_for(row, known).is_some()
}

/// Returns the refunded amount that the row states, if `received` is the whole payment.
pub(super) fn refunded_by_row(row: &PaymentRow, received: i64) -> i64 {
    if row.status == PaymentStatus::Refunded {
        received
    } else {
        row.refunded_minor()
    }
}

/// Returns what is known about the row's payment.
pub(crate) fn remembered_for<'k>(
    row: &PaymentRow,
    known: &'k BTreeMap<String, Remembered>,
) -> Option<&'k Remembered> {
    row.ids.lookup().find_map(|id| known.get(id))
}

/// Groups rows by payment; the result does not depend on their order. A row with a negative amount is never a
/// duplicate of the payment that it refers to.
pub(crate) fn groups(rows: &[PaymentRow]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut ordered: Vec<&PaymentRow> = rows.iter().collect();
    ordered.sort_by_key(|&row| (is_reversal(row), row.ids.grouping_order(), &row.id));
    for row in ordered {
        let existing = groups.iter_mut().find(|group| {
            group
                .rows
                .iter()
                .any(|other| !is_reversal(other) && other.ids.same_payment(&row.ids))
        });
        match existing {
            Some(group) if is_reversal(row) => group.reversals.push(row),
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                rows: vec![row],
                reversals: Vec::new(),
            }),
        }
    }
    groups
}

/// Returns the amount paid according to the rows, in Stripe's smallest unit.
pub(crate) fn secured(rows: &[PaymentRow], known: &BTreeMap<String, Remembered>) -> i64 {
    let groups = groups(rows);
    let (loose, others): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| group.is_loose_reversal());
    // A refund that names no payment may be one that Stripe reports of another row, and counts once.
    let loose = sum(loose.iter().map(|group| group.secured(known)));
    let unstated = sum(others.iter().map(|group| group.unstated(known)));
    let secured = sum(others.iter().map(|group| group.secured(known)));
    secured.saturating_add(loose.saturating_add(unstated).min(0))
}

/// Returns the amount that the rows say was received, in Stripe's smallest unit. A refund without a payment's id that
/// Stripe reports of another row reduces it as little as one with the id.
pub(crate) fn received(rows: &[PaymentRow], known: &BTreeMap<String, Remembered>) -> i64 {
    let groups = groups(rows);
    let (loose, others): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| group.is_loose_reversal());
    let loose = sum(loose.iter().map(|group| group.received(known)));
    let unstated = sum(others.iter().map(|group| group.unstated(known)));
    let received = sum(others.iter().map(|group| group.received(known)));
    received.saturating_add(loose.saturating_add(unstated).min(0))
}

/// Adds without depending on the order; the result is limited to the range of i64.
fn sum(amounts: impl Iterator<Item = i64>) -> i64 {
    let sum: i128 = amounts.map(i128::from).sum();
    sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Returns whether a row says that the money of the Stripe object `id` was received.
pub(crate) fn has_received(rows: &[PaymentRow], id: &str) -> bool {
    StripeId::parse(id).is_some_and(|id| {
        rows.iter()
            .any(|row| row.was_received() && row.ids.contains(id.as_str()))
    })
}

/// Returns whether each of these ids is that of a row whose money was received, and no row waits for Stripe's answer:
/// because it is pending, because a part of it went back, or because two rows may be of one payment.
pub(super) fn are_booked(stored_ids: &[String], rows: &[PaymentRow]) -> bool {
    let is_final = |row: &PaymentRow| {
        row.ids.is_empty() || row.was_received() && row.status != PaymentStatus::PartlyRefunded
    };
    let names_only_origin =
        |row: &PaymentRow| row.ids.origin().is_some() && row.ids.intent.is_none();
    let names_only_intent =
        |row: &PaymentRow| row.ids.intent.is_some() && row.ids.origin().is_none();
    let is_tie_unknown = rows.iter().any(names_only_origin) && rows.iter().any(names_only_intent);
    !stored_ids.is_empty()
        && stored_ids.iter().all(|id| {
            let mut received = rows.iter().filter(|row| row.was_received());
            received.any(|row| row.ids.contains(id.trim()))
        })
        && rows.iter().all(is_final)
        && !is_tie_unknown
}

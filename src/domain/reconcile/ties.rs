//! Completes the ids of rows that name one payment by different ids.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, ids_of};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::identity::{PaymentIds, Ties};
use crate::domain::payment::PaymentRow;

/// Returns the rows; those that were received have all ids that Stripe ties to theirs. The others get the missing ids
/// when they are confirmed.
pub(super) fn with_tied_ids(facts: &Facts, payments: &[StripePayment]) -> Vec<PaymentRow> {
    let said = payments.iter().map(|payment| &payment.ids);
    let known = facts.memory.0.values().map(|known| &known.ids);
    let ties = Ties::new(said.chain(known));
    let mut rows = facts.rows.to_vec();
    for row in rows.iter_mut().filter(|row| row.was_received()) {
        row.ids = ties.complete(&row.ids);
    }
    rows
}

/// Gives the rows that name a payment by its balance transaction the ids of that payment. Returns these ids, by the keys of
/// the rows.
pub(super) fn name_by_balance_transactions(
    rows: &mut [PaymentRow],
    payments: &[StripePayment],
) -> BTreeMap<String, PaymentIds> {
    let mut named = BTreeMap::new();
    for row in rows.iter_mut().filter(|row| row.ids.is_empty()) {
        let Some(transaction) = &row.other_object else {
            continue;
        };
        let mut payments = payments.iter();
        let its = payments.find(|it| it.balance_transaction.as_ref() == Some(transaction));
        if let Some(payment) = its {
            row.ids.clone_from(&payment.ids);
            named.insert(row.id.clone(), payment.ids.clone());
        }
    }
    named
}

/// Counts two received rows with the same amount as one payment as long as it is not known whether they are two: one has
/// only a session, the other only an intent, and Stripe was asked about neither. Returns the rows that are presumed to be
/// of the other's payment.
pub(super) fn presume_ties(
    rows: &mut [PaymentRow],
    facts: &Facts,
    evidence: &[Evidence],
    payments: &[StripePayment],
) -> BTreeSet<String> {
    let is_known = |id: &str| {
        facts.memory.has_seen(id) || evidence.iter().flat_map(ids_of).any(|known| known == id)
    };
    // An answer with its session would have tied it.
    let is_tied = |intent: &String| {
        facts.memory.0.contains_key(intent)
            || payments
                .iter()
                .any(|it| it.ids.intent.as_ref() == Some(intent) && !it.lacks_session())
    };
    let has_one = |row: &PaymentRow| row.was_received() && row.amount_minor() > 0;
    let has_untied_intent =
        |row: &PaymentRow| row.ids.intent.as_ref().is_some_and(|id| !is_tied(id));
    let by_intent: Vec<PaymentRow> = rows
        .iter()
        .filter(|row| has_one(row) && has_untied_intent(row) && row.ids.origin().is_none())
        .cloned()
        .collect();
    let mut presumed = BTreeSet::new();
    for row in rows.iter_mut().filter(|row| has_one(row)) {
        let unasked = row.ids.origin().is_some_and(|id| !is_known(id));
        if !unasked || row.ids.intent.is_some() {
            continue;
        }
        let mut twins = by_intent.iter().filter(|twin| twin.amount == row.amount);
        if let Some(twin) = twins.next() {
            row.ids.intent.clone_from(&twin.ids.intent);
            presumed.insert(row.id.clone());
        }
    }
    presumed
}

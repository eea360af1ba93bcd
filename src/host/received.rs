//! SQL conditions on what the status word of a payment row means.

use super::mapping::Mapping;
use super::word_sql::has_word;
use crate::domain::words::payment;

/// Returns the condition that payments `p` have been received, whether or not they were refunded later.
pub(super) fn were_received(mapping: &Mapping) -> String {
    let words = &mapping.payment_words;
    let single = [
        Some(&words.paid),
        words.refunded.as_ref(),
        words.disputed.as_ref(),
    ];
    let named = single.into_iter().flatten().chain(&words.partly_refunded);
    let usual = [payment::PARTLY_REFUNDED, words.in_part()].concat();
    have_meaning(mapping, named, &usual)
}

/// Returns the condition that the amounts of payments `p` count, less what was refunded.
pub(super) fn count(mapping: &Mapping) -> String {
    let words = &mapping.payment_words;
    let named = std::iter::once(&words.paid).chain(&words.partly_refunded);
    let usual = [payment::PARTLY_REFUNDED, words.in_part()].concat();
    have_meaning(mapping, named, &usual)
}

/// Returns the condition that payments `p` are pending, or that a part of them went back: Stripe says when the money
/// comes, and how much stays. Without a status column it is false.
pub(super) fn are_pending_or_partly_refunded(mapping: &Mapping) -> String {
    let words = &mapping.payment_words;
    match &mapping.payments.status {
        Some(_) => have_meaning(
            mapping,
            words.pending.iter().chain(&words.partly_refunded),
            &[payment::PARTLY_REFUNDED, payment::PENDING].concat(),
        ),
        None => "false".to_owned(),
    }
}

/// Returns the condition that no money came by payments `p`: they are pending or failed. Without a status column it is
/// false.
pub(super) fn brought_nothing(mapping: &Mapping) -> String {
    let words = &mapping.payment_words;
    match &mapping.payments.status {
        Some(_) => have_meaning(
            mapping,
            words.pending.iter().chain(&words.failed),
            &[payment::FAILED, payment::PENDING].concat(),
        ),
        None => "false".to_owned(),
    }
}

/// Returns the condition that payments `p` are attempts that took no money. Without a status column it is false.
pub(super) fn have_failed(mapping: &Mapping) -> String {
    match &mapping.payments.status {
        Some(_) => have_meaning(
            mapping,
            mapping.payment_words.failed.iter(),
            payment::FAILED,
        ),
        None => "false".to_owned(),
    }
}

/// Returns the condition that payments `p` have one of the words `named`, or a usual one that no setting names; as
/// `PaymentWords::class` decides. Without a status column it is true.
fn have_meaning<'w>(
    mapping: &Mapping,
    named: impl Iterator<Item = &'w String>,
    usual: &[&str],
) -> String {
    let Some(status) = &mapping.payments.status else {
        return "true".to_owned();
    };
    let named: Vec<String> = named.cloned().collect();
    let all = mapping.payment_words.all();
    has_word(&status.word("p"), &named, &all, usual)
}

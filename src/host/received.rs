//! SQL conditions on whether a payment row says that its money was received.

use super::mapping::Mapping;

/// Returns the condition that payments `p` have been received, whether or not they were refunded later.
pub(super) fn were_received(mapping: &Mapping) -> String {
    is_one_of(mapping, &received_words(mapping))
}

/// Returns the status words of payments that have been received.
pub(super) fn received_words(mapping: &Mapping) -> Vec<String> {
    let words = &mapping.payment_words;
    let single = [
        Some(&words.paid),
        words.refunded.as_ref(),
        words.disputed.as_ref(),
    ];
    let single = single.into_iter().flatten();
    single.chain(&words.partly_refunded).cloned().collect()
}

/// Returns the condition that payments `p` have one of these status words. Without a status column it is true.
pub(super) fn is_one_of(mapping: &Mapping, words: &[String]) -> String {
    match &mapping.payments.status {
        Some(status) => format!("p.{}::text = any ({})", status.quoted, literals(words)),
        None => "true".to_owned(),
    }
}

pub(super) fn literals(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(pgrx::spi::quote_literal).collect();
    format!("array[{}]::text[]", quoted.join(", "))
}

//! Only what belongs to the invoice's Stripe account is evidence for it.

use std::borrow::Cow;

use super::answers::ids_of;
use crate::domain::account::account_of;
use crate::domain::evidence::Evidence;
use crate::domain::invoice::Invoice;
use crate::domain::rules::Memory;

/// Returns the evidence of the invoice's account.
pub(super) fn evidence_of<'e>(invoice: &Invoice, evidence: &'e [Evidence]) -> Cow<'e, [Evidence]> {
    let is_own = |finding: &Evidence| ids_of(finding).all(|id| is_of(invoice, id));
    if evidence.iter().all(is_own) {
        return Cow::Borrowed(evidence);
    }
    Cow::Owned(evidence.iter().filter(|it| is_own(it)).cloned().collect())
}

/// Returns what is remembered of payments of the invoice's account: the invoice may have been of another one.
pub(super) fn memory_of<'m>(invoice: &Invoice, memory: &'m Memory) -> Cow<'m, Memory> {
    if memory.0.keys().all(|id| is_of(invoice, id)) {
        return Cow::Borrowed(memory);
    }
    let mut own = memory.clone();
    own.0.retain(|id, _| is_of(invoice, id));
    Cow::Owned(own)
}

fn is_of(invoice: &Invoice, id: &str) -> bool {
    account_of(id) == invoice.account.as_deref()
}

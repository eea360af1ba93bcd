//! Locks on Stripe payments: whoever books a payment holds its lock, whatever the invoice.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::domain::evidence::Evidence;
use crate::domain::identity::PaymentIds;
use crate::host::lock::Patience;
use crate::ledger::runs;
use crate::pg::lock::{Purpose, lock_transaction, room, try_lock_transaction};

/// The number of locks that all payments share, by a hash of their ids, so that one transaction never takes more
/// than an eighth of the server's lock table. Payments that share one by chance wait for each other briefly. The
/// number is the same in every session.
fn slots() -> u32 {
    (room() / 8).clamp(16, 4096)
}

/// Returns the locks of a payment: one for each of its ids, because another session may know only one of them.
fn slots_of(ids: &PaymentIds, slots: u32) -> BTreeSet<u32> {
    ids.each().map(|id| slot(id, slots)).collect()
}

fn slot(id: &str, slots: u32) -> u32 {
    let digest = Sha256::digest(id.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % slots
}

/// Locks all payments in the evidence, as [`lock_payments`] does.
pub(crate) fn lock_payments_of(evidence: &[Evidence]) {
    lock_payments(&[payments_of(evidence)], Patience::Wait);
}

/// Returns the payments in the evidence.
pub(crate) fn payments_of(evidence: &[Evidence]) -> Vec<PaymentIds> {
    let payments = evidence.iter().filter_map(|finding| match finding {
        Evidence::Payment(payment) => Some(payment.ids.clone()),
        _ => None,
    });
    payments.collect()
}

/// Locks the payments of each claim until the (sub)transaction ends. Returns for each claim whether all its locks
/// were taken. Locks are taken in ascending order, so that two sessions cannot deadlock.
pub(crate) fn lock_payments(claims: &[Vec<PaymentIds>], patience: Patience) -> Vec<bool> {
    let slots = slots();
    let wanted: Vec<BTreeSet<u32>> = claims
        .iter()
        .map(|payments| {
            let of_each = payments.iter().flat_map(|ids| slots_of(ids, slots));
            of_each.collect()
        })
        .collect();
    let all: BTreeSet<u32> = wanted.iter().flatten().copied().collect();
    if all.is_empty() {
        return vec![true; claims.len()];
    }
    let class = runs::lock_class();
    let mut had = BTreeSet::new();
    for slot in all {
        let is_had = match patience {
            Patience::Wait => {
                lock_transaction(class, slot, Purpose::Payment);
                true
            }
            Patience::Skip => try_lock_transaction(class, slot, Purpose::Payment),
        };
        if is_had {
            had.insert(slot);
        }
    }
    wanted.iter().map(|slots| slots.is_subset(&had)).collect()
}

//! Events that could not be read or applied, and whose payments were looked up since.

use serde_json::{Value, json};

use super::contention::skip_if_locked;
use super::payment_evidence::PaymentEvidence;
use super::report::Report;
use crate::domain::evidence::{Evidence, StripePayment};
use crate::ledger::events::{self, Verdict};
use crate::pg::Problem;

/// Returns the payments in these answers that have an event, received before the lookup, that could not be read or
/// applied.
pub(crate) fn stuck<'a>(said: impl Iterator<Item = &'a Evidence>) -> Vec<StripePayment> {
    let whole: Vec<&StripePayment> = said.filter_map(whole).collect();
    if whole.is_empty() {
        return Vec::new();
    }
    let stuck = events::stuck(&asked(whole.iter().copied()));
    let payments = whole.into_iter();
    let payments = payments.filter(|it| it.ids.each().any(|id| stuck.contains(id)));
    payments.cloned().collect()
}

/// Marks events of these payments as done if they were received before the answers that were now applied, whatever
/// made them fail.
pub(crate) fn supersede(
    payments: &[PaymentEvidence],
    verdicts: &[Verdict],
    report: &mut Report,
) -> Result<(), Problem> {
    let done = payments.iter().zip(verdicts);
    let done = done.filter(|(_, verdict)| verdict.is_done());
    let mut done = done
        .flat_map(|(payment, _)| payment.evidence)
        .filter_map(whole)
        .peekable();
    if done.peek().is_none() {
        return Ok(());
    }
    if done.clone().all(|it| report.is_settled(it.ids.each())) {
        return Ok(());
    }
    let asked = asked(done);
    if events::stuck(&asked).is_empty() {
        return Ok(());
    }
    skip_if_locked(|| {
        let events = events::supersede(&asked);
        report.resolve_event_issues(&events.iter().collect::<Vec<_>>());
        report.resolve_unread_events(&asked);
    })
}

/// Returns the payment if the answer is complete, that is, contains all that an event about it can contain.
fn whole(finding: &Evidence) -> Option<&StripePayment> {
    match finding {
        Evidence::Payment(payment) => {
            (payment.tells_returns && !payment.lacks_session()).then_some(payment)
        }
        _ => None,
    }
}

/// Returns each id of these payments with the time of its lookup.
fn asked<'a>(payments: impl Iterator<Item = &'a StripePayment>) -> Value {
    let ids = payments.flat_map(|payment| payment.ids.each().map(|id| (id, payment.as_of)));
    ids.map(|(id, as_of)| json!({ "id": id, "as_of": as_of }))
        .collect()
}

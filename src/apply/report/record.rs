//! Records outcomes in the ledger: changes, issues, checks and what Stripe said.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::apply::case::RecalledCase;
use crate::apply::outcome::Outcome;
use crate::apply::report::concerns::Concerns;
use crate::domain::evidence::{Evidence, PaymentState, StripePayment, merge_payments};
use crate::domain::invoice::Invoice;
use crate::domain::payment::PaymentStatus;
use crate::domain::plan::PaymentChange;
use crate::domain::recheck::{HELD, Recheck};
use crate::ledger::issues::{self, Judged, Subject};
use crate::ledger::unwritten_answers::{self, Written};
use crate::ledger::{changes, checks, concerns, payment_ids, payment_issues, stripe_payments};
use crate::pg::Problem;

/// The outcome for an invoice, and Stripe's answers about it; `None` if Stripe was not asked.
pub(crate) struct Settled<'a> {
    pub(crate) outcome: Outcome,
    evidence: Option<Cow<'a, [Evidence]>>,
    has_check: bool,
}

impl<'a> Settled<'a> {
    /// Pairs the outcome with the evidence that it was decided on, without outdated answers, which are looked up
    /// again.
    pub(crate) fn of(recalled: &RecalledCase<'a>, outcome: Outcome) -> Self {
        let evidence = recalled.evidence();
        let outcome = if recalled.is_outdated() {
            outcome.asked_again()
        } else {
            outcome
        };
        Self {
            outcome,
            evidence,
            has_check: recalled.has_check(),
        }
    }

    /// Returns the payments that the invoice no longer refers to.
    pub(super) fn disowned(&self) -> impl Iterator<Item = StripePayment> {
        let disowned = &self.outcome.plan.disowned;
        let evidence = self.evidence.as_deref().filter(|_| !disowned.is_empty());
        let payments = merge_payments(evidence.unwrap_or_default()).into_iter();
        payments.filter(|payment| payment.ids.each().any(|id| disowned.contains(id)))
    }
}

/// The subject of an issue that is about no single invoice.
pub(super) const GENERAL: Subject = Subject {
    invoice: None,
    number: None,
};

pub(super) fn subject(invoice: &Invoice) -> Subject<'_> {
    Subject {
        invoice: Some(&invoice.id),
        number: invoice.number.as_deref(),
    }
}

/// Writes outcomes to the ledger, with one statement per table. What is known about payments is written first: its
/// row lock makes a session that applies an older answer wait or fail. `run` returns the run's number, once rows refer
/// to it.
pub(super) fn write_down(run: impl Fn() -> i64, settled: &[&Settled]) -> Result<Concerns, Problem> {
    let mut entries = Vec::new();
    let mut found = Vec::new();
    let mut judged = Vec::new();
    let mut lessons = Vec::new();
    let mut checks = Vec::new();
    let mut written = Vec::new();
    for settled in settled {
        let outcome = &settled.outcome;
        let evidence = settled.evidence.as_deref();
        let (invoice, plan) = (&outcome.invoice, &outcome.plan);
        if !outcome.changes.is_empty() {
            entries.push(changes::Entry {
                invoice: &invoice.id,
                changes: &outcome.changes,
                evidence: explained(outcome, evidence.unwrap_or_default()),
            });
        }
        found.extend(plan.issues.iter().map(|issue| (subject(invoice), issue)));
        judged.push(Judged { invoice, plan });
        if let Some(evidence) = evidence {
            lessons.push(stripe_payments::ReceivedPayments {
                invoice: &invoice.id,
                currency: invoice.currency.as_ref().ok().copied(),
                evidence,
                learned: &plan.learned,
            });
            checks.push(checks::Check {
                invoice,
                recheck: plan.recheck,
                is_booked: plan.stored_ids_are_booked,
                awaited: &plan.awaited,
                has_row: settled.has_check,
                has_rows_without_ids: !plan.row_ids.is_empty(),
            });
            // What another session kept from being written is neither refused nor settled.
            if outcome.was_refused() || outcome.is_done() {
                written.push(Written {
                    invoice: &invoice.id,
                    evidence,
                    was_refused: outcome.was_refused(),
                });
            }
        }
    }
    stripe_payments::note(&lessons)?;
    payment_ids::note(settled.iter().map(|settled| {
        let Outcome { invoice, plan, .. } = &settled.outcome;
        (invoice.id.as_str(), &plan.row_ids)
    }));
    if !entries.is_empty() {
        changes::record(run(), &entries);
    }
    let concerns = match settled {
        [alone] if found.is_empty() => concerns_of(alone),
        _ => Concerns::Some,
    };
    if matches!(concerns, Concerns::Some) {
        let run = run();
        issues::raise(run, &found);
        issues::resolve_others(run, &judged);
        payment_issues::resolve_claimed(run, &claimed(settled));
    }
    if matches!(concerns, Concerns::Some) {
        unwritten_answers::note(&written);
        hold(&mut checks);
    }
    checks::note(&checks);
    Ok(concerns)
}

/// Leaves no invoice unasked that has an open issue about a Stripe object: the answers may have been about another payment of
/// it.
fn hold(checks: &mut [checks::Check]) {
    let are_done = checks.iter().filter(|it| it.recheck == Recheck::Never);
    let are_done = are_done.map(|it| it.invoice.id.as_str());
    let held = issues::about_stripe_objects(are_done);
    for check in checks {
        if check.recheck == Recheck::Never && held.contains(&check.invoice.id) {
            check.recheck = HELD;
        }
    }
}

fn concerns_of(settled: &Settled) -> Concerns {
    let evidence = settled.evidence.as_deref().unwrap_or_default().iter();
    let ids: BTreeSet<&str> = evidence.flat_map(Evidence::payment_ids).collect();
    if concerns::exist(&settled.outcome.invoice.id, &ids) {
        Concerns::Some
    } else {
        Concerns::None(ids.into_iter().map(str::to_owned).collect())
    }
}

/// Returns the ids of payments that an invoice has booked or claims.
fn claimed<'s>(settled: &[&'s Settled]) -> BTreeSet<&'s str> {
    settled
        .iter()
        .filter(|of| of.outcome.is_done())
        .flat_map(|of| {
            let evidence = of.evidence.as_deref().unwrap_or_default().iter();
            let ids = evidence.flat_map(Evidence::payment_ids);
            ids.filter(|id| !of.outcome.plan.disowned.contains(*id))
        })
        .collect()
}

/// Returns a digest of Stripe's answers, with the pending rows that they confirmed.
fn explained(outcome: &Outcome, evidence: &[Evidence]) -> Value {
    let mut explained = digest(evidence);
    let confirmed: Vec<Value> = outcome
        .intended
        .payments
        .iter()
        .filter_map(|change| match change {
            PaymentChange::Update(update) if update.status == Some(PaymentStatus::Paid) => {
                // Payments come before the invoice, which may have the same id.
                let change = outcome.changes.iter().find(|c| c.row == update.row)?;
                Some(json!({
                    "table_name": change.table, "row_id": change.row, "payment": update.ids.key(),
                }))
            }
            _ => None,
        })
        .collect();
    if !confirmed.is_empty() {
        explained["confirmed"] = confirmed.into();
    }
    explained
}

/// Returns the part of Stripe's answers that explains a change.
pub(crate) fn digest(evidence: &[Evidence]) -> Value {
    let payments = merge_payments(evidence);
    let received = payments.iter().filter_map(|payment| match payment.state {
        PaymentState::Received(money) => Some(json!({
            "session": payment.ids.session,
            "payment_intent": payment.ids.intent,
            "charge": payment.ids.charge,
            "stripe_invoice": payment.ids.stripe_invoice,
            "received": money.minor,
            "refunded": payment.refunded,
            "currency": money.currency.code(),
            "request_id": payment.request_id,
        })),
        _ => None,
    });
    json!({ "stripe": received.collect::<Vec<_>>() })
}

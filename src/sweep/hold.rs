//! What is left to a person: repairs that a trigger of the application's
//! overrode, and repairs that somebody undid.

use serde_json::{Value, json};

use super::case::judge;
use super::outcome::{describe, overridden, wanted};
use super::treatment::{Insistence, Treatment};
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::Invoice;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::plan::{PaymentChange, Plan};
use crate::domain::recheck::HELD;
use crate::host::read::Reading;
use crate::ledger::issues::{self, Held, Holds, Subject};

/// The plan without what it would change, where that is a person's affair;
/// with the issue that says so, unless a person has settled this very plan.
///
/// What somebody undid is never done again without their word, whoever asks;
/// while that issue is open, nothing of the invoice is written. What a trigger
/// overrode is tried again where a person asks for it.
pub(super) fn left_to_a_person(
    holds: &Holds,
    insistence: Insistence,
    invoice: &Invoice,
    plan: &Plan,
) -> Option<Plan> {
    let issue = match holds.of(&invoice.id, IssueKind::RepairUndone) {
        Some(held) if held.open || !covers(&held.evidence, plan) => {
            Some(still_undone(invoice, held, plan))
        }
        Some(_) => None,
        None => {
            let held = holds.of(&invoice.id, IssueKind::OverriddenByTrigger)?;
            if insistence == Insistence::Again || held.evidence.get("wanted") != Some(&wanted(plan))
            {
                return None;
            }
            Some(overridden(invoice, plan))
        }
    };
    let mut left = plan.clone();
    if !plan.payments.is_empty() {
        // Too much, but only if the payments were booked.
        left.issues
            .retain(|issue| issue.kind != IssueKind::Overpaid);
    }
    left.issues.extend(issue);
    left.recheck = left.recheck.sooner(HELD);
    left.payments.clear();
    left.invoice = None;
    Some(left)
}

/// Opens the issue that keeps an undone repair undone. `ids` are those of the
/// Stripe payments whose rows were put back.
pub(crate) fn open(
    run: i64,
    undone_run: i64,
    treatment: &Treatment,
    reading: &Reading,
    ids: &[PaymentIds],
) {
    let plan = judge(treatment, reading, &[]);
    let held = Held {
        open: true,
        object: ids.first().and_then(PaymentIds::key).map(str::to_owned),
        evidence: json!({
            "undone_run": undone_run,
            "stripe_payments": ids.iter().map(all).collect::<Vec<_>>(),
        }),
    };
    let invoice = &reading.invoice;
    let subject = Subject {
        invoice: Some(&invoice.id),
        number: invoice.number.as_deref(),
    };
    issues::raise(run, &[(subject, &still_undone(invoice, &held, &plan))]);
}

/// The issue about an undone repair, refreshed: what would be written now.
fn still_undone(invoice: &Invoice, held: &Held, plan: &Plan) -> Issue {
    let mut evidence = held.evidence.clone();
    let known = known_payments(&evidence);
    let new = plan
        .payments
        .iter()
        .map(ids_of)
        .filter(|ids| !is_known(&known, ids));
    evidence["stripe_payments"] = known.iter().cloned().chain(new.map(all)).collect();
    evidence["wanted"] = wanted(plan);
    let done = describe(plan);
    let would = if done.is_empty() {
        String::new()
    } else {
        format!(" As things stand, that would be: {done}.")
    };
    Issue::new(
        IssueKind::RepairUndone,
        Severity::Notice,
        format!(
            "A repair of invoice {} was undone, and is not made again until somebody says so.{would}",
            invoice.label()
        ),
    )
    .about(held.object.as_deref())
    .with_evidence(evidence)
}

/// Whether a plan is no other than the one that somebody decided not to have.
fn covers(evidence: &Value, plan: &Plan) -> bool {
    let known = known_payments(evidence);
    if plan.payments.is_empty() {
        return evidence.pointer("/wanted/invoice") == wanted(plan).get("invoice");
    }
    plan.payments
        .iter()
        .all(|change| is_known(&known, ids_of(change)))
}

fn known_payments(evidence: &Value) -> Vec<Value> {
    let known = evidence.get("stripe_payments").and_then(Value::as_array);
    known.cloned().unwrap_or_default()
}

fn is_known(known: &[Value], ids: &PaymentIds) -> bool {
    let ids = all(ids);
    let own = ids.as_array().into_iter().flatten();
    own.into_iter().any(|id| {
        known
            .iter()
            .filter_map(Value::as_array)
            .any(|of| of.contains(id))
    })
}

fn ids_of(change: &PaymentChange) -> &PaymentIds {
    match change {
        PaymentChange::Insert(new) => &new.ids,
        PaymentChange::Update(update) => &update.ids,
    }
}

fn all(ids: &PaymentIds) -> Value {
    [&ids.session, &ids.intent, &ids.charge]
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

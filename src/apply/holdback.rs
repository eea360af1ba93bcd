//! Repairs that are held back, because a trigger overrode them or a person undid them.

use serde_json::{Value, json};

use crate::apply::case::judge;
use crate::apply::context::{Context, OnOverride};
use crate::apply::outcome::{describe, overridden, wanted};
use crate::domain::evidence::Evidence;
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::Invoice;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::plan::{PaymentChange, Plan};
use crate::domain::recheck::HELD;
use crate::host::read::Reading;
use crate::ledger::held_repairs::{Held, HeldRepairs};
use crate::ledger::issues::{self, Subject};

/// Removes from the plan the changes that only a person may decide on. The result is the plan for the unchanged
/// invoice ([`reconcile_unwritten`](crate::domain::reconcile::reconcile_unwritten)) with issues that say so, unless
/// a person has settled this very plan.
///
/// A repair that somebody undid is never made again without a person's decision, whoever calls; while such an issue
/// is open, nothing of the invoice is written. A change that a trigger overrode is tried again when a person asks
/// for it.
pub(crate) fn held_back_plan(
    holds: &HeldRepairs,
    on_override: OnOverride,
    invoice: &Invoice,
    plan: &Plan,
    as_it_stands: impl FnOnce() -> Plan,
) -> Option<Plan> {
    let undone = holds.of(&invoice.id, IssueKind::RepairUndone);
    let issues = if undone.is_empty() || on_override == OnOverride::Decided {
        let held = holds
            .of(&invoice.id, IssueKind::OverriddenByTrigger)
            .first()?;
        let is_news = held.evidence.get("wanted") != Some(&wanted(plan));
        if on_override != OnOverride::Once || is_news {
            return None;
        }
        vec![overridden(invoice, plan)]
    } else {
        undone_issues(invoice, undone, plan)
    };
    let mut left = as_it_stands();
    left.issues.extend(issues);
    left.recheck = left.recheck.sooner(HELD);
    left.payments.clear();
    left.invoice = None;
    Some(left)
}

/// Returns an issue for each undone repair that the plan would make again. Payments that no undone repair is about
/// are reported with the latest one.
fn undone_issues(invoice: &Invoice, undone: &[Held], plan: &Plan) -> Vec<Issue> {
    let open: Vec<&Held> = undone.iter().filter(|held| held.open).collect();
    let Some(latest) = open.first().copied() else {
        if is_given_up(undone, plan) {
            return Vec::new();
        }
        let all_others = part(plan, |ids| !undone[1..].iter().any(|held| held.is_of(ids)));
        return vec![still_undone(invoice, &undone[0], &all_others)];
    };
    let mut issues: Vec<Issue> = open
        .iter()
        .filter_map(|held| {
            let is_latest = held.id == latest.id;
            let its = part(plan, |ids| {
                held.is_of(ids) || is_latest && !undone.iter().any(|other| other.is_of(ids))
            });
            let alone = held.payments().is_empty() && plan.invoice.is_some();
            (alone || !its.payments.is_empty()).then(|| still_undone(invoice, held, &its))
        })
        .collect();
    if issues.is_empty() {
        issues.push(still_undone(invoice, latest, &part(plan, |_| false)));
    }
    issues
}

/// Returns the plan with only the payments for which `takes` is true.
fn part(plan: &Plan, takes: impl Fn(&PaymentIds) -> bool) -> Plan {
    let mut part = plan.clone();
    part.payments.retain(|change| takes(change.ids()));
    part
}

/// Returns the evidence without the payments of other undone repairs of the invoice: a decision about one repair
/// does not apply to them.
pub(crate) fn without_others(
    holds: &HeldRepairs,
    invoice: &str,
    evidence: &[Evidence],
    released: impl Fn(&Held, &PaymentIds) -> bool,
) -> Vec<Evidence> {
    let undone = holds.of(invoice, IssueKind::RepairUndone);
    let is_held = |ids: &PaymentIds| {
        undone.iter().any(|held| held.is_of(ids)) && !undone.iter().any(|held| released(held, ids))
    };
    evidence
        .iter()
        .filter(|finding| !matches!(finding, Evidence::Payment(payment) if is_held(&payment.ids)))
        .cloned()
        .collect()
}

/// Describes what the plan would write about payments that the undone repair was not about.
pub(crate) fn beyond(held: &Value, plan: &Plan) -> Option<String> {
    let known = known_payments(held);
    let beyond = Plan {
        invoice: None,
        ..part(plan, |ids| !is_known(&known, ids))
    };
    (!beyond.payments.is_empty()).then(|| describe(&beyond))
}

/// Opens the issue that prevents an undone repair from being made again. `ids` are those of the Stripe payments
/// whose rows were restored.
pub(crate) fn open(
    run: i64,
    undone_run: i64,
    context: &Context,
    reading: &Reading,
    ids: &[PaymentIds],
) {
    let plan = judge(context, reading, &[]);
    let held = Held {
        id: 0,
        open: true,
        object: ids.first().and_then(PaymentIds::key).map(str::to_owned),
        evidence: json!({
            "undone_run": undone_run,
            "undo_run": run,
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

/// Returns the issue about an undone repair with what would be written now. If it also keeps newly received money
/// from the books, it is a warning.
fn still_undone(invoice: &Invoice, held: &Held, plan: &Plan) -> Issue {
    let mut evidence = held.evidence.clone();
    let known = held.payments();
    let came_since = field(&evidence, "came_since");
    let unknown = plan
        .payments
        .iter()
        .map(PaymentChange::ids)
        .filter(|ids| !is_known(&known, ids));
    let unknown: Vec<Value> = unknown.map(all).collect();
    let waits: Vec<Value> = plan
        .payments
        .iter()
        .map(PaymentChange::ids)
        .filter(|ids| is_known(&came_since, ids))
        .map(all)
        .chain(unknown.iter().cloned())
        .collect();
    let severity = if waits.is_empty() {
        Severity::Notice
    } else {
        Severity::Warning
    };
    let and_new = if waits.is_empty() {
        ""
    } else {
        " Money received since then is not booked either."
    };
    evidence["stripe_payments"] = known.into_iter().chain(unknown).collect();
    if !waits.is_empty() {
        evidence["came_since"] = waits.into();
    } else if let Some(fields) = evidence.as_object_mut() {
        fields.remove("came_since");
    }
    evidence["wanted"] = wanted(plan);
    let done = describe(plan);
    let would = if done.is_empty() {
        String::new()
    } else {
        format!(" The repair would make these changes: {done}.")
    };
    Issue::new(
        IssueKind::RepairUndone,
        severity,
        format!(
            "A repair of invoice {} was undone, and is not made again until a person decides (repair_again or keep_as_is).{and_new}{would}",
            invoice.label()
        ),
    )
    .about(held.object.as_deref())
    .with_evidence(evidence)
}

/// Returns whether the plan is the same as one that a person has rejected.
fn is_given_up(settled: &[Held], plan: &Plan) -> bool {
    if plan.payments.is_empty() {
        let wanted = wanted(plan);
        return settled
            .iter()
            .any(|held| held.evidence.pointer("/wanted/invoice") == wanted.get("invoice"));
    }
    plan.payments
        .iter()
        .all(|change| settled.iter().any(|held| held.is_of(change.ids())))
}

impl Held {
    /// Returns the payments, each with all of its ids.
    fn payments(&self) -> Vec<Value> {
        known_payments(&self.evidence)
    }

    /// Returns whether the repair was about this payment.
    pub(crate) fn is_of(&self, ids: &PaymentIds) -> bool {
        is_known(&self.payments(), ids)
    }
}

/// Returns one id for each payment that an undone repair keeps from the books; the invoice need not refer to them.
pub(crate) fn ids_held(evidence: &Value) -> impl Iterator<Item = String> {
    let payments = known_payments(evidence).into_iter();
    payments.filter_map(|ids| Some(ids.get(0)?.as_str()?.to_owned()))
}

fn known_payments(evidence: &Value) -> Vec<Value> {
    field(evidence, "stripe_payments")
}

fn field(evidence: &Value, name: &str) -> Vec<Value> {
    let list = evidence.get(name).and_then(Value::as_array);
    list.cloned().unwrap_or_default()
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

fn all(ids: &PaymentIds) -> Value {
    ids.each().collect()
}

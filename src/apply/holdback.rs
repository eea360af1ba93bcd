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
    without: impl FnOnce(&dyn Fn(&PaymentIds) -> bool) -> Plan,
    as_it_stands: impl FnOnce() -> Plan,
) -> Option<Plan> {
    let undone = holds.of(&invoice.id, IssueKind::RepairUndone);
    let mut left;
    if undone.is_empty() || on_override == OnOverride::Decided {
        let overridden_before = holds.of(&invoice.id, IssueKind::OverriddenByTrigger).iter();
        // An issue that is only about the status holds nothing back.
        let mut held = overridden_before.filter_map(|held| held.evidence.get("wanted"));
        let is_news = held.next()? != &wanted(plan);
        if on_override != OnOverride::Once || is_news {
            return None;
        }
        left = as_it_stands();
        left.issues.push(overridden(invoice, plan));
    } else {
        left = as_it_stands();
        let kept_out = |ids: &PaymentIds| is_kept_out(undone, ids);
        // A payment that a person keeps out of the books does not count in what is reported: with and without an
        // answer of Stripe about it, the same is missing in the books.
        let plan = if plan.payments.iter().any(|it| kept_out(it.ids())) {
            &without(&kept_out)
        } else {
            plan
        };
        left.unwritten.invoice = plan.invoice.is_some();
        if !plan.changes_nothing() {
            left.issues.extend(undone_issues(invoice, undone, plan));
        }
    }
    left.recheck = left.recheck.sooner(HELD);
    left.payments.clear();
    left.invoice = None;
    Some(left)
}

/// Returns whether a person decided that this payment stays out of the books.
fn is_kept_out(undone: &[Held], ids: &PaymentIds) -> bool {
    let mut about_it = undone.iter().filter(|held| held.is_of(ids)).peekable();
    about_it.peek().is_some() && about_it.all(|held| !held.open)
}

/// Returns an issue for each undone repair that the plan would make again. Payments that no undone repair is about
/// are reported with the latest one. The plan has no payment that is kept out of the books.
fn undone_issues(invoice: &Invoice, undone: &[Held], plan: &Plan) -> Vec<Issue> {
    let open: Vec<&Held> = undone.iter().filter(|held| held.open).collect();
    let Some(latest) = open.first().copied() else {
        if was_rejected(undone, plan) {
            return Vec::new();
        }
        let mut held = undone[0].clone();
        if plan.payments.is_empty() {
            held.object = None;
            held.evidence["stripe_payments"] = json!([]);
        }
        return vec![still_undone(invoice, &held, plan)];
    };
    let mut issues: Vec<Issue> = open
        .iter()
        .filter_map(|held| {
            let is_latest = held.id == latest.id;
            let its = part(plan, |ids| {
                held.is_of(ids) || is_latest && !open.iter().any(|other| other.is_of(ids))
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

/// Returns whether the plan only sets values of the invoice that a person has rejected.
fn was_rejected(settled: &[Held], plan: &Plan) -> bool {
    let wanted = wanted(plan);
    let is_it = |held: &Held| held.evidence.pointer("/wanted/invoice") == wanted.get("invoice");
    plan.payments.is_empty() && settled.iter().any(is_it)
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

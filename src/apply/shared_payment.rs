//! Finds payments that several invoices have booked, and raises one issue for each payment, which names all the
//! invoices.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::apply::contention::skip_if_locked;
use crate::apply::report::Report;
use crate::domain::issue::{Issue, IssueKind};
use crate::domain::shared_payment::{KnownPayment, Terms, overbooked};
use crate::host::mapping::Mapping;
use crate::host::other_invoices::booked;
use crate::host::shared_payment::of_several_invoices;
use crate::ledger::payment_issues::resolve_without_invoice;
use crate::ledger::{shared_payments, stripe_payments};
use crate::pg::{Problem, Transactions};

/// Searches the books of all invoices for the payments with these ids. Raises an issue if the rows together count
/// more than Stripe received, and resolves the issue if they no longer do. Does not ask Stripe.
pub(crate) fn find_overbooked(
    transactions: Transactions,
    mapping: &Mapping,
    ids: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), Problem> {
    if ids.is_empty() {
        return Ok(());
    }
    let known = stripe_payments::known(ids);
    let keys = keys(ids, &known);
    let open = if report.is_settled(keys.keys().copied()) {
        BTreeSet::new()
    } else {
        shared_payments::open_about(keys.keys().copied())
    };
    let pairs: Vec<(&str, &str)> = keys.iter().map(|(id, key)| (*id, *key)).collect();
    let mut suspects: BTreeSet<&str> = BTreeSet::new();
    let several = of_several_invoices(mapping, &pairs);
    suspects.extend(several.iter().map(String::as_str));
    suspects.extend(open.iter().filter_map(|id| keys.get(id.as_str()).copied()));
    if suspects.is_empty() {
        return Ok(());
    }
    let (issues, over) = judge(mapping, &keys, &suspects, &known, &open);
    transactions.commit();
    skip_if_locked(|| {
        report.add_general_issues(&issues.iter().collect::<Vec<_>>());
        if let Some(run) = report.run() {
            resolve_without_invoice(run, IssueKind::DuplicatePayment, &over);
        }
    })
}

/// Maps each id, and the stored ids of the same payment, to the key of the payment.
fn keys<'a>(ids: &'a BTreeSet<String>, known: &'a [KnownPayment]) -> BTreeMap<&'a str, &'a str> {
    let alone = ids.iter().map(|id| (id.as_str(), id.as_str()));
    let known = known.iter().flat_map(|payment| {
        let key = payment.ids.key().unwrap_or_default();
        payment.ids.each().map(move |id| (id, key))
    });
    alone.chain(known).collect()
}

/// Returns the issues about payments with these keys that are counted too often, and the open issues that are
/// resolved.
fn judge(
    mapping: &Mapping,
    keys: &BTreeMap<&str, &str>,
    suspects: &BTreeSet<&str>,
    known: &[KnownPayment],
    open: &BTreeSet<String>,
) -> (Vec<Issue>, Vec<String>) {
    let ids = keys.iter().filter(|(_, key)| suspects.contains(*key));
    let rows = booked(mapping, ids.map(|(id, _)| *id));
    let known: Vec<KnownPayment> = known
        .iter()
        .filter(|payment| payment.ids.key().is_some_and(|key| suspects.contains(key)))
        .cloned()
        .collect();
    let terms = Terms {
        unit: mapping.payments.unit,
        currency: mapping.default_currency,
    };
    let mut issues = BTreeMap::new();
    for mut found in overbooked(&rows, &known, &terms) {
        // The open issue may have been raised under another id, before all ids were known.
        if let Some(object) = open.iter().find(|id| found.ids.contains(id)) {
            found.issue.object = Some(object.clone());
            found.issue.evidence["stripe_payment"] = json!(object);
        }
        issues.insert(found.issue.object.clone(), found.issue);
    }
    let stands = |id: &&String| issues.contains_key(&Some((*id).clone()));
    let over = open.iter().filter(|id| !stands(id)).cloned().collect();
    (issues.into_values().collect(), over)
}

//! Applies evidence about payments: finds their invoices and applies it to those, or raises an issue.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::apply::case::Case;
use crate::apply::contention::{is_contention, retry_on_contention};
use crate::apply::context::Context;
use crate::apply::invoices::apply_in;
use crate::apply::report::Report;
use crate::domain::evidence::{Evidence, PaymentState, StripePayment};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::host::find::{InvoiceKeys, invoices_of};
use crate::ledger::events::Verdict;
use crate::pg::{Problem, Transactions};

/// So long an event waits for the application to commit the invoice that it names.
const GRACE_SECONDS: i64 = 60 * 60;

/// What Stripe says of one payment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaymentEvidence<'a> {
    pub(crate) evidence: &'a [Evidence],
    /// Seconds since it was first heard of.
    pub(crate) waited: i64,
}

impl<'a> PaymentEvidence<'a> {
    fn payment(&self) -> Option<&'a StripePayment> {
        self.evidence.iter().find_map(|finding| match finding {
            Evidence::Payment(payment) => Some(payment),
            _ => None,
        })
    }
}

/// Acts on what Stripe says of these payments: on the invoices that they are
/// for, where there are some.
pub(crate) fn act(
    transactions: Transactions,
    context: &Context,
    payments: &[PaymentEvidence],
    report: &mut Report,
) -> Result<Vec<Verdict>, Problem> {
    let links = link(context, payments);
    let cases: Vec<Case> = links
        .iter()
        .zip(payments)
        .flat_map(|(link, said)| {
            link.iter().map(|invoice| Case {
                invoice,
                evidence: Some(said.evidence),
            })
        })
        .collect();
    let mut outcomes = apply_in(transactions, context, &cases, report)?.into_iter();
    let mut unlinked = BTreeMap::new();
    let mut verdicts = Vec::new();
    for (place, (link, said)) in links.iter().zip(payments).enumerate() {
        let of_invoices: Vec<Verdict> = outcomes.by_ref().take(link.len()).flatten().collect();
        verdicts.push(match said.payment() {
            None => Verdict::Done("Stripe has no such object any more".to_owned()),
            Some(payment) if link.is_empty() => {
                let (verdict, issue) = judge_unlinked(payment, said.waited);
                unlinked.extend(issue.map(|issue| (issue.object.clone(), (place, issue))));
                verdict
            }
            Some(_) => verdict(of_invoices),
        });
    }
    raise_unlinked(transactions, &unlinked, &mut verdicts, report)?;
    Ok(verdicts)
}

/// Issues about money that no invoice claims, each with the place of its verdict, by
/// the object: in the order that everybody keeps to.
type Unlinked = BTreeMap<Option<String>, (usize, Issue)>;

fn raise_unlinked(
    transactions: Transactions,
    unlinked: &Unlinked,
    verdicts: &mut [Verdict],
    report: &mut Report,
) -> Result<(), Problem> {
    if unlinked.is_empty() {
        return Ok(());
    }
    transactions.commit();
    let issues: Vec<&Issue> = unlinked.values().map(|(_, issue)| issue).collect();
    let raised = retry_on_contention(|| {
        report.add_general_issues(&issues);
        Ok(())
    });
    match raised {
        Err(problem) if is_contention(&problem) => {
            for (place, _) in unlinked.values() {
                verdicts[*place] = Verdict::Again(problem.message().to_owned());
            }
            Ok(())
        }
        other => other,
    }
}

/// One verdict out of those on each invoice of a payment.
fn verdict(of_invoices: Vec<Verdict>) -> Verdict {
    let mut verdict = Verdict::Done(String::new());
    for next in of_invoices {
        if matches!(next, Verdict::Again(_)) || matches!(verdict, Verdict::Done(_)) {
            verdict = next;
        }
    }
    verdict
}

/// The invoices that each payment is for.
fn link(context: &Context, payments: &[PaymentEvidence]) -> Vec<BTreeSet<String>> {
    let payments: Vec<Option<&StripePayment>> =
        payments.iter().map(PaymentEvidence::payment).collect();
    let keys: Vec<InvoiceKeys> = payments
        .iter()
        .flatten()
        .map(|payment| InvoiceKeys {
            ids: &payment.ids,
            references: &payment.invoice_references,
        })
        .collect();
    let mut found = invoices_of(context.mapping, &keys).into_iter();
    payments
        .iter()
        .map(|payment| payment.and_then(|_| found.next()).unwrap_or_default())
        .collect()
}

/// Money that no invoice claims: not ours, unless it says otherwise.
fn judge_unlinked(payment: &StripePayment, waited: i64) -> (Verdict, Option<Issue>) {
    let done = |why: &str| (Verdict::Done(why.to_owned()), None);
    let PaymentState::Received(money) = payment.state else {
        return done("nothing received, and no invoice refers to it");
    };
    if payment.lacks_session() {
        let why = "its checkout session, which may name an invoice, was not read";
        return (Verdict::Again(why.to_owned()), None);
    }
    if payment.invoice_references.is_empty() {
        return done("names no invoice");
    }
    let named = payment.invoice_references.join(", ");
    if waited < GRACE_SECONDS {
        let why = format!("there is no invoice {named} yet");
        return (Verdict::Again(why), None);
    }
    let key = payment.ids.key();
    let issue = Issue::new(
        IssueKind::UnlinkedPayment,
        Severity::Warning,
        format!(
            "Stripe received {money} by {} for the invoice {named}, which does not exist.",
            key.unwrap_or("a payment")
        ),
    )
    .about(key)
    .with_evidence(json!({
        "id": key,
        "received": money.to_string(),
        "names_invoice": payment.invoice_references,
    }));
    let why = format!("there is no invoice {named}");
    (Verdict::Done(why), Some(issue))
}

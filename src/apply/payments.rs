//! Applies evidence about payments: finds their invoices and applies it to those, or raises an issue.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::apply::case::Case;
use crate::apply::contention::{is_contention, retry_on_contention};
use crate::apply::context::{Context, Mode};
use crate::apply::invoices::apply_in;
use crate::apply::payment_evidence::PaymentEvidence;
use crate::apply::report::Report;
use crate::apply::superseded;
use crate::domain::evidence::{Evidence, PaymentState, StripePayment};
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::domain::money::Money;
use crate::host::find::{InvoiceKeys, PaymentInvoices, invoices_of, labels};
use crate::host::other_invoices::booked;
use crate::ledger::events::{UNCLAIMED, Verdict};
use crate::pg::{Problem, Transactions};

/// How long an event waits for the application to commit the invoice that it names, in seconds.
const GRACE_SECONDS: i64 = 60 * 60;

/// Applies these answers to the invoices that the payments are for, if there are any.
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
            link.invoices.iter().map(|invoice| Case {
                invoice,
                evidence: Some(said.evidence),
                in_question: &[],
                is_new: !link.is_recorded && said.former.is_none(),
                is_alone: link.is_of_one_invoice(),
            })
        })
        .collect();
    let mut outcomes = apply_in(transactions, context, &cases, report)?.into_iter();
    let nobody = BTreeSet::new();
    let mut unlinked = BTreeMap::new();
    let mut linked = Vec::new();
    let mut verdicts = Vec::new();
    for (place, (link, said)) in links.iter().zip(payments).enumerate() {
        let of_invoices: Vec<Verdict> = outcomes
            .by_ref()
            .take(link.invoices.len())
            .flatten()
            .collect();
        let Some(payment) = said.payment() else {
            verdicts.push(unseen(said.evidence));
            continue;
        };
        // The ledger also has invoices that no longer exist.
        let is_orphan = said.former.is_some() && of_invoices.is_empty();
        let invoices = if is_orphan { &nobody } else { &link.invoices };
        let (verdict, is_covered) = if invoices.is_empty() {
            let judged = judge_unlinked(context, payment, said, link);
            let is_covered = judged.issue.is_some() || received(payment).is_none();
            let issue = judged.issue;
            unlinked.extend(issue.map(|issue| (issue.object.clone(), (place, issue))));
            (judged.verdict, is_covered)
        } else {
            let is_covered = !of_invoices.is_empty();
            // What the ledger has seen was in the books when its invoice was deleted, or had its issue.
            if is_covered || link.is_recorded || is_in_books(context, payment) {
                (verdict(of_invoices), is_covered)
            } else {
                let why = "its invoice was deleted meanwhile";
                (Verdict::Again(why.to_owned()), is_covered)
            }
        };
        if is_covered && verdict.is_done() && !payment.lacks_session() {
            linked.push((payment, invoices));
        }
        verdicts.push(verdict);
    }
    conclude(transactions, &unlinked, &linked, &mut verdicts, report)?;
    Ok(verdicts)
}

/// After these cases were applied: decides about payments that their invoices no longer refer to and payments whose
/// events failed, as if each had been looked up by itself.
pub(crate) fn follow_up(
    transactions: Transactions,
    context: &Context,
    cases: &[Case],
    verdicts: &[Option<Verdict>],
    report: &mut Report,
) -> Result<(), Problem> {
    let mut payments = report.take_disowned();
    if context.mode == Mode::Write {
        // A case whose write has just failed is not tried twice.
        let said = cases
            .iter()
            .zip(verdicts)
            .filter(|(_, verdict)| !matches!(verdict, Some(Verdict::Again(_))))
            .flat_map(|(case, _)| case.evidence.unwrap_or_default());
        payments.extend(superseded::stuck(said));
    }
    let evidence: BTreeMap<Option<String>, [Evidence; 1]> = payments
        .into_iter()
        .map(|payment| {
            let key = payment.ids.key().map(str::to_owned);
            (key, [Evidence::Payment(payment)])
        })
        .collect();
    if evidence.is_empty() {
        return Ok(());
    }
    let said: Vec<PaymentEvidence> = evidence
        .values()
        .map(|it| PaymentEvidence::at_last(it))
        .collect();
    let verdicts = act(transactions, context, &said, report)?;
    superseded::supersede(&said, &verdicts, report)
}

/// Issues about money that no invoice claims, each with the index of its verdict, by object: sorted, because all
/// sessions write issues in this order.
type Unlinked = BTreeMap<Option<String>, (usize, Issue)>;

/// Raises these issues, and resolves issues about the payments at invoices that they are no longer linked to. Both
/// happen together, so that exactly one issue is about the money at any time.
fn conclude(
    transactions: Transactions,
    unlinked: &Unlinked,
    linked: &[(&StripePayment, &BTreeSet<String>)],
    verdicts: &mut [Verdict],
    report: &mut Report,
) -> Result<(), Problem> {
    let over = report.find_let_go(linked);
    if unlinked.is_empty() && over.is_empty() {
        return Ok(());
    }
    transactions.commit();
    let issues: Vec<&Issue> = unlinked.values().map(|(_, issue)| issue).collect();
    let raised = retry_on_contention(|| {
        report.add_general_issues(&issues);
        report.resolve_let_go(&over);
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

/// Combines the verdicts on the invoices of a payment.
fn verdict(of_invoices: Vec<Verdict>) -> Verdict {
    let mut verdict = Verdict::Done(String::new());
    for next in of_invoices {
        if !next.is_done() || verdict.is_done() {
            verdict = next;
        }
    }
    verdict
}

/// The verdict on an answer without a payment. The key may be one of another account or mode for a while, so the money may
/// be there: Stripe is asked again, and what is never found becomes an issue as any event that fails does.
fn unseen(evidence: &[Evidence]) -> Verdict {
    let why = evidence.iter().find_map(|finding| match finding {
        Evidence::Missing { message, .. } => Some(format!("Stripe has no such object: {message}")),
        Evidence::OtherMode { message, .. } => Some(format!(
            "Stripe has it in the other mode than that of the key: {message}"
        )),
        Evidence::Payment(_) | Evidence::NotAnId { .. } => None,
    });
    Verdict::Again(why.unwrap_or_else(|| "Stripe's answer contains no payment".to_owned()))
}

/// Returns the invoices that each payment is for.
fn link(context: &Context, evidence: &[PaymentEvidence]) -> Vec<PaymentInvoices> {
    let (mut places, mut keys) = (Vec::new(), Vec::new());
    for (place, said) in evidence.iter().enumerate() {
        for payment in said.payments() {
            places.push(place);
            keys.push(InvoiceKeys {
                ids: &payment.ids,
                former_ids: &payment.former_ids,
                references: &payment.invoice_references,
                but_for: said.former.map(|former| former.invoice),
            });
        }
    }
    let mut links = vec![PaymentInvoices::default(); evidence.len()];
    for (place, found) in places.into_iter().zip(invoices_of(context.mapping, &keys)) {
        links[place].add(found);
    }
    links
}

/// The decision about money that no invoice claims.
struct Judged {
    verdict: Verdict,
    issue: Option<Issue>,
}

/// Decides about money that no invoice claims. It is ignored unless its metadata names an invoice or an issue of a
/// deleted invoice was about it; then an issue is raised after the grace period.
fn judge_unlinked(
    context: &Context,
    payment: &StripePayment,
    said: &PaymentEvidence,
    link: &PaymentInvoices,
) -> Judged {
    let alone = |verdict| Judged {
        verdict,
        issue: None,
    };
    let done = |why: &str| alone(Verdict::Done(why.to_owned()));
    let Some(money) = received(payment) else {
        return done("nothing received, and no invoice refers to it");
    };
    if payment.lacks_session() {
        let why = "its checkout session, which may name an invoice, was not read";
        return alone(Verdict::Again(why.to_owned()));
    }
    let key = payment.ids.key();
    if !link.ambiguous.is_empty() {
        return judge_ambiguous(context, payment, money, link);
    }
    if !link.of_other_account.is_empty() {
        return judge_other_account(context, payment, money, &link.of_other_account);
    }
    if !link.uncounted.is_empty() {
        return judge_uncounted(context, payment, money, &link.uncounted);
    }
    let mut evidence = json!({
        "id": key,
        "received": money.to_string(),
        "names_invoice": payment.invoice_references,
    });
    let named = match said.former {
        _ if !payment.invoice_references.is_empty() => payment.invoice_references.join(", "),
        Some(former) => {
            evidence["was_for_invoice"] = former.label.into();
            former.label.to_owned()
        }
        None => return done(UNCLAIMED),
    };
    if said.waited < GRACE_SECONDS {
        let why = format!("there is no invoice {named} yet");
        return alone(Verdict::Again(why));
    }
    let issue = Issue::new(
        IssueKind::UnlinkedPayment,
        Severity::Warning,
        format!(
            "Stripe received {money} by {} for invoice {named}, which does not exist. Book it for another invoice (link_payment), or ignore it (ignore).",
            key.unwrap_or("a payment")
        ),
    )
    .about(key)
    .with_evidence(evidence);
    Judged {
        verdict: Verdict::Done(format!("there is no invoice {named}")),
        issue: Some(issue),
    }
}

/// Decides about money that refers to several invoices by what is only a name or a payment link: it is booked for none of
/// them.
fn judge_ambiguous(
    context: &Context,
    payment: &StripePayment,
    money: Money,
    link: &PaymentInvoices,
) -> Judged {
    let key = payment.ids.key();
    let labels = labels(context.mapping, &link.ambiguous);
    let described: Vec<String> = labels
        .iter()
        .map(|(id, label)| match id == label {
            true => id.clone(),
            false => format!("{label} (id {id})"),
        })
        .collect();
    let by_link = link.by_link.as_ref().map(std::slice::from_ref);
    let names = by_link.unwrap_or(&payment.invoice_references);
    let named = names.join(", ");
    let (refers_to, why) = match by_link {
        Some(_) => (
            format!("payment link {named}, which several invoices store"),
            format!("several invoices store {named}"),
        ),
        None => (
            format!("invoice {named}, but several invoices have this name"),
            format!("several invoices are named {named}"),
        ),
    };
    let issue = Issue::new(
        IssueKind::UnlinkedPayment,
        Severity::Warning,
        format!(
            "Stripe received {money} by {} for {refers_to}: {}. It was not booked. Book it for one of them (link_payment).",
            key.unwrap_or("a payment"),
            described.join(" and "),
        ),
    )
    .about(key)
    .with_evidence(json!({
        "id": key,
        "received": money.to_string(),
        "names_invoice": names,
        "invoices": link.ambiguous,
    }));
    Judged {
        verdict: Verdict::Done(why),
        issue: Some(issue),
    }
}

/// Decides about money that names invoices of another Stripe account: nothing of one account is evidence for another.
fn judge_other_account(
    context: &Context,
    payment: &StripePayment,
    money: Money,
    invoices: &BTreeSet<String>,
) -> Judged {
    let key = payment.ids.key();
    let labels = labels(context.mapping, invoices);
    let named: Vec<&str> = labels.values().map(String::as_str).collect();
    let named = named.join(" and ");
    let account = payment.ids.account();
    let account = account.map_or("the account of the key".to_owned(), str::to_owned);
    let issue = Issue::new(
        IssueKind::UnlinkedPayment,
        Severity::Warning,
        format!(
            "Stripe received {money} by {} in {account} for invoice {named}, which belongs to another Stripe account. It was not booked. If the invoice is of {account}, set its account (setting invoice_account_column); otherwise ignore the payment (ignore).",
            key.unwrap_or("a payment")
        ),
    )
    .about(key)
    .with_evidence(json!({
        "id": key,
        "received": money.to_string(),
        "account": payment.ids.account(),
        "names_invoice": payment.invoice_references,
        "invoices_of_another_account": invoices,
    }));
    Judged {
        verdict: Verdict::Done(format!("invoice {named} belongs to another Stripe account")),
        issue: Some(issue),
    }
}

/// Decides about money for invoices that do not count, such as deleted ones. If it was booked for one of them, the
/// application had it in the books when it deleted the invoice.
fn judge_uncounted(
    context: &Context,
    payment: &StripePayment,
    money: Money,
    uncounted: &BTreeSet<String>,
) -> Judged {
    let key = payment.ids.key();
    let labels = labels(context.mapping, uncounted);
    let named: Vec<&str> = labels.values().map(String::as_str).collect();
    let named = named.join(" and ");
    let done = Verdict::Done(format!("invoice {named} does not count"));
    if is_in_books(context, payment) {
        return Judged {
            verdict: done,
            issue: None,
        };
    }
    let issue = Issue::new(
        IssueKind::UnlinkedPayment,
        Severity::Warning,
        format!(
            "Stripe received {money} by {} for invoice {named}, which does not count by the setting invoice_condition, because it was deleted, for example. If the invoice is to count, restore it; otherwise book the payment for another invoice (link_payment), or ignore it (ignore).",
            key.unwrap_or("a payment")
        ),
    )
    .about(key)
    .with_evidence(json!({
        "id": key,
        "received": money.to_string(),
        "names_invoice": payment.invoice_references,
        "uncounted_invoices": uncounted,
    }));
    Judged {
        verdict: done,
        issue: Some(issue),
    }
}

/// Returns whether the application has a row of the payment, of whatever invoice, as received.
fn is_in_books(context: &Context, payment: &StripePayment) -> bool {
    let rows = booked(context.mapping, payment.ids.each());
    rows.iter().any(|row| row.status.was_received())
}

fn received(payment: &StripePayment) -> Option<Money> {
    match payment.state {
        PaymentState::Received(money) => Some(money),
        _ => None,
    }
}

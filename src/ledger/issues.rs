//! Issues that live: opened once, refreshed while they last, resolved by
//! themselves when the facts agree.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::domain::issue::{Issue, IssueKind};
use crate::domain::plan::Plan;
use crate::pg::sql;

/// Whom the issues of one pass are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// `None`: all of them (Stripe cannot be reached).
    pub(crate) invoice: Option<&'a str>,
    pub(crate) number: Option<&'a str>,
}

/// Whether Stripe was asked in this pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Yes,
    No,
}

/// Opens or refreshes an issue.
pub(crate) fn raise(run: i64, subject: Subject, issue: &Issue) {
    let evidence = match &issue.evidence {
        Value::Null => json!({}),
        other => other.clone(),
    };
    sql::execute(
        "insert into invoice_sync.issue (
            invoice_id, invoice_number, kind, severity, object, summary, evidence, first_run, last_run)
        values ($2, $3, $4, $5, $6, $7, $8::jsonb, $1::bigint, $1::bigint)
        on conflict ((coalesce(invoice_id, '')), kind, (coalesce(object, ''))) where state <> 'resolved'
        do update
        set invoice_number = excluded.invoice_number,
            severity = excluded.severity,
            summary = excluded.summary,
            evidence = excluded.evidence,
            last_seen = now(),
            last_run = excluded.last_run,
            times_seen = issue.times_seen + 1",
        &[
            Some(&run.to_string()),
            subject.invoice,
            subject.number,
            Some(issue.kind.as_str()),
            Some(issue.severity.as_str()),
            issue.object.as_deref(),
            Some(&issue.summary),
            Some(&evidence.to_string()),
        ],
    );
}

/// Resolves the invoice's open issues that this pass could judge and did not
/// find again: those about the invoice itself, and those about an object that
/// Stripe was asked for, and duplicates, which the rows alone tell; none of a
/// kind that the plan leaves undecided.
///
/// A payment that could not be written is known from Stripe alone: an issue that
/// wants one stays where Stripe was not asked.
pub(crate) fn resolve_others(
    run: i64,
    invoice: &str,
    plan: &Plan,
    standing: &[Issue],
    asked: Asked,
) {
    let still: Vec<Value> = standing
        .iter()
        .map(|issue| json!([issue.kind.as_str(), issue.object]))
        .collect();
    let undecided: Vec<&str> = plan.undecided.iter().map(|kind| kind.as_str()).collect();
    sql::execute(
        "update invoice_sync.issue x
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where x.invoice_id = $2
          and x.state <> 'resolved'
          and not $3::jsonb @> jsonb_build_array(jsonb_build_array(x.kind, x.object))
          and not $4::jsonb ? x.kind
          and (x.object is null or x.kind = 'duplicate_payment' or $5::jsonb ? x.object)
          and ($6::boolean or coalesce(x.evidence #> '{wanted,payments}', '[]') = '[]')",
        &[
            Some(&run.to_string()),
            Some(invoice),
            Some(&Value::from(still).to_string()),
            Some(&Value::from(undecided).to_string()),
            Some(&json!(plan.judged).to_string()),
            Some(if asked == Asked::Yes { "true" } else { "false" }),
        ],
    );
}

/// What stands after a run, as its answer tells it: the open issues of the
/// invoices that it looked at, found now or before, and those of no invoice
/// that it raised, but for Stripe's own failure, which the answer tells apart.
pub(crate) fn standing(run: i64, invoices: &BTreeSet<String>) -> Vec<Value> {
    sql::fetch(
        "select jsonb_build_object(
            'invoiceId', x.invoice_id, 'invoiceNumber', x.invoice_number, 'kind', x.kind,
            'severity', x.severity, 'object', x.object, 'issue', x.summary)
        from invoice_sync.issue x
        where x.state <> 'resolved'
          and (x.invoice_id in (select jsonb_array_elements_text($2::jsonb))
               or x.invoice_id is null and x.last_run = $1::bigint
                  and x.kind <> 'stripe_unreachable')
        order by x.id",
        &[Some(&run.to_string()), Some(&json!(invoices).to_string())],
    )
}

/// Resolves an issue that is about no invoice.
pub(crate) fn resolve_general(run: i64, kind: IssueKind) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where invoice_id is null and kind = $2 and state <> 'resolved'",
        &[Some(&run.to_string()), Some(kind.as_str())],
    );
}

/// What a trigger of the host's was last seen to override, as the open issue
/// about it has it: not to be tried again by itself.
pub(crate) fn overridden(invoice: &str) -> Option<Value> {
    sql::fetch_one(
        "select evidence -> 'wanted' from invoice_sync.issue
        where invoice_id = $1 and kind = 'overridden_by_trigger' and state <> 'resolved'",
        &[Some(invoice)],
    )
}

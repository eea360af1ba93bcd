//! Issues found by the payment or event that they are about, whatever their invoice.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::issues::{kinds, resolve_versions};
use crate::domain::issue::IssueKind;
use crate::domain::resolution::{ABOUT_A_PAYMENT, ABOUT_MONEY_NOT_BOOKED};
use crate::pg::sql;

/// Received money that is not booked, and the invoice whose issue reports it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ReportedByInvoice {
    pub(crate) object: String,
    pub(crate) invoice: String,
    /// The invoice's display number.
    pub(crate) label: String,
}

/// Returns the open issues of invoices about received money that is not booked, the one that was checked longest
/// ago first.
pub(crate) fn reported_by_invoices(limit: usize) -> Vec<ReportedByInvoice> {
    sql::fetch(
        "select jsonb_build_object(
            'object', object, 'invoice', invoice_id, 'label', coalesce(invoice_number, invoice_id))
        from invoice_sync.issue
        where invoice_id is not null and state <> 'resolved' and kind = any ($2::text[])
          and object ~ '^([^/]+/)?(cs|pi|ch|py|in)_'
        order by last_seen, id
        limit $1::bigint",
        &[
            Some(&limit.to_string()),
            Some(&kinds(&ABOUT_MONEY_NOT_BOOKED)),
        ],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value(row).ok())
    .collect()
}

/// An open issue of an invoice about a payment.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AboutPayment {
    pub(crate) id: i64,
    pub(crate) times_seen: i64,
    pub(crate) invoice_id: String,
    pub(crate) object: String,
}

/// Returns the open issues of invoices about these objects as payments.
pub(crate) fn about_payments(objects: &BTreeSet<&str>) -> Vec<AboutPayment> {
    if objects.is_empty() {
        return Vec::new();
    }
    sql::fetch(
        "select to_jsonb(x) from (
            select id, times_seen, invoice_id, object
            from invoice_sync.issue
            where state <> 'resolved' and invoice_id is not null and kind = any ($2::text[])
              and object in (select jsonb_array_elements_text($1::jsonb))
        ) x
        order by x.id",
        &[
            Some(&json!(objects).to_string()),
            Some(&kinds(&ABOUT_A_PAYMENT)),
        ],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value(row).ok())
    .collect()
}

/// Resolves these issues, unless they have changed since they were read.
pub(crate) fn resolve_about_payments(run: i64, issues: &[AboutPayment]) {
    let versions = issues.iter();
    let versions = versions.map(|it| json!({ "id": it.id, "times_seen": it.times_seen }));
    resolve_versions(run, versions.collect());
}

/// A payment that refers to an invoice that did not exist: its id, and the references.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Unclaimed {
    pub(crate) object: String,
    pub(crate) names: Vec<String>,
}

/// Returns the open issues about payments without an invoice, the oldest first.
pub(crate) fn unclaimed(limit: usize) -> Vec<Unclaimed> {
    sql::fetch(
        "select jsonb_build_object('object', object, 'names', evidence -> 'names_invoice')
        from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = 'unlinked_payment' and state <> 'resolved'
        order by last_seen, id
        limit $1::bigint",
        &[Some(&limit.to_string())],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value(row).ok())
    .collect()
}

/// Records that these payments still have no invoice.
pub(crate) fn refresh_unclaimed(objects: &[&str]) {
    sql::execute(
        "update invoice_sync.issue set last_seen = now(), times_seen = times_seen + 1
        where coalesce(invoice_id, '') = '' and kind = 'unlinked_payment' and state <> 'resolved'
          and object in (select jsonb_array_elements_text($1::jsonb))",
        &[Some(&json!(objects).to_string())],
    );
}

/// Resolves the issues about payments without an invoice for those that now have one.
pub(crate) fn resolve_claimed(run: i64, objects: &BTreeSet<&str>) {
    if objects.is_empty() {
        return;
    }
    let unclaimed: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select object from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = 'unlinked_payment' and state <> 'resolved'",
        &[],
    );
    let unclaimed = unclaimed.into_iter().flat_map(|[object]| object);
    let claimed: Vec<String> = unclaimed
        .filter(|it| objects.contains(it.as_str()))
        .collect();
    resolve_without_invoice(run, IssueKind::UnlinkedPayment, &claimed);
}

/// A status word that an open issue is about.
#[derive(Debug, Deserialize)]
pub(crate) struct UnknownWord {
    pub(crate) word: String,
    /// Whether no run found it within a day.
    pub(crate) is_old: bool,
}

/// Returns the open issues about status words whose meaning was not known.
pub(crate) fn unknown_words() -> Vec<UnknownWord> {
    sql::fetch(
        "select jsonb_build_object('word', object, 'is_old', last_seen < now() - interval '1 day')
        from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = 'unknown_status' and state <> 'resolved'
          and object is not null",
        &[],
    )
    .into_iter()
    .filter_map(|row| serde_json::from_value(row).ok())
    .collect()
}

/// Returns whether there is an issue of that kind about that object, without an invoice, that is open or that a
/// person decided on.
pub(crate) fn has_issue(kind: IssueKind, object: &str) -> bool {
    sql::fetch_one(
        "select to_jsonb(true) from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = $1 and coalesce(object, '') = $2
          and (state <> 'resolved' or settled is not null)
        limit 1",
        &[Some(kind.as_str()), Some(object)],
    )
    .is_some()
}

/// Resolves the issues of this kind that belong to no invoice and are about these objects.
pub(crate) fn resolve_without_invoice(run: i64, kind: IssueKind, objects: &[String]) {
    if objects.is_empty() {
        return;
    }
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where coalesce(invoice_id, '') = '' and kind = $2 and state <> 'resolved'
          and object in (select jsonb_array_elements_text($3::jsonb))",
        &[
            Some(&run.to_string()),
            Some(kind.as_str()),
            Some(&json!(objects).to_string()),
        ],
    );
}

/// Resolves the issues about events that were processed meanwhile.
pub(crate) fn resolve_events(run: i64, events: &[&String]) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where kind = 'event_failing' and state <> 'resolved'
          and ($2::jsonb ? (evidence ->> 'event') or exists (select from jsonb_array_elements_text(evidence -> 'failing') f (id)
                      where $2::jsonb ? f.id))
          and not exists (
              select from jsonb_array_elements_text(evidence -> 'failing') f (id)
              join invoice_sync.event e on e.id = f.id
              where e.state = 'pending' and not $2::jsonb ? f.id)",
        &[Some(&run.to_string()), Some(&json!(events).to_string())],
    );
}

/// Returns whether an issue of that kind about that object, without an invoice, existed and is resolved.
pub(crate) fn is_over(kind: IssueKind, object: &str) -> bool {
    sql::fetch_one(
        "select to_jsonb(coalesce(bool_and(state = 'resolved'), false))
        from invoice_sync.issue
        where coalesce(invoice_id, '') = '' and kind = $1 and coalesce(object, '') = $2",
        &[Some(kind.as_str()), Some(object)],
    ) == Some(Value::Bool(true))
}

/// Resolves the issues about events that could not be parsed if their payments were checked since.
pub(crate) fn resolve_unread_events(run: i64, payments: &Value) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $2::bigint
        where kind = 'event_failing' and state <> 'resolved' and exists (
            select from jsonb_to_recordset($1::jsonb) p (id text, as_of bigint)
            where evidence -> 'ids' ? p.id
              and first_seen <= timestamptz 'epoch' + p.as_of * interval '1 microsecond')",
        &[Some(&payments.to_string()), Some(&run.to_string())],
    );
}

/// Returns the events that people have given up, by the object of the issues about them.
pub(crate) fn given_up_events(object: &str) -> BTreeSet<String> {
    let rows: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select f.id
        from invoice_sync.issue x, jsonb_array_elements_text(x.settled -> 'failing') f (id)
        where coalesce(x.invoice_id, '') = '' and x.kind = 'event_failing' and x.settled is not null
          and x.object = $1",
        &[Some(object)],
    );
    rows.into_iter().flatten().flatten().collect()
}

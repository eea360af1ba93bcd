//! Issues (`invoice_sync.issue`): opened once, refreshed while they last, resolved when the facts agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::invoice::Invoice;
use crate::domain::issue::{Issue, IssueKind};
use crate::domain::plan::Plan;
use crate::domain::resolution::{ABOUT_MONEY_NOT_BOOKED, Ending, OpenIssue, ending};
use crate::pg::sql;

/// The invoice that issues are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// `None` for an issue about no single invoice (Stripe cannot be reached).
    pub(crate) invoice: Option<&'a str>,
    pub(crate) number: Option<&'a str>,
}

/// Returns whether a person has decided on the same facts. In that case no alert is due.
pub(crate) fn is_settled(subject: Subject, issue: &Issue) -> bool {
    sql::fetch_one(
        "select to_jsonb(invoice_sync.is_settled($1, $2, $3, $4::jsonb))",
        &[
            subject.invoice,
            Some(issue.kind.as_str()),
            issue.object.as_deref(),
            Some(&issue.evidence.to_string()),
        ],
    ) == Some(Value::Bool(true))
}

/// Returns whether two evidence documents contain the same facts.
pub(crate) fn same_facts(a: &Value, b: &Value) -> bool {
    sql::fetch_one(
        "select to_jsonb(invoice_sync.facts_that_matter($1::jsonb) = invoice_sync.facts_that_matter($2::jsonb))",
        &[Some(&a.to_string()), Some(&b.to_string())],
    ) == Some(Value::Bool(true))
}

/// Opens or refreshes issues, except those that a person has settled. Issues of the same subject must differ in
/// kind or object.
pub(crate) fn raise(run: i64, issues: &[(Subject, &Issue)]) {
    if issues.is_empty() {
        return;
    }
    let rows: Vec<Value> = issues
        .iter()
        .map(|(subject, issue)| {
            json!({
                "invoice_id": subject.invoice,
                "invoice_number": subject.number,
                "kind": issue.kind.as_str(),
                "severity": issue.severity.as_str(),
                "object": issue.object,
                "summary": issue.summary,
                "evidence": match &issue.evidence {
                    Value::Null => json!({}),
                    other => other.clone(),
                },
            })
        })
        .collect();
    let rows = Value::from(rows).to_string();
    reopen(run, &rows);
    sql::execute(
        "insert into invoice_sync.issue (
            invoice_id, invoice_number, kind, severity, object, summary, evidence, first_run, last_run)
        select i.invoice_id, i.invoice_number, i.kind, i.severity, i.object, i.summary, i.evidence,
               $1::bigint, $1::bigint
        from jsonb_populate_recordset(null::invoice_sync.issue, $2::jsonb) i
        where not invoice_sync.is_settled(i.invoice_id, i.kind, i.object, i.evidence)
        on conflict ((coalesce(invoice_id, '')), kind, (coalesce(object, ''))) where state <> 'resolved'
        do update
        set invoice_number = excluded.invoice_number,
            severity = excluded.severity,
            summary = excluded.summary,
            evidence = invoice_sync.with_earlier_attempts(excluded.evidence, issue.evidence),
            last_seen = now(),
            last_run = excluded.last_run,
            times_seen = issue.times_seen + 1",
        &[Some(&run.to_string()), Some(&rows)],
    );
}

/// Opens issues again that were resolved automatically within the last day and are found with the same facts, so
/// that there is no second alert. If an alert has reported the resolution, a new issue is opened instead.
fn reopen(run: i64, rows: &str) {
    sql::execute(
        "update invoice_sync.issue x
        set state = case when x.acknowledged_at is null then 'open' else 'acknowledged' end,
            resolved_at = null, last_run = $1::bigint
        from (
            select distinct on (coalesce(o.invoice_id, ''), o.kind, coalesce(o.object, '')) o.id
            from jsonb_populate_recordset(null::invoice_sync.issue, $2::jsonb) i
            join invoice_sync.issue o on coalesce(o.invoice_id, '') = coalesce(i.invoice_id, '')
                and o.kind = i.kind and coalesce(o.object, '') = coalesce(i.object, '')
            where o.state = 'resolved' and o.resolution is null
              and o.resolved_at > now() - interval '1 day'
              and invoice_sync.facts_that_matter(o.evidence) = invoice_sync.facts_that_matter(i.evidence)
              and not invoice_sync.is_settled(i.invoice_id, i.kind, i.object, i.evidence)
              and not exists (
                  select from invoice_sync.alert_issue t where t.issue_id = o.id and t.occasion = 'resolved')
              and not exists (
                  select from invoice_sync.issue n
                  where coalesce(n.invoice_id, '') = coalesce(i.invoice_id, '') and n.kind = i.kind
                    and coalesce(n.object, '') = coalesce(i.object, '')
                    and (n.state <> 'resolved' or n.id > o.id))
            order by coalesce(o.invoice_id, ''), o.kind, coalesce(o.object, ''), o.id desc
        ) again
        where x.id = again.id and x.state = 'resolved'",
        &[Some(&run.to_string()), Some(rows)],
    );
}

/// The plan for one invoice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) invoice: &'a Invoice,
    pub(crate) plan: &'a Plan,
}

/// Resolves the invoices' open issues that these plans cover and do not raise again ([`ending`]). An issue that
/// another transaction has changed since it was read here is left as it is.
pub(crate) fn resolve_others(run: i64, judged: &[Judged]) {
    let invoices: Vec<&str> = judged.iter().map(|it| it.invoice.id.as_str()).collect();
    let open = open_of(run, &invoices);
    if open.is_empty() {
        return;
    }
    let (mut over, mut narrowed) = (Vec::new(), Vec::new());
    for Judged { invoice, plan } in judged {
        for stored in open.get(&invoice.id).into_iter().flatten() {
            let version = json!({ "id": stored.id, "times_seen": stored.times_seen });
            match ending(&stored.issue, invoice, plan) {
                Ending::Stays => {}
                Ending::Over => over.push(version),
                Ending::StaysFor(payments) => {
                    narrowed.push(json!({ "issue": version, "attempted": payments }));
                }
            }
        }
    }
    resolve_versions(run, over);
    if !narrowed.is_empty() {
        sql::execute(
            "update invoice_sync.issue x
            set evidence = jsonb_set(x.evidence, '{attempted}', n.attempted)
            from jsonb_to_recordset($1::jsonb) n (issue jsonb, attempted jsonb)
            where x.id = (n.issue -> 'id')::bigint
              and x.times_seen = (n.issue -> 'times_seen')::integer",
            &[Some(&Value::from(narrowed).to_string())],
        );
    }
}

/// An issue that is not resolved, with the version that was read.
struct Version {
    id: i64,
    times_seen: i64,
    issue: OpenIssue,
}

/// Returns the unresolved issues of these invoices. There are few, so the following statements are limited to them.
/// Issues of kinds that only a newer version knows are left out.
fn open_of(run: i64, invoices: &[&str]) -> BTreeMap<String, Vec<Version>> {
    #[derive(Deserialize)]
    struct Row {
        invoice_id: String,
        id: i64,
        times_seen: i64,
        kind: String,
        object: Option<String>,
        evidence: Value,
        last_run: i64,
    }
    let rows = sql::fetch(
        "select to_jsonb(x) from invoice_sync.issue x
        where coalesce(x.invoice_id, '') in (select jsonb_array_elements_text($1::jsonb))
          and x.state <> 'resolved'
        order by x.id",
        &[Some(&json!(invoices).to_string())],
    );
    let mut open: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    for row in rows {
        let Ok(row) = serde_json::from_value::<Row>(row) else {
            continue;
        };
        let Some(kind) = IssueKind::parse(&row.kind) else {
            continue;
        };
        open.entry(row.invoice_id).or_default().push(Version {
            id: row.id,
            times_seen: row.times_seen,
            issue: OpenIssue {
                kind,
                object: row.object,
                evidence: row.evidence,
                is_refreshed: row.last_run == run,
            },
        });
    }
    open
}

/// Returns the issues for a run's result: the open issues of the invoices that it checked, whether new or older,
/// and those without an invoice that it raised. Stripe's own failure is left out, because the result reports it
/// separately.
pub(crate) fn standing(run: i64, invoices: &BTreeSet<String>) -> Vec<Value> {
    sql::fetch(
        "select jsonb_build_object(
            'invoiceId', x.invoice_id, 'invoiceNumber', x.invoice_number, 'kind', x.kind,
            'severity', x.severity, 'object', x.object, 'issue', x.summary)
        from invoice_sync.issue x
        where x.state <> 'resolved'
          and (x.invoice_id in (select jsonb_array_elements_text($2::jsonb))
               or x.invoice_id is null and x.last_run = $1::bigint
                  and x.kind <> 'stripe_unreachable' and x.kind <> 'misconfigured')
        order by x.id",
        &[Some(&run.to_string()), Some(&json!(invoices).to_string())],
    )
}

/// Returns how many open issues a run has raised or refreshed, except Stripe's own failure.
pub(crate) fn count_seen(run: i64) -> usize {
    sql::fetch_one(
        "select to_jsonb(count(*)) from invoice_sync.issue
        where state <> 'resolved' and last_run = $1::bigint and kind not in ('stripe_unreachable', 'misconfigured')",
        &[Some(&run.to_string())],
    )
    .and_then(|count| usize::try_from(count.as_u64()?).ok())
    .unwrap_or_default()
}

/// Resolves an issue without an invoice.
pub(crate) fn resolve_general(run: i64, kind: IssueKind) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where invoice_id is null and kind = $2 and state <> 'resolved'",
        &[Some(&run.to_string()), Some(kind.as_str())],
    );
}

/// Returns the requests that Stripe did not answer, from the open issue. An issue that does not list them ends with
/// any answer.
pub(crate) fn unanswered() -> Vec<String> {
    sql::fetch_one(
        "select evidence -> 'unanswered' from invoice_sync.issue
        where invoice_id is null and kind = 'stripe_unreachable' and object is null and state <> 'resolved'",
        &[],
    )
    .and_then(|kinds| serde_json::from_value(kinds).ok())
    .unwrap_or_default()
}

/// As [`unanswered`], of each other account that has such an issue.
pub(crate) fn unanswered_by_accounts() -> BTreeMap<String, BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Row {
        account: String,
        unanswered: Option<BTreeSet<String>>,
    }
    let rows = sql::fetch(
        "select jsonb_build_object('account', object, 'unanswered', evidence -> 'unanswered')
        from invoice_sync.issue
        where invoice_id is null and kind = 'stripe_unreachable' and object is not null and state <> 'resolved'",
        &[],
    );
    rows.into_iter()
        .filter_map(|row| serde_json::from_value::<Row>(row).ok())
        .map(|row| (row.account, row.unanswered.unwrap_or_default()))
        .collect()
}

/// Removes these requests from the issue, because Stripe, or this other account, has answered them. If none is left,
/// resolves the issue.
pub(crate) fn resolve_outage(run: i64, account: Option<&str>, answered: &[&str]) {
    sql::execute(
        "with heard as (
            select id, coalesce(evidence -> 'unanswered', '[]') - $2::text[] as unanswered
            from invoice_sync.issue
            where invoice_id is null and kind = 'stripe_unreachable' and object is not distinct from $3
              and state <> 'resolved'
        )
        update invoice_sync.issue x
        set state = case h.unanswered when '[]' then 'resolved' else x.state end,
            resolved_at = case h.unanswered when '[]' then now() end,
            evidence = case h.unanswered when '[]' then x.evidence
                            else x.evidence || jsonb_build_object('unanswered', h.unanswered) end,
            last_run = case h.unanswered when '[]' then $1::bigint else x.last_run end
        from heard h
        where x.id = h.id and x.state <> 'resolved'",
        &[
            Some(&run.to_string()),
            Some(&sql::array(answered.iter().copied())),
            account,
        ],
    );
}

/// Resolves the issue about failing webhooks if a webhook has arrived since.
pub(crate) fn resolve_webhooks_failing(run: i64) {
    sql::execute(
        "update invoice_sync.issue x
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where x.invoice_id is null and x.kind = 'webhooks_failing' and x.state <> 'resolved'
          and (x.evidence ->> 'last_delivery')::timestamptz < (select at from invoice_sync.last_webhook)",
        &[Some(&run.to_string())],
    );
}

/// Resolves the issues of deleted invoices, except those about received money that is not booked
/// (`reported_by_invoices`): they stay until another issue reports it.
pub(crate) fn resolve_gone(run: i64, invoices: &[&str]) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where coalesce(invoice_id, '') in (select jsonb_array_elements_text($2::jsonb))
          and state <> 'resolved'
          and not (kind = any ($3::text[]) and coalesce(object, '') ~ '^([^/]+/)?(cs|pi|ch|py|in)_')",
        &[
            Some(&run.to_string()),
            Some(&json!(invoices).to_string()),
            Some(&kinds(&ABOUT_MONEY_NOT_BOOKED)),
        ],
    );
}

pub(super) fn kinds(kinds: &[IssueKind]) -> String {
    sql::array(kinds.iter().map(|kind| kind.as_str()))
}

/// Open issues about a payment of several invoices, and each of these invoices: what follows `from`.
const OF_SEVERAL_INVOICES: &str = "invoice_sync.issue x
            cross join lateral jsonb_array_elements(
                case jsonb_typeof(x.evidence -> 'invoices') when 'array' then x.evidence -> 'invoices'
                     else '[]' end) part (invoice)
            where x.state <> 'resolved' and x.invoice_id is null and x.kind = 'duplicate_payment'";

/// Returns the invoices with an open issue, the one that was checked longest ago first. An issue about a payment of several
/// invoices is one of each of them.
pub(crate) fn open_invoices(limit: usize) -> Vec<String> {
    let statement = format!(
        "select to_jsonb(o.invoice_id)
        from (
            select x.invoice_id, x.last_seen
            from invoice_sync.issue x
            where x.state <> 'resolved' and x.invoice_id is not null
            union all
            select part.invoice ->> 'invoice_id', x.last_seen
            from {OF_SEVERAL_INVOICES}
        ) o
        where o.invoice_id is not null
        group by o.invoice_id
        order by max(o.last_seen), o.invoice_id
        limit $1::bigint"
    );
    sql::fetch(&statement, &[Some(&limit.to_string())])
        .into_iter()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect()
}

/// Returns the Stripe ids that open issues are about, by invoice; for all invoices if `invoice` is `None`. An issue about
/// a payment of several invoices is about each of them as long as it is not known what Stripe received for it: it may
/// have been refunded before the application recorded it for one of them. An issue about an undone repair ends when all
/// payments of the repair are in the books again, so it is about each of them.
pub(crate) fn objects_in_question(invoice: Option<&str>) -> BTreeMap<String, Vec<String>> {
    let statement = format!(
        "select distinct q.invoice_id, q.object
        from (
            select x.invoice_id, x.object
            from invoice_sync.issue x
            where x.state <> 'resolved' and x.invoice_id is not null
            union all
            select x.invoice_id, payment.ids ->> 0
            from invoice_sync.issue x
            cross join lateral jsonb_array_elements(
                case jsonb_typeof(x.evidence -> 'stripe_payments') when 'array' then x.evidence -> 'stripe_payments'
                     else '[]' end) payment (ids)
            where x.state <> 'resolved' and x.kind = 'repair_undone'
            union all
            select part.invoice ->> 'invoice_id', x.object
            from {OF_SEVERAL_INVOICES}
              and (x.evidence ->> 'stripe_says' is null
                   or not exists (
                       select from invoice_sync.stripe_payment s
                       where s.invoice_id = part.invoice ->> 'invoice_id'
                         and x.object in (s.id, s.session_id, s.charge_id)))
        ) q
        where q.object ~ '^([^/]+/)?(cs|pi|ch|py|in)_' and q.invoice_id is not null
          and ($1::text is null or q.invoice_id = $1)
        order by 1, 2"
    );
    let rows: Vec<[Option<String>; 2]> = sql::fetch_texts(&statement, &[invoice]);
    let mut objects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        if let [Some(invoice), Some(object)] = row {
            objects.entry(invoice).or_default().push(object);
        }
    }
    objects
}

/// Returns those of these invoices that have an open issue about a Stripe object.
pub(crate) fn about_stripe_objects<'a>(
    invoices: impl Iterator<Item = &'a str>,
) -> BTreeSet<String> {
    let rows: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "select distinct x.invoice_id from invoice_sync.issue x
        where coalesce(x.invoice_id, '') = any ($1::text[])
          and x.state <> 'resolved' and x.object ~ '^([^/]+/)?(cs|pi|ch|py|in)_'",
        &[Some(&sql::array(invoices))],
    );
    rows.into_iter().flatten().flatten().collect()
}

pub(super) fn resolve_versions(run: i64, over: Vec<Value>) {
    if over.is_empty() {
        return;
    }
    sql::execute(
        "update invoice_sync.issue x
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        from jsonb_to_recordset($2::jsonb) o (id bigint, times_seen integer)
        where x.id = o.id and x.times_seen = o.times_seen and x.state <> 'resolved'",
        &[Some(&run.to_string()), Some(&Value::from(over).to_string())],
    );
}

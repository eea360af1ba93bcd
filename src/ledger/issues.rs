//! Issues (`invoice_sync.issue`): opened once, refreshed while they last, resolved when the facts agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::invoice::Invoice;
use crate::domain::issue::{Issue, IssueKind};
use crate::domain::plan::Plan;
use crate::domain::resolution::{Ending, OpenIssue, ending};
use crate::pg::sql;

/// Whom the issues of one pass are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// `None`: all of them (Stripe cannot be reached).
    pub(crate) invoice: Option<&'a str>,
    pub(crate) number: Option<&'a str>,
}

/// Whether somebody decided on these very facts: then no alert is due.
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

/// Whether two evidences tell of the same facts.
pub(crate) fn same_facts(a: &Value, b: &Value) -> bool {
    sql::fetch_one(
        "select to_jsonb(invoice_sync.facts_that_matter($1::jsonb) = invoice_sync.facts_that_matter($2::jsonb))",
        &[Some(&a.to_string()), Some(&b.to_string())],
    ) == Some(Value::Bool(true))
}

/// Opens or refreshes issues, but for those that somebody has settled; those of one subject are of different kinds or
/// about different objects.
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

/// What was resolved by itself within a day, and is found again with the same facts, was
/// not over: it is the same issue, and there is no second alert. It is another one where
/// an alert said that it is over.
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

/// What a pass found about one invoice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) invoice: &'a Invoice,
    pub(crate) plan: &'a Plan,
}

/// Resolves the invoices' open issues that these passes looked at and did not find
/// again ([`ending`]); what has changed since it was read here is left to the next.
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
    if !over.is_empty() {
        sql::execute(
            "update invoice_sync.issue x
            set state = 'resolved', resolved_at = now(), last_run = $1::bigint
            from jsonb_to_recordset($2::jsonb) o (id bigint, times_seen integer)
            where x.id = o.id and x.times_seen = o.times_seen and x.state <> 'resolved'",
            &[Some(&run.to_string()), Some(&Value::from(over).to_string())],
        );
    }
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

/// An issue that is not resolved, and whether it is still what was read.
struct Version {
    id: i64,
    times_seen: i64,
    issue: OpenIssue,
}

/// The issues of these invoices that are not resolved: few, so that all else is done
/// for them alone. Of kinds of a newer version nothing is known.
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
                  and x.kind <> 'stripe_unreachable' and x.kind <> 'misconfigured')
        order by x.id",
        &[Some(&run.to_string()), Some(&json!(invoices).to_string())],
    )
}

/// How many open issues a run has found or found again, but for Stripe's own failure.
pub(crate) fn count_seen(run: i64) -> usize {
    sql::fetch_one(
        "select to_jsonb(count(*)) from invoice_sync.issue
        where state <> 'resolved' and last_run = $1::bigint and kind not in ('stripe_unreachable', 'misconfigured')",
        &[Some(&run.to_string())],
    )
    .and_then(|count| usize::try_from(count.as_u64()?).ok())
    .unwrap_or_default()
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

/// Resolves the issues of invoices that are not there any more.
pub(crate) fn resolve_gone(run: i64, invoices: &[&str]) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where coalesce(invoice_id, '') in (select jsonb_array_elements_text($2::jsonb))
          and state <> 'resolved'",
        &[Some(&run.to_string()), Some(&json!(invoices).to_string())],
    );
}

/// Money that names an invoice that was not there: its id, and the names.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Unclaimed {
    pub(crate) object: String,
    pub(crate) names: Vec<String>,
}

/// Open issues about money that no invoice claims, the oldest first.
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

/// Notes that these still have no invoice.
pub(crate) fn refresh_unclaimed(objects: &[&str]) {
    sql::execute(
        "update invoice_sync.issue set last_seen = now(), times_seen = times_seen + 1
        where coalesce(invoice_id, '') = '' and kind = 'unlinked_payment' and state <> 'resolved'
          and object in (select jsonb_array_elements_text($1::jsonb))",
        &[Some(&json!(objects).to_string())],
    );
}

/// Resolves what was said of payments without an invoice for those that one has now.
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
    if claimed.is_empty() {
        return;
    }
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where coalesce(invoice_id, '') = '' and kind = 'unlinked_payment' and state <> 'resolved'
          and object in (select jsonb_array_elements_text($2::jsonb))",
        &[Some(&run.to_string()), Some(&json!(claimed).to_string())],
    );
}

/// Resolves the issues about events that were acted on in the end.
pub(crate) fn resolve_events(run: i64, events: &[&String]) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = now(), last_run = $1::bigint
        where kind = 'event_failing' and state <> 'resolved'
          and exists (select from jsonb_array_elements_text(evidence -> 'failing') f (id)
                      where $2::jsonb ? f.id)
          and not exists (
              select from jsonb_array_elements_text(evidence -> 'failing') f (id)
              join invoice_sync.event e on e.id = f.id
              where e.state = 'pending' and not $2::jsonb ? f.id)",
        &[Some(&run.to_string()), Some(&json!(events).to_string())],
    );
}

/// Invoices with an open issue, the one that was looked at longest ago first.
pub(crate) fn open_invoices(limit: usize) -> Vec<String> {
    sql::fetch(
        "select to_jsonb(invoice_id)
        from invoice_sync.issue
        where state <> 'resolved' and invoice_id is not null
        group by invoice_id
        order by max(last_seen), invoice_id
        limit $1::bigint",
        &[Some(&limit.to_string())],
    )
    .into_iter()
    .filter_map(|id| id.as_str().map(str::to_owned))
    .collect()
}

/// What of Stripe's open issues are about, by invoice.
pub(crate) fn objects_in_question() -> BTreeMap<String, Vec<String>> {
    let rows: Vec<[Option<String>; 2]> = sql::fetch_texts(
        "select distinct invoice_id, object
        from invoice_sync.issue
        where state <> 'resolved' and invoice_id is not null and object ~ '^(cs|pi|ch|py)_'
        order by 1, 2",
        &[],
    );
    let mut objects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        if let [Some(invoice), Some(object)] = row {
            objects.entry(invoice).or_default().push(object);
        }
    }
    objects
}

/// A repair that is left to a person, as the issue about it tells.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Held {
    /// The issue's number.
    pub(crate) id: i64,
    /// False where a person settled it: the repair is not to be made.
    pub(crate) open: bool,
    pub(crate) object: Option<String>,
    pub(crate) evidence: Value,
}

/// Repairs that are left to people, by invoice and kind of issue.
#[derive(Debug, Default)]
pub(crate) struct HeldRepairs(BTreeMap<(String, String), Vec<Held>>);

impl HeldRepairs {
    /// The invoice's issues of that kind that are open or settled, the latest first.
    pub(crate) fn of(&self, invoice: &str, kind: IssueKind) -> &[Held] {
        let key = (invoice.to_owned(), kind.as_str().to_owned());
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// The payments of these invoices whose repair somebody undid, and nobody has allowed
/// since, each with its ids.
pub(crate) fn undone_payments(invoices: &[&str]) -> BTreeMap<String, Vec<Vec<String>>> {
    #[derive(Deserialize)]
    struct Row {
        invoice: String,
        ids: Vec<String>,
    }
    let rows = sql::fetch(
        "select jsonb_build_object('invoice', x.invoice_id, 'ids', p.ids)
        from invoice_sync.issue x
        cross join lateral jsonb_array_elements(x.evidence -> 'stripe_payments') p (ids)
        where coalesce(x.invoice_id, '') in (select jsonb_array_elements_text($1::jsonb))
          and x.kind = 'repair_undone'
          and (x.state <> 'resolved' or x.settled is not null)
        order by x.id",
        &[Some(&json!(invoices).to_string())],
    );
    let mut undone: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for row in rows {
        if let Ok(row) = serde_json::from_value::<Row>(row) {
            undone.entry(row.invoice).or_default().push(row.ids);
        }
    }
    undone
}

/// What is left to people of these invoices.
pub(crate) fn held(invoices: &[&str]) -> HeldRepairs {
    #[derive(Deserialize)]
    struct Row {
        invoice: String,
        kind: String,
        held: Held,
    }
    let rows = sql::fetch(
        "select jsonb_build_object(
            'invoice', x.invoice_id, 'kind', x.kind, 'held', jsonb_build_object(
                'id', x.id, 'open', x.state <> 'resolved', 'object', x.object,
                'evidence', x.evidence))
        from invoice_sync.issue x
        where coalesce(x.invoice_id, '') in (select jsonb_array_elements_text($1::jsonb))
          and x.kind in ('overridden_by_trigger', 'repair_undone')
          and (x.state <> 'resolved' or x.settled is not null)
        order by x.id desc",
        &[Some(&json!(invoices).to_string())],
    );
    let mut holds = HeldRepairs::default();
    for row in rows
        .into_iter()
        .filter_map(|row| serde_json::from_value::<Row>(row).ok())
    {
        let of_kind = holds.0.entry((row.invoice, row.kind)).or_default();
        of_kind.push(row.held);
    }
    holds
}

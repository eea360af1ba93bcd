//! Runs (`invoice_sync.run`).

use std::time::Duration;

use pgrx::pg_sys::Oid;
use serde_json::{Value, json};

use crate::pg::{identity, oid_of, sql};

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sweep,
    SyncInvoice,
    Webhook,
    Backfill,
    ResolveIssue,
    Undo,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::SyncInvoice => "sync_invoice",
            Self::Webhook => "webhook",
            Self::Backfill => "backfill",
            Self::ResolveIssue => "resolve_issue",
            Self::Undo => "undo",
        }
    }
}

/// The totals of a run, as its row stores them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) success: bool,
    /// `{"sqlstate", "message", "hint"}`, or null.
    pub(crate) error: Value,
    pub(crate) invoices_checked: usize,
    pub(crate) invoices_fixed: usize,
    pub(crate) issues_found: usize,
    pub(crate) stripe_errors: usize,
    pub(crate) stripe_requests: u64,
    pub(crate) stripe_retries: u64,
    /// The time spent waiting for Stripe's answers.
    pub(crate) waited: Duration,
    pub(crate) list_pages: u64,
    pub(crate) objects_from_lists: u64,
    pub(crate) objects_one_by_one: u64,
    /// `{"budget", "used", "forecast"}`, or null without a monthly budget.
    pub(crate) monthly_reads: Value,
    /// A further remark for people.
    pub(crate) remark: Option<String>,
}

/// The class of the advisory locks that serialize runs and the processing of payments: the OID of the table of
/// runs.
pub(crate) fn lock_class() -> Oid {
    oid_of(c"invoice_sync", c"run")
}

/// Returns the current time, in seconds since 1970.
pub(crate) fn clock() -> f64 {
    sql::fetch_one(
        "select to_jsonb(extract(epoch from clock_timestamp())::float8)",
        &[],
    )
    .and_then(|now| now.as_f64())
    .unwrap_or_default()
}

/// Marks unfinished runs of this kind as terminated. The caller holds the lock of that kind, so none of them is in
/// progress.
pub(crate) fn close_abandoned(kind: Kind) {
    sql::execute(
        "update invoice_sync.run
        set finished_at = clock_timestamp(), success = false,
            error = jsonb_build_object('sqlstate', '57P01', 'hint', null, 'detail', null,
                'message', 'it was ended before it was done; the next run went on from there')
        where finished_at is null and kind = $1",
        &[Some(kind.as_str())],
    );
}

/// Opens a run. Its row exists before the first change refers to it.
pub(crate) fn open(kind: Kind) -> i64 {
    let row = sql::fetch_one(
        "insert into invoice_sync.run (
            kind, cause, role, started_at, success, invoices_checked, invoices_fixed,
            issues_found, stripe_errors, stripe_requests, stripe_retries, waited)
        values ($1,
            case
                when $1 = 'webhook' then 'webhook'
                when $3::boolean then 'rpc'
                when current_setting('application_name') like 'pg_cron%'
                     or exists (select from pg_stat_activity
                                where pid = pg_backend_pid() and backend_type = 'pg_cron') then 'cron'
                else 'sql'
            end,
            $2, clock_timestamp(), false, 0, 0, 0, 0, 0, 0, interval '0')
        returning to_jsonb(id)",
        &[
            Some(kind.as_str()),
            Some(&identity::outer_role()),
            Some(sql::boolean(identity::is_rpc())),
        ],
    );
    row.and_then(|id| id.as_i64()).unwrap_or_default()
}

/// Whether a run is in progress or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    UnderWay,
    Finished,
}

/// Saves the totals of a run.
pub(crate) fn save(run: i64, totals: &Totals, state: State) {
    let document = json!({
        "success": totals.success,
        "error": totals.error,
        "invoices_checked": totals.invoices_checked,
        "invoices_fixed": totals.invoices_fixed,
        "issues_found": totals.issues_found,
        "stripe_errors": totals.stripe_errors,
        "stripe_requests": totals.stripe_requests,
        "stripe_retries": totals.stripe_retries,
        "waited": format!("{} microseconds", totals.waited.as_micros()),
        "list_pages": totals.list_pages,
        "objects_from_lists": totals.objects_from_lists,
        "objects_one_by_one": totals.objects_one_by_one,
        "monthly_reads": totals.monthly_reads,
        "remark": totals.remark,
    });
    sql::execute(
        "update invoice_sync.run r
        set finished_at = case when $3::boolean then clock_timestamp() end,
            success = t.success,
            error = nullif(t.error, 'null'),
            invoices_checked = t.invoices_checked,
            invoices_fixed = t.invoices_fixed,
            issues_found = t.issues_found,
            stripe_errors = t.stripe_errors,
            stripe_requests = t.stripe_requests,
            stripe_retries = t.stripe_retries,
            waited = t.waited,
            list_pages = t.list_pages,
            objects_from_lists = t.objects_from_lists,
            objects_one_by_one = t.objects_one_by_one,
            monthly_reads = nullif(t.monthly_reads, 'null'),
            remark = t.remark
        from jsonb_populate_record(null::invoice_sync.run, $2::jsonb) t
        where r.id = $1::bigint",
        &[
            Some(&run.to_string()),
            Some(&document.to_string()),
            Some(sql::boolean(state == State::Finished)),
        ],
    );
}

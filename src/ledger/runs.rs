//! Runs (`invoice_sync.run`).

use std::time::Duration;

use pgrx::pg_sys::Oid;
use serde_json::Value;

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

/// Returns whether a run of this kind is unfinished: in progress, or terminated.
pub(crate) fn is_open(kind: Kind) -> bool {
    let open = "select to_jsonb(true) from invoice_sync.run where finished_at is null and kind = $1 limit 1";
    !sql::look_up(1, open, &[Some(kind.as_str())]).is_empty()
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
    let cause = match kind {
        Kind::Webhook => "webhook",
        _ if identity::is_rpc() => "rpc",
        _ if is_called_by_cron() => "cron",
        _ => "sql",
    };
    let row = sql::fetch_one(
        "insert into invoice_sync.run (
            kind, cause, role, started_at, success, invoices_checked, invoices_fixed,
            issues_found, stripe_errors, stripe_requests, stripe_retries, waited)
        values ($1, $2, $3, clock_timestamp(), false, 0, 0, 0, 0, 0, 0, interval '0')
        returning to_jsonb(id)",
        &[
            Some(kind.as_str()),
            Some(cause),
            Some(&identity::outer_role()),
        ],
    );
    row.and_then(|id| id.as_i64()).unwrap_or_default()
}

/// Whether pg_cron runs this session, in either of its modes.
fn is_called_by_cron() -> bool {
    let found = sql::fetch_one(
        "select to_jsonb(current_setting('application_name') like 'pg_cron%' or exists (
            select from pg_stat_activity where pid = pg_backend_pid() and backend_type = 'pg_cron'))",
        &[],
    );
    found == Some(Value::Bool(true))
}

/// Whether a run is in progress or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    UnderWay,
    Finished,
}

/// Saves the totals of a run.
pub(crate) fn save(run: i64, totals: &Totals, state: State) {
    let or_null = |value: &Value| (!value.is_null()).then(|| value.to_string());
    sql::execute(
        "update invoice_sync.run
        set finished_at = case when $2::boolean then clock_timestamp() end,
            success = $3::boolean,
            error = $4::jsonb,
            invoices_checked = $5::integer,
            invoices_fixed = $6::integer,
            issues_found = $7::integer,
            stripe_errors = $8::integer,
            stripe_requests = $9::bigint,
            stripe_retries = $10::bigint,
            waited = $11::bigint * interval '1 microsecond',
            list_pages = $12::bigint,
            objects_from_lists = $13::bigint,
            objects_one_by_one = $14::bigint,
            monthly_reads = $15::jsonb,
            remark = $16
        where id = $1::bigint",
        &[
            Some(&run.to_string()),
            Some(sql::boolean(state == State::Finished)),
            Some(sql::boolean(totals.success)),
            or_null(&totals.error).as_deref(),
            Some(&totals.invoices_checked.to_string()),
            Some(&totals.invoices_fixed.to_string()),
            Some(&totals.issues_found.to_string()),
            Some(&totals.stripe_errors.to_string()),
            Some(&totals.stripe_requests.to_string()),
            Some(&totals.stripe_retries.to_string()),
            Some(&totals.waited.as_micros().to_string()),
            Some(&totals.list_pages.to_string()),
            Some(&totals.objects_from_lists.to_string()),
            Some(&totals.objects_one_by_one.to_string()),
            or_null(&totals.monthly_reads).as_deref(),
            totals.remark.as_deref(),
        ],
    );
}

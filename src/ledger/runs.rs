//! A row for each run.

use serde_json::{Value, json};

use crate::pg::{identity, sql};

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sweep,
    SyncInvoice,
    Webhook,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::SyncInvoice => "sync_invoice",
            Self::Webhook => "webhook",
        }
    }
}

/// The counts of a run, as its row has them.
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
}

/// Opens a run: its row is there before the first change refers to it.
pub(crate) fn open(kind: Kind) -> i64 {
    let row = sql::fetch_one(
        "insert into invoice_sync.run (
            kind, cause, role, started_at, finished_at, success, invoices_checked, invoices_fixed,
            issues_found, stripe_errors, stripe_requests, stripe_retries)
        values ($1,
            case
                when $1 = 'webhook' then 'webhook'
                when coalesce(current_setting('request.jwt.claims', true),
                              current_setting('request.headers', true), '') <> '' then 'rpc'
                when current_setting('application_name') like 'pg_cron%'
                     or exists (select from pg_stat_activity
                                where pid = pg_backend_pid() and backend_type = 'pg_cron') then 'cron'
                else 'sql'
            end,
            $2, clock_timestamp(), clock_timestamp(), false, 0, 0, 0, 0, 0, 0)
        returning to_jsonb(id)",
        &[Some(kind.as_str()), Some(&identity::outer_role())],
    );
    row.and_then(|id| id.as_i64()).unwrap_or_default()
}

/// Writes down how it went.
pub(crate) fn close(run: i64, totals: &Totals) {
    let document = json!({
        "success": totals.success,
        "error": totals.error,
        "invoices_checked": totals.invoices_checked,
        "invoices_fixed": totals.invoices_fixed,
        "issues_found": totals.issues_found,
        "stripe_errors": totals.stripe_errors,
        "stripe_requests": totals.stripe_requests,
        "stripe_retries": totals.stripe_retries,
    });
    sql::execute(
        "update invoice_sync.run r
        set finished_at = clock_timestamp(),
            success = t.success,
            error = nullif(t.error, 'null'),
            invoices_checked = t.invoices_checked,
            invoices_fixed = t.invoices_fixed,
            issues_found = t.issues_found,
            stripe_errors = t.stripe_errors,
            stripe_requests = t.stripe_requests,
            stripe_retries = t.stripe_retries
        from jsonb_populate_record(null::invoice_sync.run, $2::jsonb) t
        where r.id = $1::bigint",
        &[Some(&run.to_string()), Some(&document.to_string())],
    );
}

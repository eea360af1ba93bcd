//! Runs (`invoice_sync.run`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgrx::pg_sys::Oid;
use serde_json::Value;

use crate::pg::{identity, oid_of, sequence, sql};

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
#[derive(Clone, Debug, Default, PartialEq)]
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
    since_1970().as_secs_f64()
}

fn since_1970() -> Duration {
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns whether a run of this kind is unfinished: in progress, or terminated.
pub(crate) fn is_open(kind: Kind) -> bool {
    let open = "select to_jsonb(true) from invoice_sync.run where finished_at is null and kind = $1 limit 1";
    !sql::look_up(1, open, &[Some(kind.as_str())]).is_empty()
}

/// Returns whether this run has ended.
pub(crate) fn is_finished(run: i64) -> bool {
    let finished = "select to_jsonb(true) from invoice_sync.run where id = $1::bigint and finished_at is not null";
    sql::fetch_one(finished, &[Some(&run.to_string())]).is_some()
}

/// Marks unfinished runs of this kind as terminated. The caller holds the lock of that kind, so none of them is in
/// progress.
pub(crate) fn close_abandoned(kind: Kind) {
    sql::execute(
        "with ended as (
            update invoice_sync.run
            set finished_at = clock_timestamp(), success = false,
                error = jsonb_build_object('sqlstate', '57P01', 'hint', null, 'detail', null,
                    'message', 'it was ended before it was done; the next run went on from there')
            where finished_at is null and kind = $1
            returning id
        )
        insert into invoice_sync.run_to_count (run_id)
        select id from ended",
        &[Some(kind.as_str())],
    );
}

/// Opens a run that may take long: its row exists from now on.
pub(crate) fn open(kind: Kind) -> i64 {
    let row = sql::fetch_one(
        "insert into invoice_sync.run (
            kind, cause, role, started_at, success, invoices_checked, invoices_fixed, issues_found, stripe_errors)
        values ($1, $2, $3, clock_timestamp(), false, 0, 0, 0, 0)
        returning to_jsonb(id)",
        &[
            Some(kind.as_str()),
            cause(kind),
            Some(&identity::outer_role()),
        ],
    );
    row.and_then(|id| id.as_i64()).unwrap_or_default()
}

/// A run whose row is written once, at its end or when something refers to it: see [`Brief::write`].
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub(crate) id: i64,
    kind: Kind,
    /// Microseconds since 1970.
    started_at: String,
}

impl Brief {
    /// Begins a run.
    pub(crate) fn begin(kind: Kind) -> Self {
        Self {
            id: sequence::next_value(c"run_id_seq"),
            kind,
            started_at: since_1970().as_micros().to_string(),
        }
    }

    /// Writes the row of the run, as one that has ended with these totals, or corrects it if it may have been `written`.
    pub(crate) fn write(&self, totals: &Totals, written: bool) {
        let role = identity::outer_role();
        let own = [
            Some(self.id.to_string()),
            Some(self.kind.as_str().to_owned()),
            cause(self.kind).map(str::to_owned),
            Some(role),
            Some(self.started_at.clone()),
        ];
        // Most say little, and what is not said is null.
        let said = totals.as_params().map(|param| param.is_some());
        let said = FIGURES.iter().zip(said).filter(|(_, is_said)| *is_said);
        let said: Vec<(usize, &(&str, &str))> =
            (own.len() + 1..).zip(said.map(|(it, _)| it)).collect();
        let names: String = said
            .iter()
            .map(|(_, (name, _))| format!(", {name}"))
            .collect();
        let values: String = said
            .iter()
            .map(|(n, (_, cast))| format!(", ${n}::{cast}"))
            .collect();
        let own = own.into_iter();
        let params: Vec<Option<String>> = own
            .chain(totals.as_params().into_iter().filter(Option::is_some))
            .collect();
        let insert = format!(
            "insert into invoice_sync.run as r (id, kind, cause, role, started_at, finished_at{names})
            overriding system value
            values ($1::bigint, $2, $3, $4, timestamptz 'epoch' + $5::bigint * interval '1 microsecond',
                    clock_timestamp(){values})"
        );
        if !written {
            sql::write_by_key(&insert, &params);
            let count = "insert into invoice_sync.run_to_count (run_id) values ($1::bigint)";
            sql::write_by_key(count, &params[..1]);
            return;
        }
        let excluded = FIGURES
            .map(|(name, _)| format!("excluded.{name}"))
            .join(", ");
        let statement = format!(
            "with written as (
                {insert}
                on conflict (id) do update
                set (finished_at, {columns}) = row (clock_timestamp(), {excluded})
                where (r.success, r.error, r.invoices_checked, r.invoices_fixed, r.issues_found, r.stripe_errors,
                       r.stripe_requests, r.waited)
                    is distinct from (excluded.success, excluded.error, excluded.invoices_checked,
                       excluded.invoices_fixed, excluded.issues_found, excluded.stripe_errors,
                       excluded.stripe_requests, excluded.waited)
                -- A row that this statement has not inserted has an xmax, its lock.
                returning r.id, r.xmax = 0 as is_new
            )
            insert into invoice_sync.run_to_count (run_id)
            select id from written where is_new",
            columns = columns(),
        );
        sql::write_by_key(&statement, &params);
    }
}

/// `None` for a webhook, as most are.
fn cause(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Webhook => None,
        _ if identity::is_rpc() => Some("rpc"),
        _ if is_called_by_cron() => Some("cron"),
        _ => Some("sql"),
    }
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

/// The columns of [`Totals`], with their types. Most runs have none of the last ones: null takes no room.
const FIGURES: [(&str, &str); 14] = [
    ("success", "boolean"),
    ("error", "jsonb"),
    ("invoices_checked", "integer"),
    ("invoices_fixed", "integer"),
    ("issues_found", "integer"),
    ("stripe_errors", "integer"),
    ("stripe_requests", "bigint"),
    ("stripe_retries", "bigint"),
    ("waited", "interval"),
    ("list_pages", "bigint"),
    ("objects_from_lists", "bigint"),
    ("objects_one_by_one", "bigint"),
    ("monthly_reads", "jsonb"),
    ("remark", "text"),
];

fn columns() -> String {
    FIGURES.map(|(name, _)| name).join(", ")
}

impl Totals {
    /// Whether anything was asked, changed or found.
    pub(crate) fn say_something(&self) -> bool {
        let nothing = Self {
            success: true,
            invoices_checked: self.invoices_checked,
            ..Self::default()
        };
        *self != nothing
    }

    /// The values of [`FIGURES`].
    fn as_params(&self) -> [Option<String>; 14] {
        let or_null = |value: &Value| (!value.is_null()).then(|| value.to_string());
        let if_any = |count: u64| (count > 0).then(|| count.to_string());
        let waited = self.waited.as_micros();
        [
            Some(sql::boolean(self.success).to_owned()),
            or_null(&self.error),
            Some(self.invoices_checked.to_string()),
            Some(self.invoices_fixed.to_string()),
            Some(self.issues_found.to_string()),
            Some(self.stripe_errors.to_string()),
            if_any(self.stripe_requests),
            if_any(self.stripe_retries),
            (waited > 0).then(|| format!("{waited} microseconds")),
            if_any(self.list_pages),
            if_any(self.objects_from_lists),
            if_any(self.objects_one_by_one),
            or_null(&self.monthly_reads),
            self.remark.clone(),
        ]
    }
}

/// Saves the totals of a run that was opened.
pub(crate) fn save(run: i64, totals: &Totals, state: State) {
    let own = [
        Some(run.to_string()),
        Some(sql::boolean(state == State::Finished).to_owned()),
    ];
    let casts = (own.len() + 1..).zip(FIGURES);
    let values: Vec<String> = casts
        .map(|(n, (_, cast))| format!("${n}::{cast}"))
        .collect();
    let statement = format!(
        "with saved as (
            update invoice_sync.run
            set (finished_at, {columns}) = (select case when $2::boolean then clock_timestamp() end, {values})
            where id = $1::bigint
            returning id, finished_at
        )
        insert into invoice_sync.run_to_count (run_id)
        select id from saved where finished_at is not null",
        columns = columns(),
        values = values.join(", "),
    );
    let params: Vec<Option<String>> = own.into_iter().chain(totals.as_params()).collect();
    sql::write_by_key(&statement, &params);
}

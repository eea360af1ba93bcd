//! People's decisions about issues: acknowledge, snooze, resolve.

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::issue::IssueKind;
use crate::pg::{Problem, identity, sql};

/// An issue as stored in the ledger.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StoredIssue {
    pub(crate) id: i64,
    pub(crate) invoice_id: Option<String>,
    kind: String,
    pub(crate) object: Option<String>,
    pub(crate) summary: String,
    pub(crate) evidence: Value,
    state: String,
    resolution: Option<String>,
    resolved_by: Option<String>,
}

impl StoredIssue {
    /// Returns the kind; `None` if only a newer version of this extension knows it.
    pub(crate) fn kind(&self) -> Option<IssueKind> {
        IssueKind::parse(&self.kind)
    }

    pub(crate) fn is_resolved(&self) -> bool {
        self.state == "resolved"
    }

    /// Fails with 55000 if the issue is resolved.
    fn must_be_open(&self) -> Result<(), Problem> {
        if !self.is_resolved() {
            return Ok(());
        }
        let how = match (&self.resolution, &self.resolved_by) {
            (Some(action), Some(role)) => format!("{role} resolved it with the action {action}."),
            _ => "It was resolved automatically.".to_owned(),
        };
        Err(Problem::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("issue {} is already resolved", self.id),
        )
        .detail(how))
    }
}

/// Returns an open issue and, if `locked`, locks it until the transaction ends. Fails with P0002 if there is no
/// such issue, and with 55000 if it is resolved.
pub(crate) fn open_issue(id: i64, locked: bool) -> Result<StoredIssue, Problem> {
    let lock = if locked { "for update" } else { "" };
    let issue = sql::fetch_one(
        &format!("select to_jsonb(x) from invoice_sync.issue x where x.id = $1::bigint {lock}"),
        &[Some(&id.to_string())],
    )
    .and_then(|row| serde_json::from_value::<StoredIssue>(row).ok())
    .ok_or_else(|| {
        Problem::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("issue {id} does not exist"),
        )
        .hint("The view invoice_sync.open_issues lists the unresolved issues.")
    })?;
    issue.must_be_open()?;
    Ok(issue)
}

/// Returns whether an issue is open.
pub(crate) fn is_open(id: i64) -> bool {
    open_issue(id, false).is_ok()
}

/// Records that the caller has seen the issue. Fails as [`open_issue`] does.
pub(crate) fn acknowledge(id: i64, note: Option<&str>) -> Result<(), Problem> {
    open_issue(id, true)?;
    sql::execute(
        "update invoice_sync.issue
        set state = 'acknowledged', acknowledged_at = now(), acknowledged_by = $2,
            note = coalesce($3, note)
        where id = $1::bigint",
        &[Some(&id.to_string()), Some(&identity::outer_role()), note],
    );
    Ok(())
}

/// Snoozes the issue until a time, or ends the snooze if there is none. Fails as [`open_issue`] does.
pub(crate) fn snooze(id: i64, until: Option<&str>, note: Option<&str>) -> Result<(), Problem> {
    open_issue(id, true)?;
    sql::execute(
        "update invoice_sync.issue
        set snoozed_until = $2::timestamptz, note = coalesce($3, note)
        where id = $1::bigint",
        &[Some(&id.to_string()), until, note],
    );
    Ok(())
}

/// A person's resolution of an issue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolution<'a> {
    pub(crate) run: i64,
    pub(crate) action: &'a str,
    pub(crate) note: Option<&'a str>,
    /// True if the issue is not opened again while the facts are the same.
    pub(crate) settled: bool,
}

/// Resolves the issue, even if a run has just resolved it.
pub(crate) fn resolve(id: i64, resolution: Resolution) {
    sql::execute(
        "update invoice_sync.issue
        set state = 'resolved', resolved_at = coalesce(resolved_at, now()), resolved_by = $5,
            resolution = $3, note = coalesce($4, note), last_run = $2::bigint,
            settled = case when $6::boolean then invoice_sync.facts_that_matter(evidence) end
        where id = $1::bigint",
        &[
            Some(&id.to_string()),
            Some(&resolution.run.to_string()),
            Some(resolution.action),
            resolution.note,
            Some(&identity::outer_role()),
            Some(sql::boolean(resolution.settled)),
        ],
    );
}

/// Allows an undone repair to be made again: ends earlier decisions about the payments of this evidence.
pub(crate) fn end_undone(invoice: &str, evidence: &Value) {
    sql::execute(
        "update invoice_sync.issue x set settled = null
        where coalesce(x.invoice_id, '') = $1 and x.kind = 'repair_undone' and x.settled is not null
          and (x.evidence -> 'stripe_payments' = $2::jsonb -> 'stripe_payments'
               or exists (
                   select from jsonb_array_elements(x.evidence -> 'stripe_payments') theirs (ids)
                   join jsonb_array_elements($2::jsonb -> 'stripe_payments') these (ids)
                       on exists (select from jsonb_array_elements_text(theirs.ids) i (id)
                                  where these.ids ? i.id)))",
        &[Some(invoice), Some(&evidence.to_string())],
    );
}

/// Records in all changes of a run the decision that they are based on.
pub(crate) fn sign_changes(run: i64, decision: &Value) {
    sql::execute(
        "update invoice_sync.change set decision = coalesce(decision, '{}') || $2::jsonb
        where run_id = $1::bigint",
        &[Some(&run.to_string()), Some(&decision.to_string())],
    );
}

//! One invoice, at the press of a button: everything that is known of it is
//! asked about, now.

use std::time::{Duration, Instant};

use pgrx::prelude::PgSqlErrorCode;
use serde_json::Value;

use super::apply::{Insistence, Mode, Treatment, apply};
use super::connect;
use super::report::Report;
use super::run::require_fresh_snapshots;
use crate::host::mapping::Mapping;
use crate::host::read::{Lock, Reading, read};
use crate::ledger::runs::Kind;
use crate::pg::Problem;
use crate::stripe::gather::{Question, gather};

/// A person waits, and a gateway's time-out is near: the whole of Stripe's
/// part, retries included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Synchronizes the invoice whose id is written `id`.
///
/// Fails with P0002 for an unknown invoice, 55000 without a key, 28000 for one
/// that Stripe rejects, 08006 where Stripe cannot be reached, 08P01 where its
/// answer cannot be used; nothing is changed then.
pub(crate) fn sync_invoice(id: &str, mode: Mode) -> Result<Value, Problem> {
    if mode == Mode::Write {
        require_fresh_snapshots()?;
    }
    let deadline = Instant::now() + PATIENCE;
    let (mapping, settings) = Mapping::load()?;
    let reading = read(&mapping, id, Lock::None)?.ok_or_else(|| unknown(id))?;
    let ids = all_ids(&reading);

    let mut livemode = None;
    let mut gathered = None;
    if !ids.is_empty() {
        let connection = connect::connection()?.ok_or_else(connect::missing_key)?;
        livemode = connection.key.livemode();
        let question = Question {
            about: reading.invoice.id.clone(),
            ids,
        };
        let wanted = connect::reading(&settings, &mapping);
        gathered = Some(gather(vec![question], connection, wanted, deadline)?);
    }

    let mut report = Report::open(Kind::SyncInvoice, mode);
    let mut evidence = None;
    if let Some(gathered) = gathered {
        report.count_requests(gathered.requests, gathered.retries);
        for finding in gathered.findings {
            evidence = Some(finding.evidence.map_err(|error| connect::problem(&error))?);
        }
    }
    let treatment = Treatment {
        mapping: &mapping,
        rules: settings.rules(livemode)?,
        mode,
        insistence: Insistence::Again,
    };
    let found = evidence.as_deref();
    let outcome = apply(&treatment, id, found.unwrap_or_default())?.ok_or_else(|| unknown(id))?;
    report.add(&outcome, found);
    Ok(report.close())
}

/// The invoice's ids and those of its payments: a refund of what was booked
/// long ago is looked for as well.
fn all_ids(reading: &Reading) -> Vec<String> {
    let mut ids = reading.invoice.stored_ids.clone();
    for row in &reading.payments {
        let known = [&row.ids.session, &row.ids.intent, &row.ids.charge];
        let new = known.into_iter().flatten().find(|_| {
            ![&row.ids.session, &row.ids.intent, &row.ids.charge]
                .into_iter()
                .flatten()
                .any(|id| ids.contains(id))
        });
        ids.extend(new.cloned());
    }
    ids
}

fn unknown(id: &str) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        format!("there is no invoice with the id \"{id}\""),
    )
    .hint("The id is the invoice's primary key, not its number.")
}

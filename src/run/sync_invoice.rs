//! `sync_invoice`: asks Stripe about one invoice now.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pgrx::prelude::PgSqlErrorCode;
use serde_json::Value;

use crate::apply::case::Case;
use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::invoices::apply;
use crate::apply::payments::follow_up;
use crate::apply::report::Report;
use crate::domain::account::account_of;
use crate::domain::evidence::Evidence;
use crate::host::deferred::fire_callers;
use crate::host::mapping::Mapping;
use crate::host::read::{KEY_NOT_NUMBER, Reading, read_one};
use crate::host::settings::Settings;
use crate::ledger::issues;
use crate::ledger::runs::Kind;
use crate::pg::{Problem, Transactions, within_the_statement};
use crate::run::run_lock::require_fresh_snapshots;
use crate::select::sessions::with_known_sessions;
use crate::stripe::fetch::fetch;
use crate::stripe::lookups::Question;
use crate::stripe_access;

/// The time for all requests to Stripe, retries included: a person is waiting, and a gateway may time out.
const PATIENCE: Duration = Duration::from_secs(5);

/// Synchronizes the invoice whose primary key, as text, is `id`.
///
/// Fails with P0002 for an unknown invoice, 55000 without a key, 28000 for a key that Stripe rejects, 08006 if
/// Stripe cannot be reached, and 08P01 if its answer cannot be used; nothing is changed then.
pub(crate) fn sync_invoice(id: &str, mode: Mode) -> Result<Value, Problem> {
    if mode == Mode::Write {
        require_fresh_snapshots()?;
    }
    let (mapping, settings) = Mapping::load()?;
    if mode == Mode::Write {
        fire_callers();
    }
    let reading = read_one(&mapping, id)?.ok_or_else(|| unknown(&mapping, id))?;
    let mut report = Report::open(Kind::SyncInvoice, mode);
    let ids = IdsToAsk::of(&reading);
    let answer = ask(&mapping, &settings, &reading.invoice.id, ids.all.clone());
    if mode == Mode::Write {
        stripe_access::count_reads();
    }
    let answer = answer?;
    report.count_requests(answer.requests, answer.retries);
    let context = Context {
        mapping: &mapping,
        rules: mapping.rules(&settings, answer.livemode)?,
        mode,
        on_override: OnOverride::Again,
    };
    let case = ids.case(&reading, answer.evidence.as_deref());
    if !decide(&context, case, &mut report)? {
        return Err(unknown(&mapping, id));
    }
    Ok(report.close())
}

/// The ids about which Stripe is asked for one invoice.
pub(crate) struct IdsToAsk {
    pub(crate) all: Vec<String>,
    /// Those among them that only open issues of the invoice name.
    in_question: Vec<String>,
}

impl IdsToAsk {
    pub(crate) fn of(reading: &Reading) -> Self {
        let mut all = all_ids(reading);
        let in_question = issues::objects_in_question(Some(&reading.invoice.id));
        let in_question = in_question.into_values().flatten();
        let in_question: Vec<String> = in_question.filter(|id| !all.contains(id)).collect();
        all.extend(in_question.iter().cloned());
        Self { all, in_question }
    }

    /// Returns the invoice with the evidence, `None` if Stripe was not asked.
    pub(crate) fn case<'a>(
        &'a self,
        reading: &'a Reading,
        evidence: Option<&'a [Evidence]>,
    ) -> Case<'a> {
        Case {
            invoice: &reading.invoice.id,
            evidence,
            in_question: &self.in_question,
            is_new: false,
            is_alone: false,
        }
    }
}

/// Decides about one invoice and, unless it is a dry run, writes. Returns whether the invoice still exists.
pub(crate) fn decide(context: &Context, case: Case, report: &mut Report) -> Result<bool, Problem> {
    let cases = [case];
    let verdicts = apply(context, &cases, report)?;
    if verdicts.iter().all(Option::is_none) {
        return Ok(false);
    }
    follow_up(Transactions::CALLERS, context, &cases, &verdicts, report)?;
    Ok(true)
}

/// Stripe's answer about one invoice.
#[derive(Default)]
pub(crate) struct Answer {
    /// `None` if there was nothing to ask about.
    pub(crate) evidence: Option<Vec<Evidence>>,
    /// The mode of the key.
    pub(crate) livemode: Option<bool>,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
}

/// Asks Stripe about an invoice's ids, for at most [`PATIENCE`], within the caller's `statement_timeout`. Fails as [`sync_invoice`] does.
pub(crate) fn ask(
    mapping: &Mapping,
    settings: &Settings,
    invoice: &str,
    ids: Vec<String>,
) -> Result<Answer, Problem> {
    if ids.is_empty() {
        return Ok(Answer::default());
    }
    let connection = stripe_access::connection()?;
    if connection.is_none() && ids.iter().any(|id| account_of(id).is_none()) {
        return Err(stripe_access::missing_key());
    }
    let livemode = connection.as_ref().and_then(|it| it.key.livemode());
    let question = Question {
        about: invoice.to_owned(),
        ids,
        created: None,
        sessionless: BTreeSet::new(),
    };
    let questions = with_known_sessions(vec![question]);
    let wanted = stripe_access::reading_for(&questions, settings, mapping);
    let connections = stripe_access::connections(connection, &questions);
    let deadline = Instant::now() + within_the_statement(PATIENCE);
    let fetched = fetch(questions, connections, wanted, deadline)?;
    let mut evidence = None;
    for finding in fetched.findings {
        evidence = Some(
            finding
                .evidence
                .map_err(|error| stripe_access::problem(&error))?,
        );
    }
    Ok(Answer {
        evidence,
        livemode,
        requests: fetched.cost.requests,
        retries: fetched.cost.retries,
    })
}

/// Returns the ids of the invoice and of its payments, because a payment booked long ago may have been refunded
/// since.
pub(crate) fn all_ids(reading: &Reading) -> Vec<String> {
    let mut ids = reading.invoice.stored_ids.clone();
    for row in &reading.payments {
        if !ids.iter().any(|id| row.ids.contains(id)) {
            ids.extend(row.ids.each().next().map(str::to_owned));
        }
    }
    ids
}

/// The error P0002 for an invoice that does not exist.
pub(crate) fn unknown(mapping: &Mapping, id: &str) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        format!("invoice \"{id}\" does not exist"),
    )
    .detail(format!(
        "Column \"{}\" of table {} does not contain it.",
        mapping.invoices.id.name, mapping.invoices.table
    ))
    .hint(KEY_NOT_NUMBER)
}

//! Explains one invoice to a person: how it is understood, what Stripe says, what would be done, and why the rest is
//! not. It decides as a dry run of `sync_invoice` does.

mod answers;
mod decision;
mod rows;
mod sources;

use std::collections::BTreeSet;

use self::sources::Sources;
use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::report::Report;
use crate::domain::evidence::Evidence;
use crate::host::find::uncounted;
use crate::host::mapping::Mapping;
use crate::host::read::{Reading, read_one};
use crate::ledger::runs::Kind;
use crate::ledger::{about_invoice, unwritten_answers};
use crate::pg::Problem;
use crate::run::sync_invoice::{Answer, IdsToAsk, ask, decide, unknown};
use crate::select::inbox::EventScope;
use crate::stripe::retrieve::known_without_request;

/// One line of the explanation.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What it is about: the invoice, a payment row, Stripe, or the decision.
    pub(crate) part: String,
    pub(crate) what: String,
    pub(crate) value: Option<String>,
    /// What says so, or the reason.
    pub(crate) why: Option<String>,
}

impl Line {
    fn new(part: &str, what: impl Into<String>, value: Option<String>, why: String) -> Self {
        Self {
            part: part.to_owned(),
            what: what.into(),
            value,
            why: Some(why).filter(|why| !why.is_empty()),
        }
    }
}

/// Where Stripe's answers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Stripe is asked now.
    Stripe,
    /// What earlier runs stored is used, and no request is made.
    Memory,
}

/// Explains the invoice whose primary key, as text, is `id`. Writes nothing. Fails as
/// [`sync_invoice`](crate::run::sync_invoice::sync_invoice) does.
pub(crate) fn explain(id: &str, asking: Asking) -> Result<Vec<Line>, Problem> {
    let (mapping, settings) = Mapping::load()?;
    let sources = Sources::load(&mapping)?;
    let Some(reading) = read_one(&mapping, id)? else {
        let excluded = uncounted(&mapping, &BTreeSet::from([id]))
            .into_iter()
            .next();
        let excluded = excluded.ok_or_else(|| unknown(&mapping, id))?;
        let mut lines = rows::excluded_invoice(&sources, &excluded);
        lines.extend(decision::about_excluded(&excluded));
        return Ok(lines);
    };
    let invoice = reading.invoice.id.as_str();
    let ids = IdsToAsk::of(&reading);
    let scope = EventScope::by_settings();
    let answer = match asking {
        Asking::Stripe => ask(&mapping, &settings, invoice, ids.all.clone())?,
        Asking::Memory => remembered(invoice, &ids, &scope),
    };
    let context = Context {
        mapping: &mapping,
        rules: mapping.rules(&settings, answer.livemode)?,
        mode: Mode::DryRun,
        // What sweeps do not try again is not done.
        on_override: OnOverride::Once,
    };
    let mut report = Report::open(Kind::SyncInvoice, Mode::DryRun).keeping_outcomes();
    let case = ids.case(&reading, answer.evidence.as_deref());
    if !decide(&context, case, &mut report)? {
        return Err(unknown(&mapping, id));
    }
    let (outcomes, issues) = report.into_findings();
    let known = about_invoice::known_payments(invoice);
    let evidence = answer.evidence.as_deref().unwrap_or_default();
    let mut lines = rows::invoice(&sources, &reading);
    lines.extend(rows::payments(&sources, &reading));
    lines.extend(answers::lines(&sources, asking, &ids, evidence, &known));
    let objects = objects(&reading, &ids, evidence, &known);
    let findings = decision::Findings {
        outcomes: &outcomes,
        issues: &issues,
        objects: &objects,
        scope: &scope,
        asking,
    };
    lines.extend(decision::lines(&reading, &findings));
    Ok(lines)
}

/// Returns what is known without a request: the answers that could not be written, and what an id says by itself.
fn remembered(invoice: &str, ids: &IdsToAsk, scope: &EventScope) -> Answer {
    let mut evidence = unwritten_answers::of_invoices(&BTreeSet::from([invoice]))
        .remove(invoice)
        .unwrap_or_default();
    let by_itself = ids.all.iter();
    evidence.extend(by_itself.filter_map(|id| known_without_request(id, scope.livemode)));
    Answer {
        evidence: Some(evidence).filter(|evidence| !evidence.is_empty()),
        livemode: scope.livemode,
        ..Answer::default()
    }
}

/// Returns the ids of all payments that the explanation is about.
fn objects(
    reading: &Reading,
    ids: &IdsToAsk,
    evidence: &[Evidence],
    known: &[about_invoice::KnownPayment],
) -> BTreeSet<String> {
    let of_rows = reading.payments.iter().flat_map(|row| row.ids.each());
    let of_evidence = evidence.iter().flat_map(Evidence::payment_ids);
    let of_memory = known.iter().flat_map(|payment| &payment.ids);
    let stored = ids.all.iter().map(|id| id.trim());
    stored
        .chain(of_rows)
        .chain(of_evidence)
        .chain(of_memory.map(String::as_str))
        .map(str::to_owned)
        .collect()
}

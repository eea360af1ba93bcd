//! A webhook: verified, stored, and acted on within a budget of time.
//!
//! Once stored, an event is safe: Stripe may get a 200, and a sweep does the rest.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Value, json};

use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::payment_evidence::PaymentEvidence;
use crate::apply::payments::act;
use crate::apply::report::Report;
use crate::apply::superseded;
use crate::domain::account::is_account;
use crate::domain::event::Event;
use crate::domain::evidence::Evidence;
use crate::host::deferred::fire_callers;
use crate::host::mapping::Mapping;
use crate::host::moment::now;
use crate::host::settings::Settings;
use crate::ledger::events::{self, Disposition, Receipt, Verdict};
use crate::ledger::runs::Kind;
use crate::ledger::stripe_accounts::{self, StripeAccount};
use crate::ledger::{concerns, stripe_payments};
use crate::pg::{
    Problem, Transactions, check_for_interrupts, in_subtransaction, in_subtransaction_of_a_run,
    state, with_lock_patience, within_the_statement,
};
use crate::run::log_limit::{ENDINGS, REFUSALS};
use crate::select::accounts;
use crate::select::inbox::EventScope;
use crate::select::sessions::{recall_sessions, with_known_sessions};
use crate::settings::{self, Secret};
use crate::stripe::cost::Cost;
use crate::stripe::events as stripe_events;
use crate::stripe::fetch::fetch;
use crate::stripe::lookups::Question;
use crate::stripe::objects::{read_snapshot, read_unexpanded};
use crate::stripe::signature::{Rejection, verify};
use crate::stripe_access;

/// Receives a webhook. `body` is what Stripe posted, byte for byte; `signature` is its header `Stripe-Signature`.
///
/// Fails with 22023 (which an RPC gateway answers with 400) if Stripe did not sign the body, without giving a
/// reason; with 55000 without a secret; with 58000 if the event cannot be stored (500 for both: Stripe tries
/// again). If this returns and the transaction commits, the event is stored.
pub(crate) fn receive(body: &[u8], signature: Option<&str>) -> Result<Value, Refusal> {
    let secrets = settings::stripe_webhook_secrets().map_err(|problem| {
        refuse(unavailable(), || {
            format!("no secret can be read: {problem}")
        })
    })?;
    let exposed = secrets.iter().map(Secret::expose);
    let mut rejection = match verify(body, signature, exposed, now(), check_for_interrupts) {
        Ok(()) => return Ok(store_and_act(body, None)?),
        Err(rejection) => rejection,
    };
    // Accounts may have endpoints of their own.
    let mut has_secret = !secrets.is_empty();
    if rejection == Rejection::NoMatch {
        let stated = stated_account(body);
        for account in stripe_accounts::with_own_secrets(stated.as_deref(), MOST_TRIED) {
            has_secret = true;
            match is_signed_by(&account, body, signature) {
                Ok(()) => return Ok(store_and_act(body, Some(&account))?),
                Err(other) => rejection = other,
            }
        }
    }
    if has_secret {
        return Err(refuse(refused(), || explain(rejection, &secrets)));
    }
    let why = || "invoice_sync.stripe_webhook_secret is not set".to_owned();
    Err(refuse(unavailable(), why))
}

/// How many accounts' own secrets are tried for one delivery, which anybody may send.
pub(crate) const MOST_TRIED: usize = 10;

/// Returns the account that an unverified event states: its secret is tried first. Nothing else follows from it.
fn stated_account(body: &[u8]) -> Option<String> {
    let event = crate::json::parse(std::str::from_utf8(body).ok()?).ok()?;
    let account = stripe_events::stated_account(&event)?;
    is_account(account).then(|| account.to_owned())
}

/// Fails if no secret of the account's own endpoint signed the body.
fn is_signed_by(
    account: &StripeAccount,
    body: &[u8],
    signature: Option<&str>,
) -> Result<(), Rejection> {
    let reference = account.webhook_secret.as_deref().unwrap_or_default();
    let secrets = in_subtransaction(|| settings::webhook_secrets_of_account(reference));
    let secrets = secrets.unwrap_or_default();
    let exposed = secrets.iter().map(Secret::expose);
    verify(body, signature, exposed, now(), check_for_interrupts)
}

/// Why a webhook was refused.
pub(crate) enum Refusal {
    /// Is written to the server log like any error.
    Logged(Problem),
    /// Is not logged, because anyone who can reach the webhook could fill the log.
    Unlogged(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Logged(problem)
    }
}

/// Logs `why`, unless the log limit is reached.
fn refuse(problem: Problem, why: impl FnOnce() -> String) -> Refusal {
    let Some(left_out) = REFUSALS.take() else {
        return Refusal::Unlogged(problem);
    };
    let and_before = match left_out {
        0 => String::new(),
        _ => format!(" (and {left_out} more before it, not logged)"),
    };
    log(&format!("a webhook was refused: {}{and_before}", why()));
    Refusal::Logged(problem)
}

/// Stores a signed body and acts on it. `signer` is the account whose own secret signed it; without one, Stripe signed
/// it for the platform.
fn store_and_act(body: &[u8], signer: Option<&StripeAccount>) -> Result<Value, Problem> {
    fire_callers();
    let event = std::str::from_utf8(body)
        .ok()
        .and_then(|text| crate::json::parse(text).ok())
        .and_then(|event| stripe_events::read_delivered(event).ok())
        .ok_or_else(not_understood)?;
    let id = event.id.clone();
    let (event, own) = attribute(event, signer);
    let disposition = own.disposition(&event);
    let result = with_lock_patience(budget(), || {
        store(&event, disposition).map(|receipt| match (disposition, receipt) {
            (Disposition::Ignored, _) => {
                report_account(&event, &own);
                "ignored"
            }
            (Disposition::Pending, Receipt::Nothing) => "seen before",
            // Invoices cannot be repaired here, and the next sweep has transactions of its own.
            (Disposition::Pending, _) if state::transaction_keeps_one_snapshot() => LATER,
            (Disposition::Pending, Receipt::New | Receipt::Pending) => {
                process(&event, receipt, &own)
            }
        })
    })?;
    Ok(json!({ "received": true, "event": id, "result": result }))
}

/// The result for an event that a sweep acts on.
const LATER: &str = "stored, to be processed later";

/// Returns the event as one of its account, and what is acted on. The account is that of the secret that signed it, if
/// an account has one: who has the secret can sign anything. Otherwise it is what Stripe states in the event.
fn attribute(event: Event, signer: Option<&StripeAccount>) -> (Event, EventScope) {
    let own = EventScope::by_settings();
    if let Some(signer) = signer {
        let own = EventScope {
            is_signed_by_named: true,
            ..own.with(signer)
        };
        return (event.of_account(&signer.account), own);
    }
    let stated = event
        .account
        .clone()
        .filter(|account| Some(account) != own.account.as_ref());
    let Some(stated) = stated else {
        return (event, own);
    };
    let named = stripe_accounts::named([stated.as_str()]);
    let own = named
        .get(&stated)
        .map_or(own.clone(), |named| own.with(named));
    (event.of_account(&stated), own)
}

/// Returns how long a delivery may take, including waits for locks of the application: Stripe must get its answer
/// in time. If the settings cannot be read, the event is stored all the same.
fn budget() -> Duration {
    Settings::load().map_or(Duration::from_secs(2), |settings| budget_of(&settings))
}

/// A caller's `statement_timeout` may be shorter than the budget: the event is stored before it ends the statement.
fn budget_of(settings: &Settings) -> Duration {
    within_the_statement(settings.webhook_budget())
}

/// Stores the event. Any failure becomes 58000, which an RPC gateway answers with 500, so that Stripe delivers
/// again.
fn store(event: &Event, disposition: Disposition) -> Result<Receipt, Problem> {
    let store = || Ok(events::receive(event, disposition));
    in_subtransaction(store).map_err(|problem| {
        log(&format!(
            "the event {} could not be stored: {problem}",
            event.id
        ));
        not_stored()
    })
}

/// Raises the issue about an account that the settings do not name, once. If that fails, the event is stored all the
/// same, and the next one of the account raises it.
fn report_account(event: &Event, own: &EventScope) {
    let Some(account) = own.foreign_account(event) else {
        return;
    };
    let raised = in_subtransaction(|| {
        if accounts::is_news(account) {
            let mut report = Report::open(Kind::Webhook, Mode::Write);
            accounts::report_foreign(account, own, &mut report);
            report.finish();
        }
        Ok(())
    });
    if let Err(problem) = raised {
        log(&format!(
            "could not open the issue about account {account}: {problem}"
        ));
    }
}

/// The shortest wait for a lock, even if the budget is spent: most locks are held for less.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);

/// Acts on the event. If anything fails, the next sweep does it.
fn process(event: &Event, receipt: Receipt, own: &EventScope) -> &'static str {
    let verdict = in_subtransaction_of_a_run(|| decide_and_apply(event, receipt, own))
        .unwrap_or_else(|problem| Verdict::Again(problem.to_string()));
    // A sweep raises the issue about an event that fails repeatedly.
    events::settle_own(event, receipt, &verdict);
    match verdict {
        Verdict::Applied(_) | Verdict::Done(_) => "processed",
        Verdict::Again(_) => LATER,
    }
}

fn decide_and_apply(event: &Event, receipt: Receipt, own: &EventScope) -> Result<Verdict, Problem> {
    let (mapping, settings) = Mapping::load()?;
    if receipt == Receipt::New
        && settings.stripe_fetch_on_webhook
        && tells_nothing_new(event, own, &mapping, &settings)
    {
        return Ok(Verdict::Applied("it was known, and acted on".to_owned()));
    }
    let deadline = Instant::now() + budget_of(&settings);
    let mut cost = Cost::default();
    let evidence = match fetch_evidence(event, own, &mapping, &settings, deadline, &mut cost)? {
        Ok(evidence) => evidence,
        Err(later) => return Ok(Verdict::Again(later)),
    };
    let context = Context {
        mapping: &mapping,
        rules: mapping.rules(&settings, own.livemode)?,
        mode: Mode::Write,
        on_override: OnOverride::Once,
    };
    let mut report = Report::open(Kind::Webhook, Mode::Write);
    report.count_requests(cost.requests, cost.retries);
    let payment = PaymentEvidence {
        evidence: &evidence,
        waited: 0,
        former: None,
    };
    // Another delivery of the same event waits for this one for as long as its whole budget, and there may be
    // several locks to wait for: the remaining time limits each of them.
    let left = deadline.saturating_duration_since(Instant::now());
    let verdict = with_lock_patience((left / 2).max(LEAST_PATIENCE), || {
        let verdicts = act(Transactions::CALLERS, &context, &[payment], &mut report)?;
        superseded::supersede(&[payment], &verdicts, &mut report)?;
        Ok::<_, Problem>(verdicts)
    })?
    .pop();
    if verdict.as_ref().is_some_and(Verdict::is_done) {
        report.resolve_event_issues(&[&event.id]);
    }
    report.finish();
    Ok(verdict.unwrap_or_else(|| Verdict::Again("it was not processed".to_owned())))
}

/// The events of a payment that succeeded: Stripe sends several of them at once.
const SUCCESSES: [&str; 4] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "payment_intent.succeeded",
    "charge.succeeded",
];

/// Whether all that the event tells is that money came which Stripe's answer to another one of these events, a moment ago,
/// contained and which settled its invoice, and nothing open concerns them: Stripe is not asked again.
fn tells_nothing_new(
    event: &Event,
    own: &EventScope,
    mapping: &Mapping,
    settings: &Settings,
) -> bool {
    if !SUCCESSES.contains(&event.kind.as_str()) || !own.vouches_for(event) {
        return false;
    }
    let reading = stripe_access::reading_of_events(settings, mapping);
    let Ok(Some(payment)) = read_unexpanded(&event.snapshot, &reading) else {
        return false;
    };
    let payment = payment.of(event.account_of_ids());
    let invoices = stripe_payments::just_settled(&payment);
    let ids: BTreeSet<&str> = payment.ids.each().collect();
    let is_settled = |invoice: &String| !concerns::exist(invoice, &ids);
    !invoices.is_empty() && invoices.iter().all(is_settled)
}

/// Returns Stripe's current answer, or, if no request may be made, the content of the event. The inner error says
/// why a later run has to ask.
fn fetch_evidence(
    event: &Event,
    own: &EventScope,
    mapping: &Mapping,
    settings: &Settings,
    deadline: Instant,
    cost: &mut Cost,
) -> Result<Result<Vec<Evidence>, String>, Problem> {
    let ids = event.ids.to_ask();
    if ids.is_empty() {
        return Ok(Err("it is about no payment".to_owned()));
    }
    if !settings.stripe_fetch_on_webhook {
        let reading = stripe_access::reading_of_events(settings, mapping);
        if !own.vouches_for(event) {
            return Ok(Err(
                "it does not state that it belongs to this mode and account".to_owned(),
            ));
        }
        let Ok(Some(payment)) = read_snapshot(&event.snapshot, event.created, &reading) else {
            return Ok(Err("the event does not contain enough".to_owned()));
        };
        let mut payment = payment.of(event.account_of_ids());
        recall_sessions(std::iter::once(&mut payment));
        if payment.lacks_session() && payment.ids.session.is_none() {
            return Ok(Err(
                "the checkout session of this payment was not read".to_owned()
            ));
        }
        return Ok(Ok(vec![Evidence::Payment(payment)]));
    }
    let connection = stripe_access::connection()?;
    let question = Question {
        about: event.id.clone(),
        ids,
        created: None,
        sessionless: BTreeSet::new(),
    };
    let questions = with_known_sessions(vec![question]);
    let reading = stripe_access::reading_for(&questions, settings, mapping);
    let connections = stripe_access::connections(connection, &questions);
    let fetched = fetch(questions, connections, reading, deadline)?;
    stripe_access::count_reads();
    *cost = fetched.cost;
    let finding = fetched.findings.into_iter().next();
    Ok(finding
        .map(|finding| finding.evidence.map_err(|error| error.to_string()))
        .unwrap_or_else(|| Err("Stripe was not asked".to_owned())))
}

/// Explains in the server log, never to the caller, why a signature was not accepted. The last four characters of
/// the secrets that were tried help to find a wrong one; they are logged once an hour, because anyone may send a
/// wrong signature.
fn explain(rejection: Rejection, secrets: &[Secret]) -> String {
    match rejection {
        Rejection::Missing => "it has no Stripe-Signature header".to_owned(),
        Rejection::TooLarge => "its body or its Stripe-Signature header is too large".to_owned(),
        Rejection::Malformed => "its Stripe-Signature header is malformed".to_owned(),
        Rejection::NoKnownScheme => "its Stripe-Signature header has no v1 signature".to_owned(),
        Rejection::NoMatch => format!(
            "none of the {} signed this body: the secret belongs to another endpoint or mode, or the body was changed in transit",
            tried(secrets)
        ),
        Rejection::Stale { seconds } => {
            format!("it was signed {seconds} s ago; if it is new, the clocks differ")
        }
    }
}

fn tried(secrets: &[Secret]) -> String {
    if ENDINGS.take().is_none() {
        return format!("{} secrets", secrets.len());
    }
    let endings = secrets.iter().map(|secret| format!("…{}", secret.ending()));
    format!("secrets ({})", endings.collect::<Vec<_>>().join(", "))
}

fn log(message: &str) {
    pgrx::log!("invoice_sync: {message}");
}

fn refused() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "the signature was not accepted",
    )
}

fn not_understood() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "the body is not an event",
    )
}

fn not_stored() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_SYSTEM_ERROR,
        "the event could not be stored",
    )
}

fn unavailable() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "webhooks are not accepted here",
    )
}

//! A webhook: Stripe itself tells, at the moment it happens.
//!
//! Verified, then stored, then acted on within a budget of time. What was
//! stored is safe: Stripe may be told so, and a sweep does the rest.

use std::time::{Duration, Instant};

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Value, json};

use super::act::{Told, act};
use super::connect;
use super::inbox::Own;
use super::report::Report;
use super::treatment::{Insistence, Mode, Treatment};
use super::turn::require_fresh_snapshots;
use crate::domain::event::Event;
use crate::domain::evidence::Evidence;
use crate::host::deferred::fire_callers;
use crate::host::mapping::Mapping;
use crate::host::settings::Settings;
use crate::host::write::now;
use crate::ledger::events::{self, Fate, Verdict, Way};
use crate::ledger::memory;
use crate::ledger::runs::Kind;
use crate::pg::{Problem, Transactions, in_subtransaction, in_subtransaction_of_a_run, with_lock_patience};
use crate::settings::{self, Secret};
use crate::stripe::desk::Question;
use crate::stripe::events::read_event;
use crate::stripe::gather::{Cost, gather};
use crate::stripe::objects::read_snapshot;
use crate::stripe::signature::{Rejection, verify};

/// Takes a webhook in. `body` is what Stripe posted, byte for byte;
/// `signature` its header `Stripe-Signature`.
///
/// Fails with 22023 (which an RPC gateway answers with 400) for a body that
/// Stripe did not sign, saying no more than that; with 55000 without a secret;
/// with 58000 where the event cannot be stored (500 for both: Stripe tries again).
/// Where this returns and the transaction commits, the event is stored.
pub(crate) fn receive(body: &[u8], signature: Option<&str>) -> Result<Value, Problem> {
    let secrets = settings::stripe_webhook_secrets().map_err(|problem| {
        log(&format!("no webhook can be verified: {problem}"));
        unavailable()
    })?;
    if secrets.is_empty() {
        log("a webhook was refused: invoice_sync.stripe_webhook_secret is not set");
        return Err(unavailable());
    }
    let exposed = secrets.iter().map(Secret::expose);
    if let Err(rejection) = verify(body, signature, exposed, now()) {
        log(&explain(rejection, &secrets));
        return Err(refused());
    }
    require_fresh_snapshots()?;
    let event = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|event| read_event(&event).ok())
        .ok_or_else(not_understood)?;
    let own = Own {
        livemode: settings::stripe_api_key()
            .ok()
            .flatten()
            .and_then(|key| key.livemode()),
        account: settings::stripe_account(),
    };
    let fate = own.fate(&event);
    let result = with_lock_patience(budget(), || {
        store(&event, fate).map(|waits| match (fate, waits) {
            (Fate::Ignored, _) => "ignored",
            (Fate::Pending, false) => "seen before",
            (Fate::Pending, true) => process(&event),
        })
    })?;
    Ok(json!({ "received": true, "event": event.id, "result": result }))
}

/// How long a delivery may take, and wait for a lock: one of the application's must
/// not cost Stripe its answer. With settings that cannot be read, the event is
/// stored all the same.
fn budget() -> Duration {
    Settings::load().map_or(Duration::from_secs(2), |settings| settings.webhook_budget())
}

/// Whatever the reason: an RPC gateway answers 58000 with 500, and Stripe comes again.
fn store(event: &Event, fate: Fate) -> Result<bool, Problem> {
    let store = || Ok(!events::receive(&[(event, fate)], Way::Webhook).is_empty());
    in_subtransaction(store).map_err(|problem| {
        log(&format!(
            "the event {} could not be stored: {problem}",
            event.id
        ));
        not_stored()
    })
}

/// Acts on the event, and whatever goes wrong leaves it to the next sweep.
fn process(event: &Event) -> &'static str {
    let verdict = in_subtransaction_of_a_run(|| decide_and_apply(event))
        .unwrap_or_else(|problem| Verdict::Again(problem.to_string()));
    // Of what fails again and again, a sweep makes an issue.
    events::settle(&[(std::slice::from_ref(&event.id), &verdict)], i32::MAX);
    match verdict {
        Verdict::Done(_) => "processed",
        Verdict::Again(_) => "stored, to be processed later",
    }
}

fn decide_and_apply(event: &Event) -> Result<Verdict, Problem> {
    let (mapping, settings) = Mapping::load()?;
    let deadline = Instant::now() + settings.webhook_budget();
    let mut cost = Cost::default();
    let evidence = match gather_evidence(event, &mapping, &settings, deadline, &mut cost)? {
        Ok(evidence) => evidence,
        Err(later) => return Ok(Verdict::Again(later)),
    };
    let treatment = Treatment {
        mapping: &mapping,
        rules: settings.rules(Some(event.livemode))?,
        mode: Mode::Write,
        insistence: Insistence::Once,
    };
    fire_callers();
    let mut report = Report::open(Kind::Webhook, Mode::Write);
    report.count_requests(cost.requests, cost.retries);
    let told = Told {
        evidence: &evidence,
        waited: 0,
    };
    let verdict = act(Transactions::CALLERS, &treatment, &[told], &mut report)?.pop();
    if let Some(Verdict::Done(_)) = &verdict {
        report.resolve_event_issues(&[&event.id]);
    }
    report.close();
    Ok(verdict.unwrap_or_else(|| Verdict::Again("it was not acted on".to_owned())))
}

/// What Stripe says now, or where no request may be made, what the event says.
/// The inner error says why a later run has to look.
fn gather_evidence(
    event: &Event,
    mapping: &Mapping,
    settings: &Settings,
    deadline: Instant,
    cost: &mut Cost,
) -> Result<Result<Vec<Evidence>, String>, Problem> {
    let ids = &event.ids;
    let Some(money) = ids.session.as_deref().or(ids.key()) else {
        return Ok(Err("it is about no payment".to_owned()));
    };
    let reading = connect::reading(settings, mapping);
    if !settings.stripe_fetch_on_webhook {
        let Ok(Some(mut payment)) = read_snapshot(&event.snapshot, &reading) else {
            return Ok(Err("the event alone does not tell enough".to_owned()));
        };
        memory::recall_payment(&payment.ids).raise(&mut payment);
        return Ok(Ok(vec![Evidence::Payment(payment)]));
    }
    let Some(connection) = connect::connection()? else {
        return Ok(Err("no Stripe API key is set".to_owned()));
    };
    let question = Question {
        about: event.id.clone(),
        ids: vec![money.to_owned()],
        created: None,
    };
    let gathered = gather(vec![question], connection, reading, deadline)?;
    connect::count_reads();
    *cost = gathered.cost;
    let finding = gathered.findings.into_iter().next();
    Ok(finding
        .map(|finding| finding.evidence.map_err(|error| error.to_string()))
        .unwrap_or_else(|| Err("Stripe was not asked".to_owned())))
}

/// Why a signature was not accepted: to the server's log, never to the caller.
fn explain(rejection: Rejection, secrets: &[Secret]) -> String {
    let tried: Vec<String> = secrets
        .iter()
        .map(|secret| format!("…{}", secret.ending()))
        .collect();
    let why = match rejection {
        Rejection::Missing => "it has no Stripe-Signature header".to_owned(),
        Rejection::Malformed => "its Stripe-Signature header is not of Stripe's form".to_owned(),
        Rejection::NoKnownScheme => "its Stripe-Signature header has no v1".to_owned(),
        Rejection::NoMatch => format!(
            "none of the secrets ({}) signed this body: it is the secret of another endpoint or mode, or the body was changed on the way",
            tried.join(", ")
        ),
        Rejection::Stale { seconds } => {
            format!("it is genuine, but {seconds} s old; a difference of clocks?")
        }
    };
    format!("a webhook was refused: {why}")
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

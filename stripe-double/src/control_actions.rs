//! What the control API reads and changes.

use crate::clock::Clock;
use crate::config::EventDelay;
use crate::faults;
use crate::journal::Seen;
use crate::limits::RateLimit;
use crate::lock::lock;
use crate::objects::Kind;
use crate::outcome::{self, PostedFields};
use crate::state::Shared;
use crate::store::{Refusal, Store};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The path of the control API.
pub(crate) const PREFIX: &str = "/_double/";

/// Answers a GET.
pub(crate) fn read(shared: &Shared, path: &str) -> Result<Value, Refusal> {
    match path {
        "requests" => {
            let journal = lock(&shared.journal);
            let data: Vec<Value> = journal.all().iter().map(seen).collect();
            Ok(json!({ "data": data }))
        }
        "stats" => {
            let journal = lock(&shared.journal);
            Ok(json!({
                "requests": journal.all().len(),
                "peak_in_flight": shared.in_flight.peak(),
                "connections": shared.connections.accepted(),
                "by_path": journal.by_path(),
            }))
        }
        "emails" => Ok(json!({ "data": lock(&shared.outbox).mails() })),
        "events" => {
            let store = lock(&shared.store);
            let ids = store
                .places(Kind::Event)
                .into_iter()
                .flat_map(|places| places.values());
            let events = ids.filter_map(|id| store.get(id));
            let data: Vec<Value> = events.map(|event| event.render().into()).collect();
            Ok(json!({ "data": data }))
        }
        "clock" => Ok(json!({ "now": lock(&shared.store).clock.now() })),
        other => Err(unknown("GET", other)),
    }
}

fn seen(seen: &Seen) -> Value {
    let headers: Map<String, Value> = seen
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    json!({
        "method": seen.method, "path": seen.path, "query": seen.query, "headers": headers,
        "body": seen.body, "ms_ago": seen.arrived.elapsed().as_secs_f64() * 1000.0,
        "status": seen.status,
    })
}

/// Changes a setting.
pub(crate) fn adjust(shared: &Shared, setting: &str, body: &Value) -> Result<Value, Refusal> {
    let count = |name: &str| body[name].as_u64();
    match setting {
        "faults" => {
            one_or_all(body, |rule| {
                let fault = faults::read(rule).map_err(Refusal::invalid)?;
                lock(&shared.faults).add(fault);
                Ok(Value::Null)
            })?;
            Ok(json!({ "faults": lock(&shared.faults).left() }))
        }
        "latency" => {
            let ms = count("ms").ok_or_else(|| Refusal::invalid("\"ms\" is missing"))?;
            lock(&shared.limits).latency = Duration::from_millis(ms);
            Ok(json!({ "ms": ms }))
        }
        "limits" => {
            let mut limits = lock(&shared.limits);
            if body.get("rate_limit").is_some() {
                let rate = count("rate_limit").and_then(|rate| u32::try_from(rate).ok());
                limits.rate = rate.map(RateLimit::new);
            }
            if body.get("max_concurrency").is_some() {
                let most = count("max_concurrency");
                limits.concurrency = most.and_then(|most| usize::try_from(most).ok());
            }
            Ok(json!({}))
        }
        "clock" => {
            let clock = &mut lock(&shared.store).clock;
            match (body["at"].as_i64(), body["advance"].as_i64(), &body["run"]) {
                (Some(at), _, _) => *clock = Clock::Frozen(at),
                (_, Some(seconds), _) => clock.advance(seconds),
                (_, _, Value::Bool(true)) => *clock = Clock::starting_at(None),
                _ => {
                    return Err(Refusal::invalid(
                        "\"at\", \"advance\" or \"run\" is missing",
                    ));
                }
            }
            Ok(json!({ "now": clock.now() }))
        }
        "event-delay" => {
            let delay = match (count("ms"), count("lists"), &body["held"]) {
                (Some(ms), _, _) => EventDelay::For(Duration::from_millis(ms)),
                (_, Some(lists), _) => EventDelay::Lists(lists),
                (_, _, Value::Bool(true)) => EventDelay::Held,
                _ => EventDelay::None,
            };
            lock(&shared.store).event_delay = delay;
            Ok(json!({}))
        }
        "pending-webhooks" => {
            let pending = count("count").and_then(|count| u32::try_from(count).ok());
            let pending = pending.ok_or_else(|| Refusal::invalid("\"count\" is missing"))?;
            lock(&shared.store).pending_webhooks = pending;
            Ok(json!({}))
        }
        other => Err(unknown("POST", other)),
    }
}

/// Performs an action on an object.
pub(crate) fn act(store: &mut Store, body: &Value) -> Result<Value, Refusal> {
    let fields = body.as_object();
    let posted =
        PostedFields::any(fields.ok_or_else(|| Refusal::invalid("an object is expected"))?);
    let needed = |name: &str| {
        let text = posted.text(name)?;
        text.ok_or_else(|| Refusal::invalid(format!("\"{name}\" is missing")))
    };
    let action = needed("action")?;
    if action == "release_events" {
        store.release_events();
        return Ok(json!({}));
    }
    let id = needed("id")?;
    let at = posted.number("at")?.unwrap_or_else(|| store.clock.now());
    let mut made = None;
    match action.as_str() {
        "pay" => store.pay(&id, posted.number("amount_received")?, at)?,
        "process" => store.process(&id, at)?,
        "succeed" => store.succeed(&id, at)?,
        "fail" => store.fail(&id, at)?,
        "expire" => store.expire(&id, at)?,
        "cancel" => store.cancel(&id, at)?,
        "authorise" => store.authorise(&id, at)?,
        "capture" => {
            let amount = posted.number("amount")?;
            let amount = amount.ok_or_else(|| Refusal::invalid("\"amount\" is missing"))?;
            store.capture(&id, amount, at)?;
        }
        "capture_part" => {
            let amount = posted.number("amount")?;
            let amount = amount.ok_or_else(|| Refusal::invalid("\"amount\" is missing"))?;
            store.capture_part(&id, amount, at)?;
        }
        "complete_free" => store.complete_free(&id, at)?,
        "refund" => {
            let refund = outcome::refund(&posted, "refund_id")?;
            made = Some(store.refund(&id, refund, at)?);
        }
        "update_refund" => store.update_refund(&id, &needed("status")?, at)?,
        "dispute" => {
            let dispute = outcome::dispute(&posted, "dispute_id")?;
            made = Some(store.dispute(&id, dispute, at)?);
        }
        "update_dispute" => store.update_dispute(&id, &needed("status")?, at)?,
        other => return Err(Refusal::invalid(format!("unknown action \"{other}\""))),
    }
    let mut answer = outcome::parts(store, &id);
    answer["id"] = made.unwrap_or(id).into();
    Ok(answer)
}

pub(crate) fn unknown(method: &str, path: &str) -> Refusal {
    Refusal {
        status: 404,
        message: format!("the control API has no {method} {PREFIX}{path}"),
    }
}

/// Applies `act` to one value, or to each value of an array until one fails.
pub(crate) fn one_or_all(
    body: &Value,
    mut act: impl FnMut(&Value) -> Result<Value, Refusal>,
) -> Result<Value, Refusal> {
    let Value::Array(all) = body else {
        return act(body);
    };
    let mut data = Vec::with_capacity(all.len());
    for (index, one) in all.iter().enumerate() {
        let done = act(one).map_err(|refusal| Refusal {
            message: format!("[{index}]: {}", refusal.message),
            ..refusal
        })?;
        data.push(done);
    }
    Ok(json!({ "data": data }))
}

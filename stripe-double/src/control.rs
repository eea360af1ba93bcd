//! The control door: the double's levers over HTTP, below `/_double/`. No key is asked for; the double
//! listens on 127.0.0.1 only. Bodies and answers are JSON.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /_double/checkouts` | one checkout or an array | `{"session","intent","charge","refund"?,"dispute"?}`, or `{"data":[…]}` |
//! | `POST /_double/intents` | one intent or an array | the same |
//! | `POST /_double/actions` | one action or an array | `{"id"?,"session","intent","charge"}`, or `{"data":[…]}` |
//! | `GET`, `POST`, `DELETE /_double/objects/{id}` | fields to set | the object |
//! | `POST`, `DELETE /_double/faults` | a rule or an array | `{"faults":n}` |
//! | `POST /_double/latency` | `{"ms":50}` | `{"ms":50}` |
//! | `POST /_double/limits` | `{"rate_limit":25,"max_concurrency":null}` | `{}` |
//! | `GET`, `POST /_double/clock` | `{"at":1700000000}`, `{"advance":60}` or `{"run":true}` | `{"now":…}` |
//! | `POST /_double/event-delay` | `{"ms":…}`, `{"lists":…}`, `{"held":true}` or `{}` | `{}` |
//! | `POST /_double/pending-webhooks` | `{"count":1}` | `{}` |
//! | `GET`, `DELETE /_double/requests` | | `{"data":[…]}` |
//! | `GET /_double/stats` | | `{"requests","peak_in_flight","connections","by_path"}` |
//! | `GET /_double/events`, `GET /_double/emails` | | `{"data":[…]}` |
//!
//! A checkout: `id`, `intent_id`, `charge_id`, `amount` (minor units), `currency`, `livemode`, `created` or
//! `created_ago` (seconds), `expires_at`, `metadata`, `intent_metadata`, `client_reference_id`,
//! `description`, `customer`, `account`, `mode`, `early_intent`, `outcome`, `outcome_at` or `outcome_ago`
//! (else as created), `amount_received`, `refund` (`{"id","amount","status","reason"}`), `dispute`
//! (the same). Outcomes: `open`, `paid`, `processing`, `async_succeeded`, `async_failed`, `declined`,
//! `expired`, `no_payment_required`, `requires_capture`, `canceled`. An intent has the fields that are not
//! the session's.
//!
//! An action: `{"action":…,"id":…,"at"?:…}` with `pay` (`amount_received`), `process`, `succeed`, `fail`,
//! `expire`, `cancel`, `authorise`, `capture` (`amount`), `complete_free`, `refund` (`amount`, `status`,
//! `reason`, `refund_id`), `update_refund` (`status`), `dispute` (`amount`, `status`, `reason`,
//! `dispute_id`), `update_dispute` (`status`), `release_events` (no id).
//!
//! A fault: `{"action":…}` with `rate_limited`, `lock_timeout`, `status` (`status`), `reset`, `close`,
//! `hang`, `truncated_body`, `oversized_body` (`bytes`), `html` (`status`), `invalid_json`, `redirect`
//! (`url`), `slow_body` (`bytes`, `ms`), `latency` (`ms`); which requests: `method`, `path` (a prefix),
//! `object`; how often: `times` (1 if not given), `nth` or `always`; headers: `should_retry`, `retry_after`.

use crate::answer::Answer;
use crate::control_actions::{self, PREFIX, one_or_all, unknown};
use crate::http::Request;
use crate::lock::lock;
use crate::outcome;
use crate::params::decode;
use crate::state::Shared;
use crate::store::{Refusal, Store};
use serde_json::{Value, json};

pub(crate) fn answer(shared: &Shared, request: &Request) -> Answer {
    match resolve(shared, request) {
        Ok(body) => Answer::json(200, &body),
        Err(refusal) => {
            let body = json!({ "error": { "message": refusal.message } });
            Answer::json(refusal.status, &body)
        }
    }
}

fn resolve(shared: &Shared, request: &Request) -> Result<Value, Refusal> {
    let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
    if let Some(id) = path.strip_prefix("objects/") {
        return object(shared, request, &decode(id));
    }
    match (request.method.as_str(), path) {
        ("GET", path) => control_actions::read(shared, path),
        ("DELETE", "requests") => {
            lock(&shared.journal).reset();
            shared.in_flight.reset_peak();
            Ok(json!({}))
        }
        ("DELETE", "faults") => {
            lock(&shared.faults).clear();
            Ok(json!({ "faults": 0 }))
        }
        ("POST", path) => {
            let body = body_of(request)?;
            let each = |act: fn(&mut Store, &Value) -> Result<Value, Refusal>| {
                let mut store = lock(&shared.store);
                one_or_all(&body, |wish| act(&mut store, wish))
            };
            match path {
                "checkouts" => each(outcome::checkout),
                "intents" => each(outcome::intent),
                "actions" => each(control_actions::act),
                setting => control_actions::adjust(shared, setting, &body),
            }
        }
        (method, _) => Err(unknown(method, path)),
    }
}

fn object(shared: &Shared, request: &Request, id: &str) -> Result<Value, Refusal> {
    let mut store = lock(&shared.store);
    match request.method.as_str() {
        "GET" => {}
        "DELETE" => {
            store.delete(id)?;
            return Ok(json!({ "id": id, "deleted": true }));
        }
        "POST" => {
            let body = body_of(request)?;
            let fields = body.as_object();
            let fields = fields.ok_or_else(|| Refusal::invalid("an object is expected"))?;
            for (field, value) in fields {
                store.set(id, field, value.clone())?;
            }
        }
        method => return Err(unknown(method, "objects/…")),
    }
    let record = store.get(id).ok_or_else(|| Refusal::missing(id))?;
    Ok(Value::Object(record.render()))
}

fn body_of(request: &Request) -> Result<Value, Refusal> {
    if request.body.is_empty() {
        return Ok(json!({}));
    }
    let body = serde_json::from_slice(&request.body);
    body.map_err(|error| Refusal::invalid(format!("the body is no JSON: {error}")))
}

//! Resend's `POST /emails`, simple: mails are kept, and an idempotency key sends once.

use crate::answer::Answer;
use crate::auth::bearer;
use crate::http::Request;
use crate::lock::lock;
use crate::store::Store;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Mutex;

pub(crate) const PATH: &str = "/emails";

/// Resend remembers an idempotency key for 24 hours.
const KEY_SECONDS: i64 = 24 * 3600;

const MAX_KEY_LENGTH: usize = 256;

/// The mails that were taken.
#[derive(Debug)]
pub(crate) struct Outbox {
    keys: Vec<String>,
    mails: Vec<Value>,
    sent: HashMap<String, Sent>,
}

/// What an idempotency key was used for.
#[derive(Debug)]
struct Sent {
    at: i64,
    body: Vec<u8>,
    id: String,
}

struct Refused(u16, &'static str, String);

impl Outbox {
    pub(crate) fn new(keys: Vec<String>) -> Self {
        Outbox {
            keys,
            mails: Vec::new(),
            sent: HashMap::new(),
        }
    }

    pub(crate) fn mails(&self) -> &[Value] {
        &self.mails
    }

    /// Takes a mail; gives its id.
    fn take(&mut self, request: &Request, now: i64, new_id: String) -> Result<String, Refused> {
        let given = request.header("authorization").and_then(bearer);
        let secret =
            given.ok_or_else(|| Refused(401, "missing_api_key", "Missing API Key".into()))?;
        if !self.keys.iter().any(|known| known == secret) {
            return Err(Refused(403, "invalid_api_key", "API key is invalid".into()));
        }
        let mut mail = read_mail(&request.body)?;
        let key = request.header("idempotency-key");
        if let Some(key) = key {
            if key.is_empty() || key.len() > MAX_KEY_LENGTH {
                let message = "The idempotency key must be between 1-256 characters";
                return Err(Refused(400, "invalid_idempotency_key", message.into()));
            }
            let sent = self
                .sent
                .get(key)
                .filter(|sent| now - sent.at < KEY_SECONDS);
            match sent {
                Some(sent) if sent.body == request.body => return Ok(sent.id.clone()),
                Some(_) => {
                    let message = "This idempotency key has been used on a request that had a different \
                                   payload. Retrying this request is useless without changing the \
                                   idempotency key or payload.";
                    return Err(Refused(409, "invalid_idempotent_request", message.into()));
                }
                None => {}
            }
            let sent = Sent {
                at: now,
                body: request.body.clone(),
                id: new_id.clone(),
            };
            self.sent.insert(key.to_owned(), sent);
        }
        mail.insert("id".into(), new_id.as_str().into());
        mail.insert("idempotency_key".into(), key.into());
        self.mails.push(Value::Object(mail));
        Ok(new_id)
    }
}

fn read_mail(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    let mail = match serde_json::from_slice(body) {
        Ok(Value::Object(mail)) => mail,
        _ => {
            let message = "The request body is not a JSON object".into();
            return Err(Refused(400, "validation_error", message));
        }
    };
    for field in ["from", "to", "subject"] {
        if mail.get(field).is_none_or(Value::is_null) {
            let message = format!("Missing `{field}` field.");
            return Err(Refused(422, "missing_required_field", message));
        }
    }
    if mail.get("html").is_none() && mail.get("text").is_none() {
        let message = "Missing `html` or `text` field.".into();
        return Err(Refused(422, "missing_required_field", message));
    }
    Ok(mail)
}

/// Answers a request to `/emails`.
pub(crate) fn answer(store: &Mutex<Store>, outbox: &Mutex<Outbox>, request: &Request) -> Answer {
    if request.method != "POST" {
        return tell(
            405,
            "method_not_allowed",
            "Method is not allowed for the requested path",
        );
    }
    let (now, new_id) = {
        let mut store = lock(store);
        (store.clock.now(), store.ids.uuid())
    };
    match lock(outbox).take(request, now, new_id) {
        Ok(id) => Answer::json(200, &json!({ "id": id })),
        Err(Refused(status, name, message)) => tell(status, name, &message),
    }
}

/// A fault in Resend's shape.
pub(crate) fn refuse(status: u16) -> Answer {
    match status {
        429 => {
            let message = "Too many requests. You can only make 2 requests per second.";
            tell(429, "rate_limit_exceeded", message)
        }
        _ => tell(status, "application_error", "An unexpected error occurred"),
    }
}

fn tell(status: u16, name: &str, message: &str) -> Answer {
    let body = json!({ "statusCode": status, "name": name, "message": message });
    Answer::json(status, &body)
}

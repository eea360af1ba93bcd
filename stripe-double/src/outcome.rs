//! Sessions and intents from JSON, with their outcome, for the control API.

use crate::builders::{Checkout, Dispute, Intent, Refund};
use crate::store::{Refusal, Store};
use serde_json::{Map, Value, json};

/// The fields of a checkout; an intent has the same, except for those of the session.
const KNOWN: [&str; 23] = [
    "id",
    "intent_id",
    "charge_id",
    "amount",
    "currency",
    "livemode",
    "created",
    "created_ago",
    "expires_at",
    "metadata",
    "intent_metadata",
    "client_reference_id",
    "description",
    "customer",
    "account",
    "mode",
    "early_intent",
    "outcome",
    "outcome_at",
    "outcome_ago",
    "amount_received",
    "refund",
    "dispute",
];

const OF_SESSIONS_ONLY: [&str; 6] = [
    "intent_id",
    "expires_at",
    "intent_metadata",
    "client_reference_id",
    "mode",
    "early_intent",
];

/// Creates a session with its outcome. Returns the ids of all objects created.
pub(crate) fn checkout(store: &mut Store, posted: &Value) -> Result<Value, Refusal> {
    let posted = PostedFields::read(posted, &[])?;
    let mut checkout = Checkout::new(0, "usd");
    checkout.mode = match posted.text("mode")?.as_deref() {
        None | Some("payment") => "payment",
        Some("setup") => "setup",
        Some("subscription") => "subscription",
        Some(other) => return Err(Refusal::invalid(format!("unknown mode \"{other}\""))),
    };
    checkout.id = posted.text("id")?;
    checkout.intent = posted.intent(store, "intent_id", "intent_metadata")?;
    checkout.metadata = posted.metadata("metadata")?;
    checkout.client_reference_id = posted.text("client_reference_id")?;
    checkout.expires_at = posted.number("expires_at")?;
    checkout.early_intent = posted.flag("early_intent")?;
    let id = store.open_checkout(checkout)?;
    posted.perform_outcome(store, &id)
}

/// Creates an intent with its outcome. Returns the ids of all objects created.
pub(crate) fn intent(store: &mut Store, posted: &Value) -> Result<Value, Refusal> {
    let posted = PostedFields::read(posted, &OF_SESSIONS_ONLY)?;
    let intent = posted.intent(store, "id", "metadata")?;
    let id = store.create_intent(intent)?;
    posted.perform_outcome(store, &id)
}

/// Returns the ids of the session, intent and charge that belong together.
pub(crate) fn parts(store: &Store, id: &str) -> Value {
    let target = store.target(id).ok();
    json!({
        "session": target.as_ref().and_then(|target| target.session.clone()),
        "intent": target.and_then(|target| target.intent),
        "charge": store.charge_of(id).ok(),
    })
}

/// The posted fields, with typed access.
pub(crate) struct PostedFields<'a>(&'a Map<String, Value>);

impl<'a> PostedFields<'a> {
    fn read(posted: &'a Value, not_allowed: &[&str]) -> Result<Self, Refusal> {
        let fields = posted.as_object();
        let fields = fields.ok_or_else(|| Refusal::invalid("an object is expected"))?;
        for name in fields.keys() {
            if !KNOWN.contains(&name.as_str()) || not_allowed.contains(&name.as_str()) {
                return Err(Refusal::invalid(format!("unknown field \"{name}\"")));
            }
        }
        Ok(PostedFields(fields))
    }

    /// Wraps fields without checking their names.
    pub(crate) fn any(fields: &'a Map<String, Value>) -> Self {
        PostedFields(fields)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let text = |value: &Value| {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| Refusal::invalid(format!("\"{name}\" must be a string")))
        };
        self.get(name).map(text).transpose()
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let number = |value: &Value| {
            let message = || Refusal::invalid(format!("\"{name}\" must be a whole number"));
            value.as_i64().ok_or_else(message)
        };
        self.get(name).map(number).transpose()
    }

    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Refusal::invalid(format!(
                "\"{name}\" must be true or false"
            ))),
        }
    }

    fn metadata(&self, name: &str) -> Result<Map<String, Value>, Refusal> {
        match self.get(name) {
            None => Ok(Map::new()),
            Some(Value::Object(entries)) if entries.values().all(Value::is_string) => {
                Ok(entries.clone())
            }
            Some(_) => Err(Refusal::invalid(format!(
                "\"{name}\" must be an object of strings"
            ))),
        }
    }

    /// Returns a time given in unix seconds, or in seconds before now.
    fn time(&self, store: &Store, at: &str, ago: &str) -> Result<Option<i64>, Refusal> {
        match (self.number(at)?, self.number(ago)?) {
            (None, Some(ago)) => Ok(Some(store.clock.now() - ago)),
            (at, _) => Ok(at),
        }
    }

    fn intent(&self, store: &Store, id: &str, metadata: &str) -> Result<Intent, Refusal> {
        let currency = self.text("currency")?.unwrap_or_else(|| "usd".into());
        let mut intent = Intent::new(self.number("amount")?.unwrap_or(0), currency);
        intent.id = self.text(id)?;
        intent.charge_id = self.text("charge_id")?;
        intent.livemode = self.flag("livemode")?;
        intent.created = self.time(store, "created", "created_ago")?;
        intent.metadata = self.metadata(metadata)?;
        intent.description = self.text("description")?;
        intent.customer = self.text("customer")?;
        intent.account = self.text("account")?;
        Ok(intent)
    }

    /// Performs the requested outcome at `outcome_at`, by default at the time of creation.
    fn perform_outcome(&self, store: &mut Store, id: &str) -> Result<Value, Refusal> {
        let created = self.time(store, "created", "created_ago")?;
        let at = self.time(store, "outcome_at", "outcome_ago")?.or(created);
        let at = at.unwrap_or_else(|| store.clock.now());
        let received = self.number("amount_received")?;
        match self.text("outcome")?.as_deref() {
            None | Some("open") => {}
            Some("paid") => store.pay(id, received, at)?,
            Some("processing") => store.process(id, at)?,
            Some("async_succeeded") => {
                store.process(id, at)?;
                store.succeed(id, at)?;
            }
            Some("async_failed") => {
                store.process(id, at)?;
                store.fail(id, at)?;
            }
            Some("declined") => store.fail(id, at)?,
            Some("expired") => store.expire(id, at)?,
            Some("no_payment_required") => store.complete_free(id, at)?,
            Some("requires_capture") => store.authorise(id, at)?,
            Some("canceled") => store.cancel(id, at)?,
            Some(other) => return Err(Refusal::invalid(format!("unknown outcome \"{other}\""))),
        }
        let mut made = parts(store, id);
        if let Some(Value::Object(fields)) = self.get("refund") {
            let refund = refund(&PostedFields(fields), "id")?;
            made["refund"] = store.refund(id, refund, at)?.into();
        }
        if let Some(Value::Object(fields)) = self.get("dispute") {
            let dispute = dispute(&PostedFields(fields), "id")?;
            made["dispute"] = store.dispute(id, dispute, at)?.into();
        }
        Ok(made)
    }
}

/// Returns a refund from its fields; `id` is the name of the field with its id.
pub(crate) fn refund(posted: &PostedFields, id: &str) -> Result<Refund, Refusal> {
    Ok(Refund {
        id: posted.text(id)?,
        amount: posted.number("amount")?,
        status: posted.text("status")?,
        reason: posted.text("reason")?,
    })
}

/// Returns a dispute from its fields; `id` is the name of the field with its id.
pub(crate) fn dispute(posted: &PostedFields, id: &str) -> Result<Dispute, Refusal> {
    let status = posted.text("status")?;
    Ok(Dispute {
        id: posted.text(id)?,
        amount: posted.number("amount")?,
        status: status.unwrap_or_else(|| "needs_response".into()),
        reason: posted.text("reason")?,
        is_resolution: false,
    })
}

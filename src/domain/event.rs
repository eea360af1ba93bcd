//! An event of Stripe.

use serde_json::Value;

use super::identity::PaymentIds;

/// An event, as far as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    /// The event's type, such as `checkout.session.completed`.
    pub(crate) kind: String,
    /// Seconds since 1970. Many events share one.
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    /// The connected account it happened in; `None`: the key's own.
    pub(crate) account: Option<String>,
    /// The session, intent and charge that it is about, as far as it names
    /// them; empty where it is about something else.
    pub(crate) ids: PaymentIds,
    /// The object as it was when the event happened (`data.object`).
    pub(crate) snapshot: Value,
}

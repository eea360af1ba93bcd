//! An event of Stripe.

use serde_json::Value;

use super::identity::PaymentIds;

/// The part of an event that is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    /// The event's type, such as `checkout.session.completed`.
    pub(crate) kind: String,
    /// Seconds since 1970. Many events may share a second.
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    /// The connected account in which it happened; `None` for the key's own account.
    pub(crate) account: Option<String>,
    /// The session, intent and charge that it names; empty if it is not about a payment.
    pub(crate) ids: PaymentIds,
    /// The object as it was when the event happened (`data.object`).
    pub(crate) snapshot: Value,
}

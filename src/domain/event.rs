//! An event of Stripe.

use serde_json::Value;

use super::account::{account_of, qualified};
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

impl Event {
    /// Returns the event as one of an account other than the key's own: its ids are those of that account.
    pub(crate) fn of_account(mut self, account: &str) -> Self {
        self.id = qualified(Some(account), &self.id);
        self.ids = self.ids.of(Some(account));
        self.account = Some(account.to_owned());
        self
    }

    /// Returns the account of the event's ids; `None` if they are of the key's own account.
    pub(crate) fn account_of_ids(&self) -> Option<&str> {
        account_of(&self.id)
    }
}

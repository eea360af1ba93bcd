//! The connections of a run: one for each Stripe account that it asks.

use std::collections::BTreeMap;

use super::client::Connection;
use super::error::StripeError;

/// How to ask each account.
#[derive(Clone)]
pub(crate) struct Connections {
    /// The account of the key.
    own: Connection,
    /// The other accounts, or why they cannot be asked.
    others: BTreeMap<String, Result<Connection, StripeError>>,
}

impl From<Connection> for Connections {
    fn from(own: Connection) -> Self {
        Self {
            own,
            others: BTreeMap::new(),
        }
    }
}

impl Connections {
    pub(crate) fn new(
        own: Connection,
        others: BTreeMap<String, Result<Connection, StripeError>>,
    ) -> Self {
        Self { own, others }
    }

    /// Returns how many requests run at once, to all accounts together.
    pub(super) fn concurrency(&self) -> usize {
        self.own.concurrency
    }

    /// Returns the connection to an account; `None` is the key's own.
    pub(super) fn to(&self, account: Option<&str>) -> Result<Connection, StripeError> {
        let Some(account) = account else {
            return Ok(self.own.clone());
        };
        let other = self.others.get(account).cloned();
        other.unwrap_or_else(|| {
            Err(StripeError::NoAccount {
                message: format!(
                    "the Stripe account {account} is not in invoice_sync.stripe_account"
                ),
            })
        })
    }
}

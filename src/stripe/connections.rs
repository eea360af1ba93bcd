//! The connections of a run: one for each Stripe account that it asks.

use std::collections::BTreeMap;

use super::client::Connection;
use super::error::StripeError;

/// How to ask each account.
#[derive(Clone)]
pub(crate) struct Connections {
    /// The account of the key; an error if no key is set.
    own: Result<Connection, StripeError>,
    /// The other accounts, or why they cannot be asked.
    others: BTreeMap<String, Result<Connection, StripeError>>,
}

impl From<Connection> for Connections {
    fn from(own: Connection) -> Self {
        Self::new(Some(own), BTreeMap::new())
    }
}

impl Connections {
    pub(crate) fn new(
        own: Option<Connection>,
        others: BTreeMap<String, Result<Connection, StripeError>>,
    ) -> Self {
        let no_key = || StripeError::NoAccount {
            message: "no Stripe API key is set".to_owned(),
        };
        Self {
            own: own.ok_or_else(no_key),
            others,
        }
    }

    /// Returns how many requests run at once, to all accounts together.
    pub(super) fn concurrency(&self) -> usize {
        let all = std::iter::once(&self.own).chain(self.others.values());
        let most = all.flatten().map(|connection| connection.concurrency).max();
        most.unwrap_or(1)
    }

    /// Returns the connection to an account; `None` is the key's own.
    pub(crate) fn to(&self, account: Option<&str>) -> Result<Connection, StripeError> {
        let Some(account) = account else {
            return self.own.clone();
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

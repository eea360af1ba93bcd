//! What a fetch cost: its requests, to all accounts.

use std::collections::BTreeMap;

use super::error::StripeError;

/// How the lookups were distributed over requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Pages of lists that were requested.
    pub(crate) list_pages: u64,
    /// Objects that were found on these pages.
    pub(crate) from_lists: u64,
    /// Objects that were requested one by one.
    pub(crate) singles: u64,
}

/// The requests of a fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Including retries.
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) planned: Planned,
    /// The error that ended the fetch from the key's own account early.
    pub(crate) fatal: Option<StripeError>,
    /// The requests to the key's own account.
    pub(crate) own_requests: u64,
    /// The other accounts that were asked, and why one cannot be.
    pub(crate) accounts: BTreeMap<String, Option<StripeError>>,
}

impl Cost {
    /// Adds the cost of one account.
    pub(super) fn add(&mut self, account: Option<&str>, of: Self) {
        self.requests += of.requests;
        self.retries += of.retries;
        self.planned.list_pages += of.planned.list_pages;
        self.planned.from_lists += of.planned.from_lists;
        self.planned.singles += of.planned.singles;
        match account {
            None => {
                self.own_requests += of.own_requests;
                self.fatal = of.fatal;
            }
            Some(account) if of.requests > 0 => {
                self.accounts.insert(account.to_owned(), of.fatal);
            }
            Some(_) => {}
        }
    }
}

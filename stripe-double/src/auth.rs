//! Authentication: the key, its mode and its account.

use crate::config::Key;
use crate::errors::{ApiError, OtherMode};
use crate::http::Request;
use crate::objects::Kind;
use crate::store::{Record, Store};

/// The key and account of a request, which determine the objects that it can see.
#[derive(Debug)]
pub(crate) struct Viewer<'a> {
    pub(crate) key: &'a Key,
    pub(crate) account: String,
}

impl<'a> Viewer<'a> {
    /// Reads `Authorization` and `Stripe-Account`.
    pub(crate) fn of(
        request: &Request,
        keys: &'a [Key],
        store: &Store,
    ) -> Result<Viewer<'a>, ApiError> {
        let given = request.header("authorization").and_then(bearer);
        let secret = given.ok_or_else(ApiError::no_key)?;
        let key = keys.iter().find(|key| key.secret == secret);
        let key = key.ok_or_else(|| ApiError::bad_key(secret))?;
        let account = match (request.header("stripe-account"), &key.account) {
            (Some(account), None) if store.accounts.contains(account) => account.to_owned(),
            (Some(account), _) => return Err(ApiError::no_access(secret, account)),
            (None, Some(account)) => account.clone(),
            (None, None) => store.account.to_string(),
        };
        Ok(Viewer { key, account })
    }

    /// Fails if the key does not have the permission.
    pub(crate) fn require(&self, permission: &str) -> Result<(), ApiError> {
        let missing = self.key.missing.iter().any(|gone| gone == permission);
        match missing {
            true => Err(ApiError::forbidden(
                &self.key.secret,
                &self.account,
                permission,
            )),
            false => Ok(()),
        }
    }

    pub(crate) fn sees(&self, record: &Record) -> bool {
        record.livemode == self.key.livemode() && *record.account == *self.account
    }

    /// Returns the object of this kind and id, or Stripe's error.
    pub(crate) fn find<'s>(
        &self,
        store: &'s Store,
        kind: Kind,
        id: &str,
    ) -> Result<&'s Record, ApiError> {
        let known = store.get(id).filter(|record| {
            let same_account = *record.account == *self.account;
            record.kind == kind && same_account && !store.is_forgotten(record)
        });
        match known {
            Some(record) if self.sees(record) => Ok(record),
            Some(record) if record.livemode => {
                Err(ApiError::missing(kind, id, Some(OtherMode::Live)))
            }
            Some(_) => Err(ApiError::missing(kind, id, Some(OtherMode::Test))),
            None => Err(ApiError::missing(kind, id, None)),
        }
    }
}

/// Returns the token of an `Authorization: Bearer …` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

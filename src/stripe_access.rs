//! The connection to Stripe that the settings describe, and its errors as users see them.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::prelude::PgSqlErrorCode;

use crate::domain::account::{account_of, unqualified};
use crate::domain::identity::{ObjectKind, StripeId};
use crate::host::mapping::Mapping;
use crate::host::settings::Settings;
use crate::ledger::stripe_accounts::{self, StripeAccount};
use crate::ledger::{budget, stripe_payments};
use crate::pg::{Problem, in_subtransaction, shared_numbers};
use crate::settings::{self, Secret};
use crate::stripe::client::{Connection, is_before_basil, take_uncounted};
use crate::stripe::connections::Connections;
use crate::stripe::error::StripeError;
use crate::stripe::limiter::{Limits, rate_limit_key};
use crate::stripe::lookups::Question;
use crate::stripe::objects::Reading;

/// Returns the connection to Stripe, or `None` if no key is set. Fails if a key is set but cannot be read (see
/// [`settings::stripe_api_key`]).
pub(crate) fn connection() -> Result<Option<Connection>, Problem> {
    let key = settings::stripe_api_key()?;
    Ok(key.map(|key| connection_with(key, settings::stripe_account())))
}

/// Returns the connection with this key, for the connected account in the header `Stripe-Account`, if there is one.
fn connection_with(key: Secret, account: Option<String>) -> Connection {
    let livemode = key.livemode();
    let base = settings::stripe_api_base();
    let per_second = settings::requests_per_second(livemode);
    let limit_keys: Vec<u64> = Limits::parts(per_second)
        .map(|part| rate_limit_key(&base, &key, account.as_deref(), part))
        .collect();
    Connection {
        base,
        version: settings::stripe_api_version(),
        account,
        timeout: settings::http_timeout(),
        limits: Limits::new(per_second, shared_numbers(&limit_keys)),
        concurrency: settings::http_concurrency(),
        key,
    }
}

/// Returns the connections that these questions need. The accounts are read only if one of them is not about the key's
/// own; without a key, those with a key of their own can be asked.
pub(crate) fn connections(own: Option<Connection>, questions: &[Question]) -> Connections {
    let ids = questions.iter().flat_map(|question| &question.ids);
    let wanted: BTreeSet<&str> = ids.filter_map(|id| account_of(id)).collect();
    if wanted.is_empty() {
        return Connections::new(own, BTreeMap::new());
    }
    let named = stripe_accounts::named(wanted).into_iter();
    let others = named.map(|(name, account)| {
        let connection = connection_to(own.as_ref(), &account);
        (name, connection)
    });
    let others = others.collect();
    Connections::new(own, others)
}

/// Returns the connection to another account, or why it cannot be asked. `own` is that of the key, if one is set.
pub(crate) fn connection_to(
    own: Option<&Connection>,
    of: &StripeAccount,
) -> Result<Connection, StripeError> {
    let account = &of.account;
    let refuse = |message| StripeError::NoAccount { message };
    let own_key = match &of.api_key {
        Some(reference) => {
            in_subtransaction(|| settings::api_key_of_account(reference)).map_err(|problem| {
                refuse(format!(
                    "the key of the Stripe account {account}: {problem}"
                ))
            })?
        }
        None => None,
    };
    let connection = match (own_key, own) {
        // A key of its own is the account's, without a header.
        (Some(key), _) => connection_with(key, None),
        (None, Some(own)) => connection_with(own.key.clone(), Some(account.clone())),
        (None, None) => {
            return Err(refuse(format!(
                "the Stripe account {account} has no key of its own, and invoice_sync.stripe_api_key is not set"
            )));
        }
    };
    let mode = of.livemode.or(own.and_then(|own| own.key.livemode()));
    match (mode, connection.key.livemode()) {
        (Some(mode), Some(keys)) if mode != keys => Err(refuse(format!(
            "the Stripe account {account} is named for the other mode (live or test) than that of its key"
        ))),
        _ => Ok(connection),
    }
}

/// Adds the requests that this backend has sent since the last call to the count of the month. They are counted even
/// if the transaction is rolled back.
pub(crate) fn count_reads() {
    let requests = take_uncounted();
    if requests > 0 {
        budget::count(requests);
    }
}

/// Returns what to read from Stripe's answers beside the amounts.
pub(crate) fn reading(settings: &Settings, mapping: &Mapping) -> Reading {
    Reading {
        stripe_invoices: stripe_payments::came_by_stripe_invoices(),
        ..reading_of_events(settings, mapping)
    }
}

/// As [`reading`], for the answers to these questions: a session says itself which Stripe Invoice it paid.
pub(crate) fn reading_for(
    questions: &[Question],
    settings: &Settings,
    mapping: &Mapping,
) -> Reading {
    let mut ids = questions.iter().flat_map(|question| &question.ids);
    let is_session = |id: &String| {
        StripeId::parse(unqualified(id)).is_some_and(|id| id.kind() == ObjectKind::CheckoutSession)
    };
    if ids.all(is_session) {
        return reading_of_events(settings, mapping);
    }
    reading(settings, mapping)
}

/// Returns what to read from events: nothing is requested.
pub(crate) fn reading_of_events(settings: &Settings, mapping: &Mapping) -> Reading {
    Reading {
        gratuity_key: settings.gratuity_key.clone(),
        invoice_key: settings.invoice_reference_key.clone(),
        client_reference: settings.client_reference_names_invoice,
        release_is_refund: is_before_basil(&settings::stripe_api_version()),
        stripe_invoices: false,
        attributes: mapping.stripe_paths(),
    }
}

/// The error 55000 of calls that need a key when none is set.
pub(crate) fn missing_key() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "no Stripe API key is set",
    )
    .detail("Stripe was not called.")
    .hint("Run as a superuser: load 'invoice_sync'; alter system set invoice_sync.stripe_api_key = 'file:/path/to/key'; select pg_reload_conf();")
}

/// Converts a failed request into an error: 28000 for the key, 08006 if Stripe cannot be reached (which an RPC
/// gateway answers with 503), 08P01 for an answer that cannot be used.
pub(crate) fn problem(error: &StripeError) -> Problem {
    match error {
        StripeError::RejectedKey { message } => Problem::new(
            PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            "Stripe rejects the API key",
        )
        .detail(message.clone())
        .hint("Set invoice_sync.stripe_api_key to a key of this account that is not revoked."),
        StripeError::Forbidden { message } => Problem::new(
            PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            "the Stripe API key lacks a permission",
        )
        .detail(message.clone())
        .hint("Give the restricted key read access to Checkout Sessions, PaymentIntents, Charges and Disputes; Invoices (of Stripe Billing) and Balance transaction sources (for dates) are optional."),
        StripeError::NoAccount { message } => Problem::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the Stripe account of the invoice cannot be asked",
        )
        .detail(message.clone())
        .hint("Name the account in invoice_sync.stripe_account."),
        StripeError::Unreachable { what } => Problem::new(
            PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
            "Stripe cannot be reached",
        )
        .detail(what.clone())
        .hint("Nothing was changed. Try again later; the next sweep retries."),
        StripeError::NotAsked => Problem::new(
            PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
            "Stripe did not answer in time",
        )
        .hint("Nothing was changed. Try again later; the next sweep retries."),
        StripeError::Refused { .. }
        | StripeError::Malformed { .. }
        | StripeError::NoSuchObject { .. }
        | StripeError::CursorGone { .. } => Problem::new(
            PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
            "Stripe's answer cannot be used",
        )
        .detail(error.to_string()),
    }
}

/// Returns whether an error is one of [`problem`].
pub(crate) fn is_stripes(problem: &Problem) -> bool {
    [
        PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
        PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
        PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
    ]
    .into_iter()
    .any(|code| problem.is(code))
}

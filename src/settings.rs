//! The settings (GUCs). Only superusers read and set them.
//!
//! The accessors are for the backend's own thread; values that threads need are copied before the threads start.

mod base_url;
mod reference;
mod secret;
mod text;

use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::Problem;
use crate::pg::guc::{self, TextSetting, define_text};

pub(crate) use secret::Secret;

use reference::{resolve_list, resolve_one, resolve_stored};
use text::{
    ResendApiBase, ResendApiKey, StripeAccount, StripeApiBase, StripeApiKey, StripeApiVersion,
    StripeWebhookSecret,
};

/// How many requests run at once. More than 64 threads in a backend bring nothing, because Stripe's own limit is
/// reached first.
static HTTP_CONCURRENCY: GucSetting<i32> = GucSetting::<i32>::new(8);

/// The longest that one request may take, in milliseconds.
static HTTP_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);

/// Requests started per second; 0 means [`LIVE_REQUESTS_PER_SECOND`] or [`TEST_REQUESTS_PER_SECOND`].
static REQUESTS_PER_SECOND: GucSetting<i32> = GucSetting::<i32>::new(0);

/// Stripe allows 100 requests per second in live mode and 25 in test mode; a fifth is reserved for the application,
/// which uses the same account.
const LIVE_REQUESTS_PER_SECOND: u32 = 80;
const TEST_REQUESTS_PER_SECOND: u32 = 20;

/// Defines the settings. Called once, from `_PG_init`.
pub(crate) fn init() {
    guc::define_settings(c"invoice_sync", || {
        define_text::<StripeApiKey>();
        define_text::<StripeApiBase>();
        define_text::<StripeApiVersion>();
        define_text::<StripeAccount>();
        define_text::<StripeWebhookSecret>();
        define_text::<ResendApiKey>();
        define_text::<ResendApiBase>();
        define_numbers();
    });
}

fn define_numbers() {
    GucRegistry::define_int_guc(
        c"invoice_sync.http_concurrency",
        c"Sets the maximum number of concurrent requests to Stripe.",
        c"",
        &HTTP_CONCURRENCY,
        1,
        64,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"invoice_sync.http_timeout",
        c"Sets the maximum duration of a request.",
        c"",
        &HTTP_TIMEOUT,
        100,
        60_000,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY | GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"invoice_sync.requests_per_second",
        c"Sets the maximum number of requests to Stripe per second.",
        c"0 means 80 with a live key and 20 with a test key.",
        &REQUESTS_PER_SECOND,
        0,
        10_000,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
}

/// Returns Stripe's API key, or `None` if it is not set.
///
/// Fails, without any part of the key in the error, with 58P01 or 58030 if the key file cannot be read, 42501 if
/// other users may read it, F0000 if its content is not a key, 42704 if the vault or the name in it does not exist.
pub(crate) fn stripe_api_key() -> Result<Option<Secret>, Problem> {
    resolve_one::<StripeApiKey>()
}

/// Returns the secrets that sign Stripe's webhooks, in the order in which they are set: the old and the new one
/// during a roll-over, none if the setting is empty. Errors as [`stripe_api_key`].
pub(crate) fn stripe_webhook_secrets() -> Result<Vec<Secret>, Problem> {
    resolve_list::<StripeWebhookSecret>()
}

/// Returns the API key to which a reference in the table of accounts points. Errors as [`stripe_api_key`].
pub(crate) fn api_key_of_account(reference: &str) -> Result<Option<Secret>, Problem> {
    let found = resolve_stored(reference, "stripe_account.api_key")?;
    Ok(found.into_iter().next())
}

/// Returns the webhook secrets to which a reference in the table of accounts points. Errors as [`stripe_api_key`].
pub(crate) fn webhook_secrets_of_account(reference: &str) -> Result<Vec<Secret>, Problem> {
    resolve_stored(reference, "stripe_account.webhook_secret")
}

/// Returns the base URL of Stripe's API, without a slash at the end.
pub(crate) fn stripe_api_base() -> String {
    base_url::without_trailing_slash(StripeApiBase::value())
}

/// Returns the requested version of Stripe's API (`Stripe-Version`).
pub(crate) fn stripe_api_version() -> String {
    StripeApiVersion::value()
}

/// Returns the connected account that requests are made for (`Stripe-Account`).
pub(crate) fn stripe_account() -> Option<String> {
    Some(StripeAccount::value()).filter(|account| !account.is_empty())
}

/// Returns Resend's API key, or `None` if it is not set. Errors as [`stripe_api_key`].
pub(crate) fn resend_api_key() -> Result<Option<Secret>, Problem> {
    resolve_one::<ResendApiKey>()
}

/// Returns the base URL of Resend's API, without a slash at the end.
pub(crate) fn resend_api_base() -> String {
    base_url::without_trailing_slash(ResendApiBase::value())
}

/// Returns how many threads make requests.
pub(crate) fn http_concurrency() -> usize {
    usize::try_from(HTTP_CONCURRENCY.get()).unwrap_or(1)
}

/// Returns the longest that one request may take.
pub(crate) fn http_timeout() -> Duration {
    Duration::from_millis(u64::try_from(HTTP_TIMEOUT.get()).unwrap_or(0))
}

/// Returns how many requests to Stripe may start per second. `livemode` is the key's ([`Secret::livemode`]); a key
/// without a known mode counts as a test key.
pub(crate) fn requests_per_second(livemode: Option<bool>) -> u32 {
    match u32::try_from(REQUESTS_PER_SECOND.get()) {
        Ok(set) if set > 0 => set,
        _ if livemode == Some(true) => LIVE_REQUESTS_PER_SECOND,
        _ => TEST_REQUESTS_PER_SECOND,
    }
}

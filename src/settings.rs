//! The settings (GUCs). Only superusers read and set them.
//!
//! The accessors are for the backend's own thread; what threads need is copied
//! out before they start.

mod base_url;
mod reference;
mod secret;
mod text;

use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::Problem;
use crate::pg::guc::{self, TextSetting, define_text};

pub(crate) use secret::Secret;

use reference::{resolve_list, resolve_one};
use text::{
    ResendApiBase, ResendApiKey, StripeAccount, StripeApiBase, StripeApiKey, StripeApiVersion,
    StripeWebhookSecret,
};

/// How many requests are under way at once. More than 64 threads in a backend
/// help nobody: Stripe's own limit is reached first.
static HTTP_CONCURRENCY: GucSetting<i32> = GucSetting::<i32>::new(8);

/// The longest that one request may take, in milliseconds.
static HTTP_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);

/// Requests started per second; 0 takes [`LIVE_REQUESTS_PER_SECOND`] or
/// [`TEST_REQUESTS_PER_SECOND`].
static REQUESTS_PER_SECOND: GucSetting<i32> = GucSetting::<i32>::new(0);

/// Stripe allows 100 requests a second in live mode and 25 in test mode; a fifth
/// is left to the application, which shares the account.
const LIVE_REQUESTS_PER_SECOND: u32 = 80;
const TEST_REQUESTS_PER_SECOND: u32 = 20;

/// Defines the settings; called once, from `_PG_init`.
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
        c"How many requests are under way at once.",
        c"",
        &HTTP_CONCURRENCY,
        1,
        64,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"invoice_sync.http_timeout",
        c"The longest that one request may take.",
        c"",
        &HTTP_TIMEOUT,
        100,
        60_000,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY | GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"invoice_sync.requests_per_second",
        c"How many requests to Stripe may start per second.",
        c"0 takes 80 with a live key and 20 with a test key.",
        &REQUESTS_PER_SECOND,
        0,
        10_000,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
}

/// Stripe's API key, `None` where none is set.
///
/// Errors, none of which contains any of the key: 58P01 and 58030 for a key file
/// that cannot be read, 42501 for one that others may read, F0000 for contents
/// that are no key, 42704 for a missing vault or a missing name in it.
pub(crate) fn stripe_api_key() -> Result<Option<Secret>, Problem> {
    resolve_one::<StripeApiKey>()
}

/// The secrets that sign Stripe's webhooks, in the order they are set: during a
/// roll-over the old and the new one. Empty where none is set. Errors as
/// [`stripe_api_key`].
pub(crate) fn stripe_webhook_secrets() -> Result<Vec<Secret>, Problem> {
    resolve_list::<StripeWebhookSecret>()
}

/// Where Stripe answers, without a slash at the end.
pub(crate) fn stripe_api_base() -> String {
    base_url::without_trailing_slash(StripeApiBase::value())
}

/// The version of Stripe's API that is asked for (`Stripe-Version`).
pub(crate) fn stripe_api_version() -> String {
    StripeApiVersion::value()
}

/// The connected account that requests are made for (`Stripe-Account`).
pub(crate) fn stripe_account() -> Option<String> {
    Some(StripeAccount::value()).filter(|account| !account.is_empty())
}

/// Resend's API key, `None` where none is set. Errors as [`stripe_api_key`].
pub(crate) fn resend_api_key() -> Result<Option<Secret>, Problem> {
    resolve_one::<ResendApiKey>()
}

/// Where Resend answers, without a slash at the end.
pub(crate) fn resend_api_base() -> String {
    base_url::without_trailing_slash(ResendApiBase::value())
}

/// How many threads make requests.
pub(crate) fn http_concurrency() -> usize {
    usize::try_from(HTTP_CONCURRENCY.get()).unwrap_or(1)
}

/// The longest that one request may take.
pub(crate) fn http_timeout() -> Duration {
    Duration::from_millis(u64::try_from(HTTP_TIMEOUT.get()).unwrap_or(0))
}

/// How many requests to Stripe may start per second. `livemode` is the key's
/// ([`Secret::livemode`]); a key that does not tell is treated as a test key.
pub(crate) fn requests_per_second(livemode: Option<bool>) -> u32 {
    match u32::try_from(REQUESTS_PER_SECOND.get()) {
        Ok(set) if set > 0 => set,
        _ if livemode == Some(true) => LIVE_REQUESTS_PER_SECOND,
        _ => TEST_REQUESTS_PER_SECOND,
    }
}

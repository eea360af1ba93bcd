//! The text settings: names, defaults and rules.

use core::ffi::CStr;
use std::ffi::CString;

use pgrx::GucSetting;

use super::{base_url, reference};
use crate::pg::guc::{Arrival, Refusal, TextSetting};

/// Defines one type per setting, so that each has a check hook of its own.
macro_rules! text_settings {
    ($(
        $(#[$doc:meta])*
        $setting:ident = $name:literal, default $default:expr,
        describe $short:literal, $long:literal,
        judge $judge:path $(, mask $mask:path)?;
    )*) => {$(
        $(#[$doc])*
        pub(super) struct $setting;

        impl TextSetting for $setting {
            const NAME: &'static CStr = $name;
            const SHORT_DESCRIPTION: &'static CStr = $short;
            const LONG_DESCRIPTION: &'static CStr = $long;

            fn variable() -> &'static GucSetting<Option<CString>> {
                static VARIABLE: GucSetting<Option<CString>> = text_variable($default);
                &VARIABLE
            }

            fn judge(value: &str, arrival: Arrival) -> Result<(), Refusal> {
                $judge(value, arrival)
            }

            $(
                const HOLDS_SECRET: bool = true;

                fn is_masked(value: &CStr) -> bool {
                    $mask(value)
                }
            )?
        }
    )*};
}

text_settings! {
    /// A secret or restricted key of Stripe (`sk_…`, `rk_…`).
    StripeApiKey = c"invoice_sync.stripe_api_key", default None,
    describe c"Stripe's API key: file:/path or vault:name.",
        c"A literal is taken from the configuration file only, and only with the library in shared_preload_libraries.",
    judge reference::judge_one, mask reference::holds_literal;

    /// Another base is for tests and for proxies.
    StripeApiBase = c"invoice_sync.stripe_api_base", default Some(c"https://api.stripe.com"),
    describe c"Where Stripe's API answers.",
        c"https, or http on a loopback address.",
    judge base_url::judge;

    /// Pinned, because the shape of Stripe's objects depends on it.
    StripeApiVersion = c"invoice_sync.stripe_api_version", default Some(c"2026-07-29.dahlia"),
    describe c"The version of Stripe's API that is asked for.",
        c"Sent as Stripe-Version. The shape of Stripe's answers depends on it.",
    judge judge_version;

    /// Empty where requests are for the key's own account.
    StripeAccount = c"invoice_sync.stripe_account", default None,
    describe c"The connected account that requests are made for.",
        c"Sent as Stripe-Account. Empty for the account of the key.",
    judge judge_account;

    /// Several during a roll-over, separated by commas.
    StripeWebhookSecret = c"invoice_sync.stripe_webhook_secret", default None,
    describe c"The secrets that sign Stripe's webhooks: file:/path or vault:name, separated by commas.",
        c"A file or a vault entry may hold several, too, separated by commas or line ends.",
    judge reference::judge_list, mask reference::holds_literal;

    /// For alerts by e-mail.
    ResendApiKey = c"invoice_sync.resend_api_key", default None,
    describe c"Resend's API key: file:/path or vault:name.",
        c"A literal is taken from the configuration file only, and only with the library in shared_preload_libraries.",
    judge reference::judge_one, mask reference::holds_literal;

    /// Another base is for tests and for proxies.
    ResendApiBase = c"invoice_sync.resend_api_base", default Some(c"https://api.resend.com"),
    describe c"Where Resend's API answers.",
        c"https, or http on a loopback address.",
    judge base_url::judge;
}

fn judge_version(value: &str, _arrival: Arrival) -> Result<(), Refusal> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !value.is_empty() && value.bytes().all(is_token) {
        return Ok(());
    }
    Err(Refusal {
        reason: "is not a version of Stripe's API",
        detail: c"A version is made of letters, digits, dots and dashes.",
        hint: c"Write it as Stripe does, such as 2026-07-29.dahlia.",
        hides_statement: false,
    })
}

fn judge_account(value: &str, _arrival: Arrival) -> Result<(), Refusal> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_account = value.starts_with("acct_") && value.bytes().all(is_token);
    if value.is_empty() || is_account {
        return Ok(());
    }
    Err(Refusal {
        reason: "is not the id of a Stripe account",
        detail:
            c"An account's id begins with acct_ and is made of letters, digits and underscores.",
        hint: c"Leave it empty for the account of the API key.",
        hides_statement: false,
    })
}

/// A text setting's static, with its default.
const fn text_variable(default: Option<&'static std::ffi::CStr>) -> GucSetting<Option<CString>> {
    GucSetting::<Option<CString>>::new(default)
}

//! The text settings: names, defaults and rules.

use core::ffi::CStr;
use std::ffi::CString;

use pgrx::GucSetting;

use super::{base_url, reference};
use crate::pg::guc::{Refusal, TextSetting, ValueSource};

/// Defines one type per setting, so that each has its own check hook.
macro_rules! text_settings {
    ($(
        $(#[$doc:meta])*
        $setting:ident = $name:literal, default $default:expr,
        describe $short:literal, $long:literal,
        check $check:path $(, mask $mask:path)?;
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

            fn check(value: &str, source: ValueSource) -> Result<(), Refusal> {
                $check(value, source)
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
    describe c"Sets Stripe's API key: file:/path or vault:name.",
        c"A literal is accepted in the configuration file only, and only if the library is in shared_preload_libraries.",
    check reference::check_one, mask reference::holds_literal;

    /// Another base is used for tests and proxies.
    StripeApiBase = c"invoice_sync.stripe_api_base", default Some(c"https://api.stripe.com"),
    describe c"Sets the base URL of Stripe's API.",
        c"It must be https, or http on a loopback address.",
    check base_url::check;

    /// Fixed by default, because the structure of Stripe's objects depends on it.
    StripeApiVersion = c"invoice_sync.stripe_api_version", default Some(c"2026-07-29.dahlia"),
    describe c"Sets the version of Stripe's API.",
        c"It is sent as Stripe-Version. The format of Stripe's answers depends on it.",
    check check_version;

    /// Empty if requests are for the key's own account.
    StripeAccount = c"invoice_sync.stripe_account", default None,
    describe c"Sets the connected account for which requests are made.",
        c"It is sent as Stripe-Account. Empty means the account of the key.",
    check check_account;

    /// Several secrets during a roll-over, separated by commas.
    StripeWebhookSecret = c"invoice_sync.stripe_webhook_secret", default None,
    describe c"Sets the secrets that sign Stripe's webhooks: file:/path or vault:name, separated by commas.",
        c"A file or a vault entry can also contain several, separated by commas or line ends.",
    check reference::check_list, mask reference::holds_literal;

    /// For alerts by e-mail.
    ResendApiKey = c"invoice_sync.resend_api_key", default None,
    describe c"Sets Resend's API key: file:/path or vault:name.",
        c"A literal is accepted in the configuration file only, and only if the library is in shared_preload_libraries.",
    check reference::check_one, mask reference::holds_literal;

    /// Another base is used for tests and proxies.
    ResendApiBase = c"invoice_sync.resend_api_base", default Some(c"https://api.resend.com"),
    describe c"Sets the base URL of Resend's API.",
        c"It must be https, or http on a loopback address.",
    check base_url::check;
}

fn check_version(value: &str, _source: ValueSource) -> Result<(), Refusal> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !value.is_empty() && value.bytes().all(is_token) {
        return Ok(());
    }
    Err(Refusal {
        reason: "is not a version of Stripe's API",
        detail: c"A version consists of letters, digits, dots and dashes.",
        hint: c"Example: 2026-07-29.dahlia",
        hides_statement: false,
    })
}

fn check_account(value: &str, _source: ValueSource) -> Result<(), Refusal> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_account = value.starts_with("acct_") && value.bytes().all(is_token);
    if value.is_empty() || is_account {
        return Ok(());
    }
    Err(Refusal {
        reason: "is not the id of a Stripe account",
        detail:
            c"The id of an account begins with acct_ and consists of letters, digits and underscores.",
        hint: c"Leave it empty for the account of the API key.",
        hides_statement: false,
    })
}

/// Creates the static of a text setting, with its default.
const fn text_variable(default: Option<&'static std::ffi::CStr>) -> GucSetting<Option<CString>> {
    GucSetting::<Option<CString>>::new(default)
}

//! Errors of requests to Stripe.

use std::fmt;

/// A request that failed after all retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StripeError {
    /// 401: Stripe does not know the key. Ends the run.
    RejectedKey { message: String },
    /// 403: the key lacks a permission, which Stripe's message names. Ends the run.
    Forbidden { message: String },
    /// No answer of Stripe's: connection, time-out, 5xx, or 429 after the last retry.
    Unreachable { what: String },
    /// Stripe refused this request (4xx), with Stripe's message.
    Refused { status: u16, message: String },
    /// An answer that does not match the documentation.
    Malformed { what: String },
    /// 404 `resource_missing`, or 400 for an object that a parameter names; the caller converts it into evidence.
    NoSuchObject { message: String },
    /// 400 or 404 `resource_missing` for a list's cursor: Stripe no longer has the object to continue from.
    CursorGone { message: String },
    /// The account that the invoice or event belongs to cannot be asked: nobody named it, or its key cannot be read.
    NoAccount { message: String },
    /// The time ran out, or the run ended, before the request was sent.
    NotAsked,
}

impl StripeError {
    /// A documented field is missing or of another type.
    pub(super) fn missing(field: &str) -> Self {
        Self::Malformed {
            what: format!("\"{field}\" is missing or of the wrong type"),
        }
    }

    /// Returns whether every other request would fail in the same way.
    pub(crate) fn ends_the_run(&self) -> bool {
        matches!(self, Self::RejectedKey { .. } | Self::Forbidden { .. })
    }
}

impl fmt::Display for StripeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RejectedKey { message } => write!(f, "Stripe rejects the API key: {message}"),
            Self::Forbidden { message } => {
                write!(f, "the Stripe API key lacks a permission: {message}")
            }
            Self::Unreachable { what } => write!(f, "Stripe cannot be reached: {what}"),
            Self::Refused { status, message } => {
                write!(f, "Stripe refused the request ({status}): {message}")
            }
            Self::Malformed { what } => write!(f, "Stripe's answer cannot be parsed: {what}"),
            Self::NoSuchObject { message } => write!(f, "Stripe has no such object: {message}"),
            Self::CursorGone { message } => {
                write!(
                    f,
                    "Stripe no longer has the object at which to continue: {message}"
                )
            }
            Self::NoAccount { message } => f.write_str(message),
            Self::NotAsked => f.write_str("there was no time left to ask Stripe"),
        }
    }
}

/// What Stripe was asked for: that it answers one says nothing of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    /// The feed.
    Events,
    /// Sessions, intents, charges.
    Objects,
    /// All of a period, of another account than the key's own.
    Lists,
}

impl Asked {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Objects => "objects",
            Self::Lists => "lists",
        }
    }
}

//! Errors of requests to Stripe.

use std::fmt;

/// A failed question, after all retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StripeError {
    /// 401: the key is not known to Stripe. Ends the run.
    RejectedKey { message: String },
    /// 403: the key lacks a permission, which Stripe's message names. Ends the run.
    Forbidden { message: String },
    /// No answer that could be understood as Stripe's: connection, time-out, 5xx, 429 to the last.
    Unreachable { what: String },
    /// Stripe refused this one question (4xx), with its own words.
    Refused { status: u16, message: String },
    /// An answer that is not what the documentation says.
    Malformed { what: String },
    /// 404 `resource_missing`: an answer, and turned into evidence by who asked.
    NoSuchObject { message: String },
    /// 400 or 404 `resource_missing` for a list's cursor: the object to page from is gone.
    CursorGone { message: String },
    /// The time allowed was used up, or the run was ended, before the question was put.
    NotAsked,
}

impl StripeError {
    /// A promised field is not there, or not what it was promised to be.
    pub(super) fn missing(field: &str) -> Self {
        Self::Malformed {
            what: format!("\"{field}\" is missing or of the wrong type"),
        }
    }

    /// Whether every other question would end the same way.
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
            Self::Malformed { what } => write!(f, "Stripe's answer was not understood: {what}"),
            Self::NoSuchObject { message } => write!(f, "Stripe has no such object: {message}"),
            Self::CursorGone { message } => {
                write!(
                    f,
                    "Stripe no longer has the object to go on from: {message}"
                )
            }
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
}

impl Asked {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Objects => "objects",
        }
    }
}

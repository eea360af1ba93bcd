//! Stripe, where it does not answer: what a sweep makes of it.

use crate::stripe::error::StripeError;
use crate::stripe::gather::Finding;

/// Whether Stripe can be asked at all, as far as a sweep has seen.
#[derive(Default)]
pub(super) struct Outage {
    /// To one question at least.
    pub(super) was_answered: bool,
    pub(super) was_asked: bool,
    /// For which nothing else is asked.
    pub(super) fatal: Option<StripeError>,
    /// The feed is not for this key to read.
    pub(super) forbidden: Option<StripeError>,
    last: Option<StripeError>,
}

impl Outage {
    pub(super) fn note(&mut self, findings: &[Finding]) {
        for finding in findings {
            match &finding.evidence {
                Ok(_) => self.was_answered = true,
                Err(StripeError::NotAsked) => {}
                Err(error) => self.last = Some(error.clone()),
            }
        }
    }

    /// Why Stripe counts as unreachable. Too few may have been asked to be called
    /// hopeless, or none had an answer in time.
    pub(super) fn error(self) -> Option<StripeError> {
        let unanswered = (self.was_asked && !self.was_answered)
            .then(|| self.last.unwrap_or(StripeError::NotAsked));
        self.fatal.or(unanswered).or(self.forbidden)
    }
}

//! Whether Stripe answers, as a sweep has seen so far.

use crate::stripe::error::StripeError;
use crate::stripe::fetch::Finding;

/// Whether Stripe can be asked at all, as far as a sweep has seen.
#[derive(Default)]
pub(crate) struct Outage {
    /// To one question at least.
    pub(crate) was_answered: bool,
    pub(crate) was_asked: bool,
    /// For which nothing else is asked.
    pub(crate) fatal: Option<StripeError>,
    /// The feed is not for this key to read.
    pub(crate) forbidden: Option<StripeError>,
    last: Option<StripeError>,
}

impl Outage {
    pub(crate) fn note(&mut self, findings: &[Finding]) {
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
    pub(crate) fn error(self) -> Option<StripeError> {
        let unanswered = (self.was_asked && !self.was_answered)
            .then(|| self.last.unwrap_or(StripeError::NotAsked));
        self.fatal.or(unanswered).or(self.forbidden)
    }
}

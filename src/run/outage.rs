//! Whether Stripe answers, as a sweep has seen so far.

use std::collections::BTreeSet;

use crate::domain::evidence::Evidence;
use crate::stripe::error::{Asked, StripeError};
use crate::stripe::fetch::Finding;

/// Whether Stripe can be asked at all, as far as a sweep has seen.
#[derive(Default)]
pub(crate) struct Outage {
    /// At least one question of that kind was answered.
    pub(crate) answered: BTreeSet<Asked>,
    pub(crate) was_asked: bool,
    /// For which nothing else is asked.
    pub(crate) fatal: Option<(Asked, StripeError)>,
    /// The feed is not for this key to read.
    pub(crate) forbidden: Option<StripeError>,
    last: Option<StripeError>,
}

impl Outage {
    pub(crate) fn note(&mut self, findings: &[Finding]) {
        for finding in findings {
            match &finding.evidence {
                Ok(evidence) if evidence.iter().any(is_stripes_word) => {
                    self.answered.insert(Asked::Objects);
                }
                Ok(_) | Err(StripeError::NotAsked) => {}
                Err(error) => self.last = Some(error.clone()),
            }
        }
    }

    /// Why Stripe counts as unreachable, and for what. Too few may have been asked to be
    /// called hopeless, or none had an answer in time.
    pub(crate) fn error(self) -> Option<(Asked, StripeError)> {
        let unanswered = (self.was_asked && self.answered.is_empty())
            .then(|| (Asked::Objects, self.last.unwrap_or(StripeError::NotAsked)));
        let forbidden = self.forbidden.map(|error| (Asked::Events, error));
        self.fatal.or(unanswered).or(forbidden)
    }
}

/// Some findings are told by the id itself, and no request was made.
fn is_stripes_word(finding: &Evidence) -> bool {
    match finding {
        Evidence::Payment(_) | Evidence::Missing { .. } => true,
        Evidence::OtherMode { id, .. } => id.livemode().is_none(),
        Evidence::NotAnId { .. } => false,
    }
}

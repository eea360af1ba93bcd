//! Whether Stripe answers, as a sweep has seen so far.

use std::collections::BTreeSet;

use crate::apply::report::Report;
use crate::domain::evidence::Evidence;
use crate::select::accounts::AccountAnswers;
use crate::stripe::error::{Asked, StripeError};
use crate::stripe::fetch::Finding;

/// Whether Stripe can be asked at all, as far as a sweep has seen.
#[derive(Default)]
pub(crate) struct Outage {
    /// The kinds of questions of which at least one was answered.
    pub(crate) answered: BTreeSet<Asked>,
    pub(crate) was_asked: bool,
    /// The error after which the account of the key is not asked any more.
    pub(crate) fatal: Option<(Asked, StripeError)>,
    /// A key is set and cannot be read.
    has_no_key: bool,
    /// Why the feed cannot be read, where the rest may be.
    pub(crate) feed: Option<StripeError>,
    /// What other accounts answered.
    accounts: AccountAnswers,
    last: Option<StripeError>,
}

impl Outage {
    /// The key of the settings cannot be read.
    pub(crate) fn without_key() -> Self {
        Self {
            has_no_key: true,
            ..Self::default()
        }
    }

    /// Returns whether the account of the key cannot be asked; accounts with keys of their own may be.
    pub(crate) fn is_total(&self) -> bool {
        self.has_no_key || self.fatal.is_some()
    }

    /// Records what another account answered. If none can be reached, that is one issue, and none of each account.
    pub(crate) fn note_account(
        &mut self,
        account: &str,
        asked: Asked,
        refused: Option<StripeError>,
    ) {
        let unreachable = |error: &StripeError| matches!(error, StripeError::Unreachable { .. });
        let is_general = self
            .fatal
            .as_ref()
            .is_some_and(|(_, error)| unreachable(error));
        if !(is_general && refused.as_ref().is_some_and(unreachable)) {
            self.accounts.note(account, asked, refused);
        }
    }

    /// Raises and resolves the issues of other accounts.
    pub(crate) fn report_accounts(&mut self, report: &mut Report) {
        std::mem::take(&mut self.accounts).report(report);
    }

    /// Records the answers to questions of which some were about the account of the key.
    pub(crate) fn note(&mut self, findings: &[Finding]) {
        for finding in findings {
            match &finding.evidence {
                Ok(evidence) if evidence.iter().any(is_from_stripe) => {
                    self.answered.insert(Asked::Objects);
                }
                Ok(_) | Err(StripeError::NotAsked) => {}
                Err(error) => self.last = Some(error.clone()),
            }
        }
    }

    /// Returns why Stripe counts as unreachable, and for which kind of question. This includes the case that too
    /// few questions were asked to end the run, or that none was answered in time.
    pub(crate) fn error(self) -> Option<(Asked, StripeError)> {
        let unanswered = (self.was_asked && self.answered.is_empty())
            .then(|| (Asked::Objects, self.last.unwrap_or(StripeError::NotAsked)));
        let feed = self.feed.map(|error| (Asked::Events, error));
        self.fatal.or(unanswered).or(feed)
    }
}

/// Returns whether Stripe gave this answer. Some findings follow from the id itself, without a request.
fn is_from_stripe(finding: &Evidence) -> bool {
    match finding {
        Evidence::Payment(_) | Evidence::Missing { .. } => true,
        Evidence::OtherMode { id, .. } => id.livemode().is_none(),
        Evidence::NotAnId { .. } => false,
    }
}

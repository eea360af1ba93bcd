//! Reads the feeds of a sweep: that of the key's own account, and those of other accounts that are due.

use std::time::Instant;

use super::Sweep;
use crate::apply::contention::is_contention;
use crate::apply::report::Report;
use crate::ledger::stripe_accounts::{self, Among};
use crate::ledger::{feed as ledger, runs};
use crate::pg::Problem;
use crate::run::outage::Outage;
use crate::select::feed::{self, Feed, Followed};
use crate::select::inbox;
use crate::settings;
use crate::stripe::client::Connection;
use crate::stripe::error::{Asked, StripeError};
use crate::stripe_access;

/// How many feeds of quiet accounts a sweep reads, however many accounts there are.
const QUIET_FEEDS: usize = 5;

impl Sweep<'_> {
    /// Reads the feeds. If Stripe cannot be asked for that of the key's own account, those of accounts with keys of their
    /// own; a feed that Stripe refuses, or whose answer cannot be used, stops nothing else.
    pub(super) fn follow_feeds(
        &self,
        connection: Option<&Connection>,
        outage: &mut Outage,
        report: &mut Report,
    ) -> Result<(), Problem> {
        if let Some(connection) = connection {
            self.follow_own(connection, outage, report)?;
        }
        self.follow_others(connection, outage, report)
    }

    /// Reads the feed of the key's own account.
    fn follow_own(
        &self,
        connection: &Connection,
        outage: &mut Outage,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let scope = inbox::own(Some(connection));
        let own = Feed {
            whose: scope.name(),
            connection: connection.clone(),
            scope,
        };
        let Some(followed) = self.follow(vec![own], report)?.pop() else {
            return Ok(());
        };
        match followed.outcome {
            Ok(()) => {
                outage.answered.insert(Asked::Events);
                feed::watch_webhooks(report);
            }
            // Stripe answered as long as it was asked; the next sweep reads the rest.
            Err(_) if followed.pages > 0 && Instant::now() >= self.questions_until => {
                outage.answered.insert(Asked::Events);
            }
            Err(error) => {
                report.note_stripe_error(None, &error.to_string());
                match error {
                    StripeError::RejectedKey { .. }
                    | StripeError::Unreachable { .. }
                    | StripeError::NotAsked => outage.fatal = Some((Asked::Events, error)),
                    other => outage.feed = Some(other),
                }
            }
        }
        Ok(())
    }

    /// Reads the feeds of other accounts that are due. One that cannot be read has its issue, and stops no other.
    fn follow_others(
        &self,
        connection: Option<&Connection>,
        outage: &mut Outage,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let own = inbox::own(connection);
        let among = if outage.is_total() {
            Among::OwnKeys
        } else {
            Among::All
        };
        let due = stripe_accounts::with_feed_due(
            among,
            QUIET_FEEDS.min(self.checks),
            own.livemode,
            settings::stripe_account().as_deref(),
            runs::clock(),
        );
        let (mut feeds, mut accounts) = (Vec::new(), Vec::new());
        let mut note = |account: &str, whose: &str, followed: Followed| {
            let error = match followed.outcome {
                Err(StripeError::NotAsked) => return None,
                other => other.err(),
            };
            ledger::note_read(whose, account, followed.news > 0);
            outage.note_account(account, Asked::Events, error.clone());
            error
        };
        for account in due {
            let mut scope = own.with(&account);
            let whose = scope.name();
            match stripe_access::connection_to(connection, &account) {
                Ok(connection) => {
                    scope.livemode = scope.livemode.or(connection.key.livemode());
                    accounts.push((account.account, whose.clone()));
                    feeds.push(Feed {
                        connection,
                        whose,
                        scope,
                    });
                }
                Err(error) => {
                    note(&account.account, &whose, Followed::refused(error));
                }
            }
        }
        let followed = self.follow(feeds, report)?;
        for ((account, whose), followed) in accounts.iter().zip(followed) {
            if let Some(error) = note(account, whose, followed) {
                report.note_stripe_error(None, &format!("{account}: {error}"));
            }
        }
        Ok(())
    }

    /// Follows feeds; none if another session has locked their events.
    fn follow(&self, feeds: Vec<Feed>, report: &mut Report) -> Result<Vec<Followed>, Problem> {
        match feed::follow(self.transactions, feeds, self.questions_until, report) {
            Err(problem) if is_contention(&problem) => {
                report.fail(problem);
                Ok(Vec::new())
            }
            other => other,
        }
    }
}

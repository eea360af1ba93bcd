//! Whether an event in the inbox is acted on, and what becomes of it.

use serde_json::json;

use crate::apply::report::Report;
use crate::domain::event::Event;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::ledger::events::{self, Disposition, Verdict};
use crate::ledger::payment_issues;
use crate::ledger::stripe_accounts::StripeAccount;
use crate::settings;
use crate::stripe::client::Connection;
use crate::stripe::events::matters;

/// After this many failures, an event becomes an issue. Retries wait 1, 2, 4 … minutes, so this takes some hours.
const ATTEMPTS_THAT_MAKE_AN_ISSUE: i32 = 8;

/// The mode and account whose events are acted on.
#[derive(Clone, Debug)]
pub(crate) struct EventScope {
    /// The key's mode; `None` if it is unknown.
    pub(crate) livemode: Option<bool>,
    /// The connected account in the settings.
    pub(crate) account: Option<String>,
    /// The account of the event at hand, if it is another one that somebody named.
    pub(crate) named: Option<String>,
    /// Whether the event at hand was signed with a secret of that account, by whoever has it.
    pub(crate) is_signed_by_named: bool,
}

/// What keeps an event from being acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It is of the other mode than the key.
    Mode,
    /// The settings do not name its connected account.
    Account,
}

impl EventScope {
    /// Returns the mode and account that the settings are for now. The mode is unknown if the key cannot be read.
    pub(crate) fn by_settings() -> Self {
        let key = settings::stripe_api_key().ok().flatten();
        Self {
            livemode: key.and_then(|key| key.livemode()),
            account: settings::stripe_account(),
            named: None,
            is_signed_by_named: false,
        }
    }

    /// Returns the scope of an event of this account, which somebody named.
    pub(crate) fn with(&self, named: &StripeAccount) -> Self {
        Self {
            livemode: named.livemode.or(self.livemode),
            account: self.account.clone(),
            named: Some(named.account.clone()),
            is_signed_by_named: false,
        }
    }

    /// Returns whether an event is acted on. Events of other types, of the other mode (Connect endpoints receive
    /// both) and of other accounts are stored and ignored. While the mode is unknown, events of both modes are kept
    /// until it is known.
    pub(crate) fn disposition(&self, event: &Event) -> Disposition {
        let is_foreign = self.foreign(event.livemode, event.account.as_deref());
        if is_foreign.is_none() && matters(event) {
            Disposition::Pending
        } else {
            Disposition::Ignored
        }
    }

    /// Returns whether an event of the settings' mode and account says nothing of a payment, whatever the settings.
    pub(crate) fn is_pointless(&self, event: &Event) -> bool {
        self.foreign(event.livemode, event.account.as_deref())
            .is_none()
            && !matters(event)
    }

    /// Returns why an event of this mode and connected account is not acted on; `None` if it is.
    pub(crate) fn foreign(&self, livemode: bool, account: Option<&str>) -> Option<Foreign> {
        if self.livemode.is_some_and(|mode| mode != livemode) {
            Some(Foreign::Mode)
        } else if account.is_some()
            && account != self.account.as_deref()
            && account != self.named.as_deref()
        {
            Some(Foreign::Account)
        } else {
            None
        }
    }

    /// Returns the connected account of an event that is not acted on only because the settings do not name it.
    pub(crate) fn foreign_account<'e>(&self, event: &'e Event) -> Option<&'e str> {
        let account = event.account.as_deref()?;
        let is_foreign = self.foreign(event.livemode, Some(account)) == Some(Foreign::Account);
        (is_foreign && matters(event)).then_some(account)
    }

    /// Returns whether a delivered event may be acted on without asking Stripe: it must be of the key's mode, which
    /// must be known, and of the account in the settings. For all others, Stripe is asked with that key, for that
    /// account.
    pub(crate) fn vouches_for(&self, event: &Event) -> bool {
        let account = self.named.as_ref().or(self.account.as_ref());
        !self.is_signed_by_named
            && self.livemode == Some(event.livemode)
            && account == event.account.as_ref()
    }

    /// Returns the name under which the position in this feed is stored, as [`crate::ledger::stripe_accounts::with_feed_due`] expects.
    pub(crate) fn name(&self) -> String {
        let mode = match self.livemode {
            Some(true) => "live",
            Some(false) => "test",
            None => "any mode",
        };
        match self.named.as_ref().or(self.account.as_ref()) {
            Some(account) => format!("{mode} {account}"),
            None => mode.to_owned(),
        }
    }
}

/// Records the verdicts on events. Raises an issue about events that fail repeatedly.
pub(crate) fn settle(settled: &[(&[String], &Verdict)], report: &mut Report) {
    if settled.is_empty() {
        return;
    }
    let mut exhausted = events::settle(settled, ATTEMPTS_THAT_MAKE_AN_ISSUE);
    // The events of one payment fail together: they get one issue.
    exhausted.sort_by(|a, b| a.object.cmp(&b.object));
    exhausted.dedup_by(|a, b| a.object == b.object);
    let objects: Vec<&str> = exhausted.iter().map(|it| it.object.as_str()).collect();
    let mut pending = events::pending_of(&objects);
    for event in exhausted {
        // All failing events of the payment, whichever was tried now, so that the facts of the issue stay the same.
        let mut failing = pending.remove(&event.object).unwrap_or_default();
        let given_up = payment_issues::given_up_events(&event.object);
        if failing.is_subset(&given_up) {
            continue;
        }
        failing.insert(event.id);
        report.add_general_issue(
            &Issue::new(
                IssueKind::EventFailing,
                Severity::Warning,
                format!(
                    "An event about {} ({}) could not be processed in {} attempts: {}. It will be retried.",
                    event.object, event.kind, event.attempts, event.result
                ),
            )
            .about(Some(&event.object))
            .with_evidence(json!({
                "id": event.object,
                "failing": failing,
                "type": event.kind,
                "why": event.result,
            })),
        );
    }
    let done = settled
        .iter()
        .filter(|(_, verdict)| verdict.is_done())
        .flat_map(|(events, _)| *events);
    report.resolve_event_issues(&done.collect::<Vec<_>>());
}

/// Returns the mode and account that these settings are for. Without a key, the mode is unknown.
pub(crate) fn own(connection: Option<&Connection>) -> EventScope {
    EventScope {
        livemode: connection.and_then(|it| it.key.livemode()),
        account: connection.and_then(|it| it.account.clone()),
        named: None,
        is_signed_by_named: false,
    }
}

//! Whether an event in the inbox is acted on, and what becomes of it.

use serde_json::json;

use crate::apply::report::Report;
use crate::domain::event::Event;
use crate::domain::issue::{Issue, IssueKind, Severity};
use crate::ledger::events::{self, Disposition, Verdict};
use crate::ledger::payment_issues;
use crate::stripe::client::Connection;
use crate::stripe::events::matters;

/// So often acting on an event may fail: after 1, 2, 4 … minutes, so for some hours.
const ATTEMPTS_THAT_MAKE_AN_ISSUE: i32 = 8;

/// Whose events are acted on.
#[derive(Clone, Debug)]
pub(crate) struct EventScope {
    /// The key's mode; `None` where it does not tell.
    pub(crate) livemode: Option<bool>,
    /// The connected account of the settings.
    pub(crate) account: Option<String>,
}

impl EventScope {
    /// Events of other types, of the other mode (Connect endpoints get both)
    /// and of other accounts are kept and ignored. As long as the mode is not known,
    /// events of either are kept for when it is.
    pub(crate) fn disposition(&self, event: &Event) -> Disposition {
        let ours = self.livemode.is_none_or(|mode| mode == event.livemode)
            && (event.account.is_none() || event.account == self.account);
        if ours && matters(event) {
            Disposition::Pending
        } else {
            Disposition::Ignored
        }
    }

    /// Whether what a delivered event says may be acted on without asking Stripe: it says
    /// itself that it is of the key's mode, which has to be known, and of the account of
    /// the settings. For all others Stripe is asked with that key, for that account.
    pub(crate) fn vouches_for(&self, event: &Event) -> bool {
        self.livemode == Some(event.livemode) && self.account == event.account
    }

    /// Whose feed it is, for the place in it.
    pub(crate) fn name(&self) -> String {
        let mode = match self.livemode {
            Some(true) => "live",
            Some(false) => "test",
            None => "any mode",
        };
        match &self.account {
            Some(account) => format!("{mode} {account}"),
            None => mode.to_owned(),
        }
    }
}

/// Notes what became of events. One that fails again and again is an issue.
pub(crate) fn settle(settled: &[(&[String], &Verdict)], report: &mut Report) {
    if settled.is_empty() {
        return;
    }
    let mut hopeless = events::settle(settled, ATTEMPTS_THAT_MAKE_AN_ISSUE);
    // One issue for a payment, whose events fail together.
    hopeless.sort_by(|a, b| a.object.cmp(&b.object));
    hopeless.dedup_by(|a, b| a.object == b.object);
    let objects: Vec<&str> = hopeless.iter().map(|it| it.object.as_str()).collect();
    let mut pending = events::pending_of(&objects);
    for event in hopeless {
        // All of them, whichever was tried now: the same events are the same facts.
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
                    "What Stripe said of {} ({}) could not be acted on {} times: {}.",
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
        .filter(|(_, verdict)| matches!(verdict, Verdict::Done(_)))
        .flat_map(|(events, _)| *events);
    report.resolve_event_issues(&done.collect::<Vec<_>>());
}

/// Whose events these settings are for.
pub(crate) fn own(connection: &Connection) -> EventScope {
    EventScope {
        livemode: connection.key.livemode(),
        account: connection.account.clone(),
    }
}

//! What a run knows of open issues: mostly that none concerns what it has done.

use std::collections::BTreeSet;

use crate::ledger::runs::Kind;

/// Whether anything else that is open concerns what was written down.
pub(super) enum Concerns {
    /// None, and there is no issue about events: the payments with these ids are settled.
    None(BTreeSet<String>),
    /// Perhaps.
    Some,
}

/// What was found so far.
pub(super) struct Found {
    /// Whether there may be issues to resolve, or to list in the result.
    pub(super) may_be_open: bool,
    /// The ids of payments about which nothing is open; empty if there may be something.
    unconcerned: BTreeSet<String>,
}

impl Found {
    pub(super) fn nothing_yet(kind: Kind) -> Self {
        Self {
            // Other runs raise issues by themselves.
            may_be_open: !matches!(kind, Kind::Webhook | Kind::SyncInvoice),
            unconcerned: BTreeSet::new(),
        }
    }

    pub(super) fn note(&mut self, concerns: Concerns) {
        match concerns {
            Concerns::None(ids) if !self.may_be_open => self.unconcerned.extend(ids),
            Concerns::None(_) => {}
            Concerns::Some => self.suspect(),
        }
    }

    /// From now on, anything may be open.
    pub(super) fn suspect(&mut self) {
        self.may_be_open = true;
        self.unconcerned.clear();
    }

    /// Whether nothing is open about the payments with these ids.
    pub(super) fn are_unconcerned<'i>(&self, mut ids: impl Iterator<Item = &'i str>) -> bool {
        ids.all(|id| self.unconcerned.contains(id))
    }

    /// Whether no issue is about events.
    pub(super) fn no_event_failed(&self) -> bool {
        !self.unconcerned.is_empty()
    }
}

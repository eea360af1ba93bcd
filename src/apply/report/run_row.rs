//! The row of a run: of a long one it exists from the start, of a brief one it is written once.

use std::cell::RefCell;

use crate::apply::context::Mode;
use crate::ledger::runs::{self, Brief, Kind, State, Totals};
use crate::pg::rolled_back;

pub(super) enum RunRow {
    /// Of a dry run.
    None,
    Long(i64),
    Brief {
        run: Brief,
        /// What was written, unless that was rolled back, and how many subtransactions had been by then.
        written: RefCell<Option<(Box<Totals>, u64)>>,
    },
}

impl RunRow {
    pub(super) fn open(kind: Kind, mode: Mode) -> Self {
        match (mode, kind) {
            (Mode::DryRun, _) => Self::None,
            // Nobody sees the run of a webhook before its transaction ends.
            (Mode::Write, Kind::Webhook) => Self::Brief {
                run: Brief::begin(kind),
                written: RefCell::default(),
            },
            (Mode::Write, _) => Self::Long(runs::open(kind)),
        }
    }

    pub(super) fn id(&self) -> Option<i64> {
        match self {
            Self::None => None,
            Self::Long(run) => Some(*run),
            Self::Brief { run, .. } => Some(run.id),
        }
    }

    /// Returns the id, to which rows may refer. The row of a brief run is written with these totals, again if it was
    /// rolled back with what referred to it.
    pub(super) fn refer(&self, totals: &Totals) -> Option<i64> {
        if let Self::Brief { run, written } = self {
            let stands = |(as_written, before): &(Box<Totals>, u64)| {
                **as_written == *totals && *before == rolled_back()
            };
            if !written.borrow().as_ref().is_some_and(stands) {
                run.write(totals, written.borrow().is_some());
                written.replace(Some((Box::new(totals.clone()), rolled_back())));
            }
        }
        self.id()
    }

    /// Saves the totals. A brief run that nothing refers to, and that asked, changed and found nothing, gets no row.
    pub(super) fn save(&self, totals: &Totals, state: State) {
        match self {
            Self::None => {}
            Self::Long(run) => runs::save(*run, totals, state),
            Self::Brief { run, written } => {
                let written = written.borrow();
                let is_news = written
                    .as_ref()
                    .is_none_or(|(as_written, _)| **as_written != *totals);
                if is_news && (written.is_some() || totals.say_something()) {
                    run.write(totals, written.is_some());
                }
            }
        }
    }
}

//! The position in Stripe's list of events, and the next page to ask for: a state machine without clock, SQL or
//! HTTP.
//!
//! Stripe keeps events for 30 days and lists them from the newest; starting from a known event, it also lists newer
//! ones, page by page. Events may appear in the list late, and several may have the same second, so a time alone does
//! not show that an event was read: reading continues from an event that was older than [`OVERLAP`] at the last
//! reading, and events that are read twice are dropped by their id.
//!
//! Source: <https://docs.stripe.com/api/events/list>.

use serde::{Deserialize, Serialize};

/// In seconds. Events that are younger than this when the list is read are read again.
pub(crate) const OVERLAP: i64 = 15 * 60;

/// In seconds, how far the first reading goes back. Older payments are found by the ids that invoices store, or by a
/// backfill.
pub(crate) const FIRST_LOOK: i64 = 24 * 60 * 60;

/// In seconds, how long Stripe keeps events.
pub(crate) const KEPT: i64 = 30 * 24 * 60 * 60;

/// In seconds. Reading does not continue from an event that Stripe will delete within this time.
const MARGIN: i64 = 60 * 60;

/// How far the list has been read. Times are Stripe's, in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// When the list was last read up to its newest event.
    pub(crate) read_at: Option<i64>,
    /// All events that are not newer than this one have been read, except for those of the backlog.
    pub(crate) anchor: Option<Mark>,
    /// Events older than the anchor that are still to be read.
    pub(crate) backlog: Option<Backlog>,
    /// Whether Stripe did not have the anchor though it was not too old, and no other one was found since: the key may
    /// have been one of another account for a while, so that a time of reading says nothing of the events before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_lost: bool,
}

/// The id and time of an event, its position in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) id: String,
    pub(crate) created: i64,
}

/// A range of events that is read from its newest event back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backlog {
    /// The event that was read last; `None` to start with the newest event of the list.
    pub(crate) before: Option<String>,
    pub(crate) since: i64,
}

/// The page of the list to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The events after this one (`ending_before`).
    After(String),
    /// The events before this one, or the newest events, back to a time (`starting_after`, `created[gte]`).
    Before { event: Option<String>, since: i64 },
}

/// A time whose events Stripe has deleted before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) since: i64,
    pub(crate) until: i64,
}

/// One reading of the list.
#[derive(Clone, Debug)]
pub(crate) struct FeedRead {
    place: Place,
    /// While reading forward, the newest event that was read.
    forward: Option<String>,
    gap: Option<Gap>,
}

impl FeedRead {
    /// Continues from `place` at the time `now`.
    pub(crate) fn from(place: Place, now: i64) -> Self {
        let mut read = Self {
            place,
            forward: None,
            gap: None,
        };
        if let Some(read_at) = read.place.read_at
            && read_at < now - KEPT + MARGIN
        {
            read.gap = Some(Gap {
                since: read_at - OVERLAP,
                until: now - KEPT + MARGIN,
            });
        }
        match &read.place.anchor {
            Some(anchor) if anchor.created > now - KEPT + MARGIN => {
                read.forward = Some(anchor.id.clone());
            }
            _ => read.begin_backwards(now),
        }
        read
    }

    pub(crate) fn gap(&self) -> Option<Gap> {
        self.gap
    }

    /// Returns the next page to request; `None` if all events are read.
    pub(crate) fn next(&self) -> Option<Request> {
        if let Some(event) = &self.forward {
            return Some(Request::After(event.clone()));
        }
        self.place.backlog.as_ref().map(|backlog| Request::Before {
            event: backlog.before.clone(),
            since: backlog.since,
        })
    }

    /// Records a page. `marks` are its events, the newest first, as Stripe lists them; `now` is Stripe's time of the
    /// answer.
    pub(crate) fn take(&mut self, marks: &[Mark], has_more: bool, now: i64) {
        let old_enough = marks.iter().find(|mark| mark.created <= now - OVERLAP);
        if self.forward.is_some() {
            if let Some(mark) = old_enough {
                self.place.anchor = Some(mark.clone());
            }
            self.forward = marks
                .first()
                .map(|mark| mark.id.clone())
                .filter(|_| has_more);
            if self.forward.is_none() {
                self.place.read_at = Some(now);
            }
            return;
        }
        let Some(backlog) = &mut self.place.backlog else {
            return;
        };
        if backlog.before.is_none() {
            self.place.read_at = Some(now);
        }
        if self.place.anchor.is_none() {
            self.place.anchor = old_enough.cloned();
            self.place.is_lost &= self.place.anchor.is_none();
        }
        match marks.last() {
            Some(last) if has_more => backlog.before = Some(last.id.clone()),
            _ => self.place.backlog = None,
        }
    }

    /// Handles that Stripe does not have the event from which the page was requested. One that is not too old is of another
    /// account than that of the key: all that Stripe has is read.
    pub(crate) fn event_is_gone(&mut self, now: i64) {
        if self.forward.take().is_some() {
            self.place.is_lost = true;
            self.begin_backwards(now);
        } else {
            // Stripe has deleted all older events, too.
            self.place.backlog = None;
        }
    }

    /// Returns the position to store after every page. While no event to continue from is found, this is `former`,
    /// the position at the start, so that the next reading starts again.
    pub(crate) fn place_to_keep(&self, former: &Place) -> Place {
        if self.place.anchor.is_none() && self.place.backlog.is_some() {
            former.clone()
        } else {
            self.place.clone()
        }
    }

    fn begin_backwards(&mut self, now: i64) {
        self.place.anchor = None;
        let since = match (&self.place.backlog, self.place.read_at) {
            _ if self.place.is_lost => now - KEPT,
            (Some(backlog), _) => backlog.since,
            (None, Some(read_at)) => read_at - OVERLAP,
            (None, None) => now - FIRST_LOOK,
        };
        self.place.backlog = Some(Backlog {
            before: None,
            since: since.max(now - KEPT),
        });
    }
}

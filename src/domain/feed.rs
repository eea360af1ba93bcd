//! The position in Stripe's list of events, and the next page to ask for: a state machine without clock, SQL or
//! HTTP.
//!
//! Stripe keeps events for 30 days and lists them the newest first; from a known
//! event on it also lists those that are newer, page by page. Events come into
//! the feed late and share seconds, so nothing is taken for seen by its time
//! alone: reading goes on from an event that was older than [`OVERLAP`] when the
//! feed was read, and what is read twice is dropped by its id.
//!
//! Source: <https://docs.stripe.com/api/events/list>.

use serde::{Deserialize, Serialize};

/// What is younger than this when the feed is read is read again, in seconds.
pub(crate) const OVERLAP: i64 = 15 * 60;

/// What the first reading goes back to, in seconds: older payments are found by
/// the ids that their invoices store, or by a backfill.
pub(crate) const FIRST_LOOK: i64 = 24 * 60 * 60;

/// Stripe keeps events for so long, in seconds.
pub(crate) const KEPT: i64 = 30 * 24 * 60 * 60;

/// An event that is about to leave what Stripe keeps is no place to go on from.
const MARGIN: i64 = 60 * 60;

/// How far the feed has been read. Times are Stripe's, in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// When it was last read up to its newest event.
    pub(crate) read_at: Option<i64>,
    /// Every event that is not newer than this one has been read, but for those
    /// of the backlog.
    pub(crate) anchor: Option<Mark>,
    /// What is still to be read of what is older than the anchor.
    pub(crate) backlog: Option<Backlog>,
}

/// An event's place in the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) id: String,
    pub(crate) created: i64,
}

/// A range of events that is read from its newest event on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backlog {
    /// The event that was read last; `None`: the feed's newest is the next one.
    pub(crate) before: Option<String>,
    pub(crate) since: i64,
}

/// A page of the feed to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// What comes next after this event (`ending_before`).
    After(String),
    /// What is older than this event, or the newest, back to a time
    /// (`starting_after`, `created[gte]`).
    Before { event: Option<String>, since: i64 },
}

/// Time of which Stripe has no events any more and that nobody read then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) since: i64,
    pub(crate) until: i64,
}

/// One reading of the feed.
#[derive(Clone, Debug)]
pub(crate) struct FeedRead {
    place: Place,
    /// While it goes forward: the newest event that it has come to.
    forward: Option<String>,
    gap: Option<Gap>,
}

impl FeedRead {
    /// Goes on from `place`, at `now`.
    pub(crate) fn from(place: Place, now: i64) -> Self {
        let mut course = Self {
            place,
            forward: None,
            gap: None,
        };
        if let Some(read_at) = course.place.read_at
            && read_at < now - KEPT + MARGIN
        {
            course.gap = Some(Gap {
                since: read_at - OVERLAP,
                until: now - KEPT + MARGIN,
            });
        }
        match &course.place.anchor {
            Some(anchor) if anchor.created > now - KEPT + MARGIN => {
                course.forward = Some(anchor.id.clone());
            }
            _ => course.begin_backwards(now),
        }
        course
    }

    pub(crate) fn gap(&self) -> Option<Gap> {
        self.gap
    }

    /// The next page; `None` where all is read.
    pub(crate) fn next(&self) -> Option<Request> {
        if let Some(event) = &self.forward {
            return Some(Request::After(event.clone()));
        }
        self.place.backlog.as_ref().map(|backlog| Request::Before {
            event: backlog.before.clone(),
            since: backlog.since,
        })
    }

    /// Takes a page in: `marks` the newest first, as Stripe lists them; `now`
    /// is Stripe's time of the answer.
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
        }
        match marks.last() {
            Some(last) if has_more => backlog.before = Some(last.id.clone()),
            _ => self.place.backlog = None,
        }
    }

    /// Stripe does not know the event any more from which the page was asked for.
    pub(crate) fn event_is_gone(&mut self, now: i64) {
        if self.forward.take().is_some() {
            self.place.anchor = None;
            self.begin_backwards(now);
        } else {
            // All that is older is gone with it.
            self.place.backlog = None;
        }
    }

    /// How far it has come, to be kept after every page; `former` is where it went
    /// on from. Where it has not yet found an event to go on from, it begins anew.
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

//! The queue of lookups: which objects are wanted by whom, and what is asked for next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::identity::StripeId;
use crate::stripe::completion::OpenPoints;
use crate::stripe::error::StripeError;
use crate::stripe::lists::{List, Page};
use crate::stripe::objects::{self, Reading};
use crate::stripe::planner::{PageContents, Planner, Scan};
use crate::stripe::retrieve::is_of_other_mode;

/// The work of a thread: one page, or one lookup.
#[derive(Debug)]
pub(super) enum Job {
    Page(List, Scan),
    /// The index of a lookup, and the lookup.
    Answer(usize, OpenQuestion),
}

/// A lookup: the objects to request for one invoice or payment.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What the caller identifies it by: the id of an invoice or a payment.
    pub(crate) about: String,
    /// As the application stores them, sessions first, because a session includes its intent.
    pub(crate) ids: Vec<String>,
    /// When the object of the first id was created at Stripe, in seconds since 1970, if that is known. It makes lists
    /// cheaper; a wrong time costs little.
    pub(crate) created: Option<i64>,
    /// The ids among them that are known to be intents without a session.
    pub(crate) sessionless: BTreeSet<String>,
}

/// A lookup that is not complete yet.
#[derive(Debug)]
pub(super) struct OpenQuestion {
    pub(super) ids: Vec<String>,
    created: Option<i64>,
    pub(super) sessionless: BTreeSet<String>,
    /// Objects found on pages.
    found: Vec<Found>,
}

/// An object of a page.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) payment: StripePayment,
    /// What is still to be requested.
    pub(super) open: OpenPoints,
}

/// All open lookups. Sessions are listed first, because a session includes its intent; then intents; the remaining
/// objects are requested one by one.
pub(super) struct LookupQueue {
    /// By their index in the caller's order.
    open: BTreeMap<usize, OpenQuestion>,
    lists: std::vec::IntoIter<List>,
    listing: Option<List>,
    planner: Planner,
    /// The lookups that wait for each object of the current list.
    waiting: HashMap<String, Vec<usize>>,
    concurrency: usize,
    livemode: Option<bool>,
}

impl LookupQueue {
    /// Creates the queue. `livemode` is the key's; at most `concurrency` pages are requested at a time.
    pub(super) fn new(
        questions: Vec<Question>,
        concurrency: usize,
        livemode: Option<bool>,
    ) -> Self {
        let open = questions.into_iter().map(|question| OpenQuestion {
            ids: question.ids,
            created: question.created,
            sessionless: question.sessionless,
            found: Vec::new(),
        });
        Self {
            open: open.enumerate().collect(),
            lists: vec![List::Sessions, List::Intents].into_iter(),
            listing: None,
            planner: Planner::new([], concurrency),
            waiting: HashMap::new(),
            concurrency,
            livemode,
        }
    }

    /// Returns the jobs that can start now, in addition to the running ones.
    pub(super) fn next_jobs(&mut self) -> Vec<Job> {
        loop {
            if let Some(list) = self.listing {
                let scans = self.planner.begin();
                if !scans.is_empty() || !self.planner.is_idle() {
                    return scans
                        .into_iter()
                        .map(|scan| Job::Page(list, scan))
                        .collect();
                }
            }
            self.listing = self.lists.next();
            match self.listing {
                Some(list) => self.plan(list),
                None => return self.singles(),
            }
        }
    }

    /// Returns the job for the scan's next page, if the scan continues.
    pub(super) fn continue_scan(
        &mut self,
        list: List,
        scan: Scan,
        contents: &PageContents,
        taken: &[String],
    ) -> Option<Job> {
        let scan = self.planner.continue_scan(scan, contents, taken)?;
        Some(Job::Page(list, scan))
    }

    /// Ends a scan, or all of them if other pages would fail as well.
    pub(super) fn page_failed(&mut self, scan: Scan, error: &StripeError) {
        self.planner.page_failed(scan);
        let of_this_page = matches!(
            error,
            StripeError::CursorGone { .. } | StripeError::Unreachable { .. }
        );
        if !of_this_page {
            self.planner.give_up();
        }
    }

    /// Returns whether a lookup waits for this object of the list.
    pub(super) fn waits_for(&self, id: &str) -> bool {
        self.waiting.contains_key(id)
    }

    /// Returns whether this intent of the list is known to have no session.
    pub(super) fn is_sessionless(&self, id: &str) -> bool {
        let mut indexes = self.waiting.get(id).into_iter().flatten();
        indexes.any(|index| {
            let open = self.open.get(index);
            open.is_some_and(|open| open.sessionless.contains(id))
        })
    }

    /// Passes an object to all lookups that wait for it. Returns the lookups that are complete now.
    pub(super) fn deliver(&mut self, id: &str, found: &Found) -> Vec<(usize, OpenQuestion)> {
        let mut complete = Vec::new();
        for index in self.waiting.remove(id).unwrap_or_default() {
            let Some(open) = self.open.get_mut(&index) else {
                continue;
            };
            open.found.push(found.clone());
            if open.is_complete() {
                complete.extend(self.open.remove(&index).map(|open| (index, open)));
            }
        }
        complete
    }

    fn plan(&mut self, list: List) {
        self.waiting.clear();
        let mut wanted = Vec::new();
        for (&index, open) in &self.open {
            for (nth, id) in open.missing_ids() {
                if id.kind() != list.kind() || is_of_other_mode(&id, self.livemode) {
                    continue;
                }
                let id = id.as_str().to_owned();
                self.waiting.entry(id.clone()).or_default().push(index);
                wanted.push((id, open.created.filter(|_| nth == 0)));
            }
        }
        self.planner = Planner::new(wanted, self.concurrency);
    }

    fn singles(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|(index, open)| Job::Answer(index, open))
            .collect()
    }
}

impl OpenQuestion {
    /// Returns the ids without an object, with their index among the ids.
    fn missing_ids(&self) -> impl Iterator<Item = (usize, StripeId)> {
        let ids = self.ids.iter().enumerate();
        ids.filter_map(|(nth, text)| Some((nth, StripeId::parse(text)?)))
            .filter(|(_, id)| !self.found.iter().any(|found| found.is_about(id)))
    }

    fn is_complete(&self) -> bool {
        self.missing_ids().next().is_none()
    }

    /// Returns whether an object leaves something open that takes another request.
    pub(super) fn has_open_points(&self) -> bool {
        self.found.iter().any(|found| !found.open.is_none())
    }

    /// Removes and returns the object that a page had for this id.
    pub(super) fn take_found(&mut self, id: &StripeId) -> Option<Found> {
        let at = self.found.iter().position(|found| found.is_about(id))?;
        Some(self.found.swap_remove(at))
    }
}

impl Found {
    fn is_about(&self, id: &StripeId) -> bool {
        self.payment.ids.contains(id.as_str())
    }
}

/// Returns whether evidence for another id is also evidence for this one.
pub(super) fn is_evidence_for(evidence: &Evidence, id: &StripeId) -> bool {
    matches!(evidence, Evidence::Payment(payment) if payment.ids.contains(id.as_str()))
}

/// Reads an object of a page.
pub(super) fn read_found(
    object: &Value,
    reading: &Reading,
    page: &Page,
) -> Result<Found, StripeError> {
    let request_id = page.request_id.clone();
    let mut payment = match object.get("object").and_then(Value::as_str) {
        Some("checkout.session") => objects::read_session(object, reading, request_id)?,
        Some("charge") => objects::read_charge(object, reading, request_id)?,
        _ => objects::read_intent(object, reading, request_id)?,
    };
    payment.as_of = page.asked_at;
    Ok(Found {
        payment,
        open: OpenPoints::of(object, reading)?,
    })
}

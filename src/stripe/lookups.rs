//! The queue of lookups: which objects are wanted by whom, and what is asked for next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::identity::StripeId;
use crate::stripe::error::StripeError;
use crate::stripe::lists::List;
use crate::stripe::planner::{Contents, Planner, Walk};
use crate::stripe::retrieve::is_of_other_mode;

/// One request, or one question's.
#[derive(Debug)]
pub(super) enum Job {
    Page(List, Walk),
    /// The place of a question, and the question.
    Answer(usize, Open),
}

/// What is to be asked about one invoice.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What the asker knows it by: an invoice's id, a payment's.
    pub(crate) about: String,
    /// As the host stores them, sessions first: a session brings its intent along.
    pub(crate) ids: Vec<String>,
    /// When the object of the first id was created at Stripe, in seconds since
    /// 1970, where that is known: it makes lists cheaper, and costs little where
    /// it is wrong.
    pub(crate) created: Option<i64>,
    /// Those of the ids that are known to be intents without a session.
    pub(crate) sessionless: BTreeSet<String>,
}

/// A question that is not answered yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) ids: Vec<String>,
    created: Option<i64>,
    pub(super) sessionless: BTreeSet<String>,
    /// What pages brought of it.
    found: Vec<Found>,
}

/// An object of a page.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) payment: StripePayment,
    /// Its disputes are still to be asked for.
    pub(super) disputed: bool,
}

/// All open questions. Sessions are listed first, because a session answers for
/// its intent; then intents; what is left is asked for one by one.
pub(super) struct LookupQueue {
    /// By their place in the asker's order.
    open: BTreeMap<usize, Open>,
    lists: std::vec::IntoIter<List>,
    listing: Option<List>,
    planner: Planner,
    /// Who waits for which object of the list.
    waiting: HashMap<String, Vec<usize>>,
    lanes: usize,
    livemode: Option<bool>,
}

impl LookupQueue {
    /// `livemode` is the key's; at most `lanes` pages are asked for at once.
    pub(super) fn new(questions: Vec<Question>, lanes: usize, livemode: Option<bool>) -> Self {
        let open = questions.into_iter().map(|question| Open {
            ids: question.ids,
            created: question.created,
            sessionless: question.sessionless,
            found: Vec::new(),
        });
        Self {
            open: open.enumerate().collect(),
            lists: vec![List::Sessions, List::Intents].into_iter(),
            listing: None,
            planner: Planner::new([], lanes),
            waiting: HashMap::new(),
            lanes,
            livemode,
        }
    }

    /// What can be begun now, beside what is under way.
    pub(super) fn next_jobs(&mut self) -> Vec<Job> {
        loop {
            if let Some(list) = self.listing {
                let walks = self.planner.begin();
                if !walks.is_empty() || !self.planner.rests() {
                    return walks
                        .into_iter()
                        .map(|walk| Job::Page(list, walk))
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

    /// The walk's next page, where it goes on.
    pub(super) fn go_on(
        &mut self,
        list: List,
        walk: Walk,
        contents: &Contents,
        taken: &[String],
    ) -> Option<Job> {
        let walk = self.planner.go_on(walk, contents, taken)?;
        Some(Job::Page(list, walk))
    }

    /// Ends a walk, and all of them where other pages would fail as well.
    pub(super) fn page_failed(&mut self, walk: Walk, error: &StripeError) {
        self.planner.page_failed(walk);
        let of_this_page = matches!(
            error,
            StripeError::CursorGone { .. } | StripeError::Unreachable { .. }
        );
        if !of_this_page {
            self.planner.give_up();
        }
    }

    /// Whether anybody waits for this object of the list.
    pub(super) fn waits_for(&self, id: &str) -> bool {
        self.waiting.contains_key(id)
    }

    /// Whether it is known that this intent of the list came by no session.
    pub(super) fn is_sessionless(&self, id: &str) -> bool {
        let mut places = self.waiting.get(id).into_iter().flatten();
        places.any(|place| {
            let open = self.open.get(place);
            open.is_some_and(|open| open.sessionless.contains(id))
        })
    }

    /// Gives an object to all who wait for it; the answer is the questions that
    /// have all they need now.
    pub(super) fn hand_out(&mut self, id: &str, found: &Found) -> Vec<(usize, Open)> {
        let mut complete = Vec::new();
        for place in self.waiting.remove(id).unwrap_or_default() {
            let Some(open) = self.open.get_mut(&place) else {
                continue;
            };
            open.found.push(found.clone());
            if open.is_complete() {
                complete.extend(self.open.remove(&place).map(|open| (place, open)));
            }
        }
        complete
    }

    fn plan(&mut self, list: List) {
        self.waiting.clear();
        let mut wanted = Vec::new();
        for (&place, open) in &self.open {
            for (nth, id) in open.lacking() {
                if id.kind() != list.kind() || is_of_other_mode(&id, self.livemode) {
                    continue;
                }
                let id = id.as_str().to_owned();
                self.waiting.entry(id.clone()).or_default().push(place);
                wanted.push((id, open.created.filter(|_| nth == 0)));
            }
        }
        self.planner = Planner::new(wanted, self.lanes);
    }

    fn singles(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|(place, open)| Job::Answer(place, open))
            .collect()
    }
}

impl Open {
    /// The ids that nothing found speaks of, with their place among the ids.
    fn lacking(&self) -> impl Iterator<Item = (usize, StripeId)> {
        let ids = self.ids.iter().enumerate();
        ids.filter_map(|(nth, text)| Some((nth, StripeId::parse(text)?)))
            .filter(|(_, id)| !self.found.iter().any(|found| found.is_about(id)))
    }

    fn is_complete(&self) -> bool {
        self.lacking().next().is_none()
    }

    pub(super) fn is_disputed(&self) -> bool {
        self.found.iter().any(|found| found.disputed)
    }

    /// What a page brought under this id.
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

/// Whether the answer about another id is an answer about this one as well.
pub(super) fn speaks_of(evidence: &Evidence, id: &StripeId) -> bool {
    matches!(evidence, Evidence::Payment(payment) if payment.ids.contains(id.as_str()))
}

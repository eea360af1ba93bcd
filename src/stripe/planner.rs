//! Plans which pages of a list are fetched instead of single objects: a pure state machine.
//!
//! Lists run from the newest object to the oldest, 100 to a page. The planner
//! sends out *walks*; each asks for a page, and goes on as long as its pages
//! yield more than one wanted object each on average. Nothing is known of what
//! else is in the list, so a walk may be in vain. It costs at most one request
//! more than it saves, and only so many may end with a loss: see [`allowance`].

use std::collections::{HashSet, VecDeque};

/// Objects on a page: the most that Stripe gives.
pub(crate) const PAGE: usize = 100;

/// Fewer objects of unknown age are not worth a page that may bring none of them.
const WORTH_A_TRY: usize = 10;

/// Where their age is known, a page brings at least one of them.
const WORTH_A_DATED_TRY: usize = 3;

/// So many objects are wanted for each walk that is under way beside others:
/// about ten pages, of which half of one is lost where two walks meet.
const WANTED_PER_WALK: usize = 1_000;

/// So many barren pages a walk endures after rich ones.
const PATIENCE: usize = 3;

/// How many requests more than one for each of `wanted` objects may be made.
pub(crate) fn allowance(wanted: usize) -> usize {
    (wanted / 100).max(1)
}

/// Where a page begins. It goes on to older objects from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Newest,
    /// With what was created in this second (since 1970), `created[lte]`.
    At(i64),
    /// After the object with this id, `starting_after`.
    After(String),
}

/// A walk along a list, about to ask for its next page.
#[derive(Debug)]
pub(crate) struct Walk {
    start: Start,
    /// Wanted objects whose time is known, the newest first; it jumps from one
    /// to the next. Without any, it goes from page to page.
    dated: VecDeque<(i64, String)>,
    is_dated: bool,
    is_from_newest: bool,
    /// Pages that it may still find barren; at 0 it ends.
    purse: usize,
    pages: usize,
    found: usize,
    /// So many objects in a row are passed over, to be asked for one by one, until
    /// a page is due, to learn how dense the list is there.
    next_probe: usize,
}

impl Walk {
    pub(crate) fn start(&self) -> &Start {
        &self.start
    }

    fn new(start: Start) -> Self {
        Self {
            is_from_newest: start == Start::Newest,
            start,
            dated: VecDeque::new(),
            is_dated: false,
            purse: 1,
            pages: 0,
            found: 0,
            next_probe: 4,
        }
    }
}

/// What stood on a page: ids and times of creation, the newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) objects: Vec<(String, i64)>,
    pub(crate) has_more: bool,
}

impl Contents {
    /// When the oldest and the newest were made; `None` for an empty page.
    pub(crate) fn time(&self) -> Option<(i64, i64)> {
        let newest = self.objects.first()?.1;
        Some((self.objects.last()?.1, newest))
    }
}

/// Plans for one list.
#[derive(Debug)]
pub(crate) struct Planner {
    wanted: HashSet<String>,
    dated: Vec<(i64, String)>,
    /// In the asker's order.
    undated: Vec<String>,
    /// The ids after which walks began.
    heads: HashSet<String>,
    lanes: usize,
    allowance: usize,
    losses: usize,
    under_way: usize,
    begun_at_newest: bool,
    /// How many heads were picked.
    picks: usize,
    given_up: bool,
}

impl Planner {
    /// A plan for finding the wanted objects, each with the time of its creation
    /// where that is known, with at most `lanes` walks at once.
    pub(crate) fn new(
        wanted: impl IntoIterator<Item = (String, Option<i64>)>,
        lanes: usize,
    ) -> Self {
        let mut seen = HashSet::new();
        let (mut dated, mut undated) = (Vec::new(), Vec::new());
        for (id, created) in wanted {
            if !seen.insert(id.clone()) {
                continue;
            }
            match created {
                Some(created) => dated.push((created, id)),
                None => undated.push(id),
            }
        }
        dated.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            allowance: allowance(seen.len()),
            wanted: seen,
            dated,
            undated,
            heads: HashSet::new(),
            lanes: lanes.max(1),
            losses: 0,
            under_way: 0,
            begun_at_newest: false,
            picks: 0,
            given_up: false,
        }
    }

    /// Whether no walk is under way. Then, after [`Self::begin`] brought none
    /// either, what is still wanted is to be asked for one by one.
    pub(crate) fn rests(&self) -> bool {
        self.under_way == 0
    }

    /// Walks that are worth beginning now. Each ends in [`Self::go_on`]
    /// or [`Self::page_failed`].
    pub(crate) fn begin(&mut self) -> Vec<Walk> {
        let mut walks = Vec::new();
        if self.given_up {
            return walks;
        }
        if !self.dated.is_empty() {
            walks = self.begin_dated();
        }
        if walks.is_empty() && self.under_way == 0 {
            walks = self.begin_undated();
        }
        self.under_way += walks.len();
        walks
    }

    /// Takes note of a page and of the wanted objects that were taken from it,
    /// and tells whether the walk goes on.
    pub(crate) fn go_on(
        &mut self,
        mut walk: Walk,
        contents: &Contents,
        taken: &[String],
    ) -> Option<Walk> {
        let found = taken.iter().filter(|id| self.wanted.remove(*id)).count();
        walk.pages += 1;
        walk.found += found;
        walk.purse = (walk.purse + found).min(PATIENCE + 1) - 1;
        let met_another = contents
            .objects
            .iter()
            .any(|(id, _)| self.heads.contains(id));
        if walk.is_from_newest && !contents.has_more {
            // It saw the whole list: what is still wanted is not in it.
            self.give_up();
        }
        let mut next = None;
        if walk.purse > 0 && contents.has_more && !self.given_up && !self.wanted.is_empty() {
            if walk.is_dated {
                next = self.next_jump(&mut walk, contents);
            } else if !met_another {
                next = contents
                    .objects
                    .last()
                    .map(|(id, _)| Start::After(id.clone()));
            }
        }
        match next {
            Some(start) => Some(Walk { start, ..walk }),
            None => {
                self.end(&walk);
                None
            }
        }
    }

    /// Ends a walk whose page could not be read.
    pub(crate) fn page_failed(&mut self, mut walk: Walk) {
        walk.pages += 1;
        self.end(&walk);
    }

    /// Begins no more walks, and lets none go on.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    fn end(&mut self, walk: &Walk) {
        self.under_way -= 1;
        self.losses += walk.pages.saturating_sub(walk.found);
    }

    /// How many walks may begin without risking more than the allowance.
    fn room(&self, wanted: usize) -> usize {
        (wanted / WANTED_PER_WALK)
            .clamp(1, self.lanes)
            .min(self.allowance.saturating_sub(self.losses))
    }

    /// All that is dated, in as many parts as walks.
    fn begin_dated(&mut self) -> Vec<Walk> {
        let mut dated = std::mem::take(&mut self.dated);
        dated.retain(|(_, id)| self.wanted.contains(id));
        let walks = self.room(dated.len());
        if dated.len() < WORTH_A_DATED_TRY || walks == 0 {
            return Vec::new();
        }
        dated
            .chunks(dated.len().div_ceil(walks))
            .map(|part| Walk {
                dated: part.iter().cloned().collect(),
                is_dated: true,
                ..Walk::new(Start::At(part[0].0))
            })
            .collect()
    }

    /// From the newest on; then, and beside it where very many are wanted, from
    /// wanted objects: where one is, others are likely.
    fn begin_undated(&mut self) -> Vec<Walk> {
        self.undated.retain(|id| self.wanted.contains(id));
        if self.undated.len() < WORTH_A_TRY {
            return Vec::new();
        }
        let mut starts = Vec::new();
        for _ in 0..self.room(self.undated.len()) {
            if !std::mem::replace(&mut self.begun_at_newest, true) {
                starts.push(Start::Newest);
            } else if let Some(head) = self.pick() {
                starts.push(Start::After(head));
            }
        }
        starts.into_iter().map(Walk::new).collect()
    }

    /// A wanted object to begin after, and never one twice. The picks are spread
    /// over the asker's order, whatever that is.
    fn pick(&mut self) -> Option<String> {
        const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;
        self.picks += 1;
        let place = (self.picks as f64 * GOLDEN_RATIO).fract() * self.undated.len() as f64;
        let head = self.undated.get(place as usize)?.clone();
        self.heads.insert(head.clone()).then_some(head)
    }

    /// The next object of the walk's for which a page is worth more than one
    /// retrieval, judged by the time that the last page spanned.
    fn next_jump(&self, walk: &mut Walk, contents: &Contents) -> Option<Start> {
        let span = match (contents.objects.first(), contents.objects.last()) {
            (Some((_, newest)), Some((_, oldest))) => newest - oldest,
            _ => return None,
        };
        let mut passed = 0;
        walk.dated.retain(|(_, id)| self.wanted.contains(id));
        // The object that the page began with, where its time was wrong.
        if let Start::At(at) = walk.start {
            walk.dated.retain(|(created, _)| *created < at);
        }
        while let Some((at, _)) = walk.dated.front().cloned() {
            let near = walk
                .dated
                .iter()
                .take_while(|(created, _)| at - created <= span)
                .take(2)
                .count();
            if near > 1 {
                return Some(Start::At(at));
            }
            if passed == walk.next_probe {
                walk.next_probe *= 4;
                return Some(Start::At(at));
            }
            passed += 1;
            walk.dated.pop_front();
        }
        None
    }
}

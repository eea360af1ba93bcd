//! Plans which pages of a list are fetched instead of single objects: a pure state machine.
//!
//! Lists go from the newest object to the oldest, 100 per page. The planner starts *scans*; each requests a page and
//! continues while its pages contain, on average, more than one wanted object each. The planner does not know what
//! else is in the list, so a scan may find nothing. Such a scan costs at most one request more than it saves, and the
//! number of scans with a loss is limited: see [`allowance`].

use std::collections::{HashSet, VecDeque};

/// The fewest objects of unknown age for which pages are read, because a page may contain none of them.
const MIN_UNDATED: usize = 10;

/// The fewest objects of known age for which pages are read; such a page contains at least one of them.
const MIN_DATED: usize = 3;

/// One further scan in parallel is started for this many wanted objects: about ten pages, of which half a page is
/// lost where two scans meet.
const WANTED_PER_SCAN: usize = 1_000;

/// The most pages without wanted objects for which a scan continues after pages with many.
const MAX_EMPTY_PAGES: usize = 3;

/// Returns how many requests may be made beyond one for each of `wanted` objects.
pub(crate) fn allowance(wanted: usize) -> usize {
    (wanted / 100).max(1)
}

/// Where a page begins; it continues with older objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Newest,
    /// At objects created in this second (since 1970), `created[lte]`.
    At(i64),
    /// After the object with this id, `starting_after`.
    After(String),
}

/// A scan of a list, about to request its next page.
#[derive(Debug)]
pub(crate) struct Scan {
    start: Start,
    /// Wanted objects of known age, the newest first. The scan jumps from one to the next. If empty, it reads page
    /// after page.
    dated: VecDeque<(i64, String)>,
    is_dated: bool,
    is_from_newest: bool,
    /// How many pages without wanted objects it may still read; it ends at 0.
    empty_pages_left: usize,
    pages: usize,
    found: usize,
    /// After this many objects in a row that were left to single requests, one page is requested to measure how dense
    /// the list is there.
    next_probe: usize,
}

impl Scan {
    pub(crate) fn start(&self) -> &Start {
        &self.start
    }

    fn new(start: Start) -> Self {
        Self {
            is_from_newest: start == Start::Newest,
            start,
            dated: VecDeque::new(),
            is_dated: false,
            empty_pages_left: 1,
            pages: 0,
            found: 0,
            next_probe: 4,
        }
    }
}

/// The objects on a page: ids and times of creation, the newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageContents {
    pub(crate) objects: Vec<(String, i64)>,
    pub(crate) has_more: bool,
}

impl PageContents {
    /// Returns when the oldest and the newest object were created; `None` for an empty page.
    pub(crate) fn time(&self) -> Option<(i64, i64)> {
        let newest = self.objects.first()?.1;
        Some((self.objects.last()?.1, newest))
    }
}

/// The plan for one list.
#[derive(Debug)]
pub(crate) struct Planner {
    wanted: HashSet<String>,
    dated: Vec<(i64, String)>,
    /// In the caller's order.
    undated: Vec<String>,
    /// The ids after which scans started.
    start_ids: HashSet<String>,
    max_scans: usize,
    allowance: usize,
    losses: usize,
    running: usize,
    begun_at_newest: bool,
    /// How many start objects were chosen.
    picked: usize,
    given_up: bool,
}

impl Planner {
    /// Creates a plan to find the wanted objects, each with its time of creation if known, with at most `max_scans`
    /// scans at a time.
    pub(crate) fn new(
        wanted: impl IntoIterator<Item = (String, Option<i64>)>,
        max_scans: usize,
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
            start_ids: HashSet::new(),
            max_scans: max_scans.max(1),
            losses: 0,
            running: 0,
            begun_at_newest: false,
            picked: 0,
            given_up: false,
        }
    }

    /// Returns whether no scan is running. If [`Self::begin`] returns none either, the objects that are still wanted
    /// must be requested one by one.
    pub(crate) fn is_idle(&self) -> bool {
        self.running == 0
    }

    /// Returns the scans to start now. Each ends in [`Self::continue_scan`] or [`Self::page_failed`].
    pub(crate) fn begin(&mut self) -> Vec<Scan> {
        let mut scans = Vec::new();
        if self.given_up {
            return scans;
        }
        if !self.dated.is_empty() {
            scans = self.begin_dated();
        }
        if scans.is_empty() && self.running == 0 {
            scans = self.begin_undated();
        }
        self.running += scans.len();
        scans
    }

    /// Records a page and the wanted objects that were found on it. Returns the scan if it continues.
    pub(crate) fn continue_scan(
        &mut self,
        mut scan: Scan,
        contents: &PageContents,
        taken: &[String],
    ) -> Option<Scan> {
        let found = taken.iter().filter(|id| self.wanted.remove(*id)).count();
        scan.pages += 1;
        scan.found += found;
        scan.empty_pages_left = (scan.empty_pages_left + found).min(MAX_EMPTY_PAGES + 1) - 1;
        let met_another = contents
            .objects
            .iter()
            .any(|(id, _)| self.start_ids.contains(id));
        if scan.is_from_newest && !contents.has_more {
            // The scan read the whole list: objects that are still wanted are not in it.
            self.give_up();
        }
        let mut next = None;
        if scan.empty_pages_left > 0
            && contents.has_more
            && !self.given_up
            && !self.wanted.is_empty()
        {
            if scan.is_dated {
                next = self.next_jump(&mut scan, contents);
            } else if !met_another {
                next = contents
                    .objects
                    .last()
                    .map(|(id, _)| Start::After(id.clone()));
            }
        }
        match next {
            Some(start) => Some(Scan { start, ..scan }),
            None => {
                self.end(&scan);
                None
            }
        }
    }

    /// Ends a scan whose page could not be read.
    pub(crate) fn page_failed(&mut self, mut scan: Scan) {
        scan.pages += 1;
        self.end(&scan);
    }

    /// Starts no more scans and ends the running ones at their next page.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    fn end(&mut self, scan: &Scan) {
        self.running -= 1;
        self.losses += scan.pages.saturating_sub(scan.found);
    }

    /// Returns how many scans may start without risking more than the allowance.
    fn scans_allowed(&self, wanted: usize) -> usize {
        (wanted / WANTED_PER_SCAN)
            .clamp(1, self.max_scans)
            .min(self.allowance.saturating_sub(self.losses))
    }

    /// Divides all objects of known age among the scans.
    fn begin_dated(&mut self) -> Vec<Scan> {
        let mut dated = std::mem::take(&mut self.dated);
        dated.retain(|(_, id)| self.wanted.contains(id));
        let scans = self.scans_allowed(dated.len());
        if dated.len() < MIN_DATED || scans == 0 {
            return Vec::new();
        }
        dated
            .chunks(dated.len().div_ceil(scans))
            .map(|part| Scan {
                dated: part.iter().cloned().collect(),
                is_dated: true,
                ..Scan::new(Start::At(part[0].0))
            })
            .collect()
    }

    /// Returns a scan from the newest object; after that, or in addition if very many objects are wanted, scans that
    /// start at wanted objects, because others are likely to be near.
    fn begin_undated(&mut self) -> Vec<Scan> {
        self.undated.retain(|id| self.wanted.contains(id));
        if self.undated.len() < MIN_UNDATED {
            return Vec::new();
        }
        let mut starts = Vec::new();
        for _ in 0..self.scans_allowed(self.undated.len()) {
            if !std::mem::replace(&mut self.begun_at_newest, true) {
                starts.push(Start::Newest);
            } else if let Some(start_id) = self.pick_start() {
                starts.push(Start::After(start_id));
            }
        }
        starts.into_iter().map(Scan::new).collect()
    }

    /// Chooses a wanted object to start after, never the same twice. The choices are spread over the caller's order.
    fn pick_start(&mut self) -> Option<String> {
        const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;
        self.picked += 1;
        let place = (self.picked as f64 * GOLDEN_RATIO).fract() * self.undated.len() as f64;
        let start_id = self.undated.get(place as usize)?.clone();
        self.start_ids.insert(start_id.clone()).then_some(start_id)
    }

    /// Returns the scan's next object for which a page is worth more than one retrieval, judged by the time between
    /// the first and the last object of the last page.
    fn next_jump(&self, scan: &mut Scan, contents: &PageContents) -> Option<Start> {
        let span = match (contents.objects.first(), contents.objects.last()) {
            (Some((_, newest)), Some((_, oldest))) => newest - oldest,
            _ => return None,
        };
        let mut passed = 0;
        scan.dated.retain(|(_, id)| self.wanted.contains(id));
        // Removes the object that the page started with, if its assumed time was wrong.
        if let Start::At(at) = scan.start {
            scan.dated.retain(|(created, _)| *created < at);
        }
        while let Some((at, _)) = scan.dated.front().cloned() {
            let near = scan
                .dated
                .iter()
                .take_while(|(created, _)| at - created <= span)
                .take(2)
                .count();
            if near > 1 {
                return Some(Start::At(at));
            }
            if passed == scan.next_probe {
                scan.next_probe *= 4;
                return Some(Start::At(at));
            }
            passed += 1;
            scan.dated.pop_front();
        }
        None
    }
}

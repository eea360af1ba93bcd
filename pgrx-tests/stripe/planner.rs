//! Which pages the planner requests, for generated lists.

use std::collections::{BTreeSet, HashMap, VecDeque};

use proptest::prelude::*;

use super::super::planner::{PageContents, Planner, Scan, Start, allowance};

/// Objects per page.
const PAGE: usize = 100;

/// A list of objects, the newest first, and which of them are wanted.
#[derive(Clone, Debug, Default)]
struct World {
    /// Times of creation.
    list: Vec<i64>,
    /// The indexes of the wanted objects in the list, in the caller's order, with the time of creation if the caller
    /// knows it.
    wanted: Vec<(usize, Option<i64>)>,
    /// How many further objects are wanted that do not exist.
    missing: usize,
}

/// The requests that it takes to find everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    pages: usize,
    singles: usize,
    wanted: usize,
}

impl Cost {
    fn requests(self) -> usize {
        self.pages + self.singles
    }
}

fn id(place: usize) -> String {
    format!("o{place}")
}

impl World {
    /// `total` objects, one per minute, of which those are wanted for which `is_wanted` returns true.
    fn of(total: usize, is_wanted: impl Fn(usize) -> bool) -> Self {
        let list = (0..total).map(created).collect();
        let wanted = (0..total).filter(|place| is_wanted(*place));
        Self {
            list,
            wanted: wanted.map(|place| (place, None)).collect(),
            missing: 0,
        }
    }

    fn dated(mut self) -> Self {
        for (place, known) in &mut self.wanted {
            *known = Some(self.list[*place]);
        }
        self
    }

    fn page(&self, start: &Start) -> Option<PageContents> {
        let from = match start {
            Start::Newest => 0,
            Start::At(at) => self.list.partition_point(|created| created > at),
            Start::After(id) => id.strip_prefix('o')?.parse::<usize>().ok()? + 1,
        };
        let to = (from + PAGE).min(self.list.len());
        Some(PageContents {
            objects: (from..to)
                .map(|place| (id(place), self.list[place]))
                .collect(),
            has_more: to < self.list.len(),
        })
    }

    /// Executes the plan with `max_scans` threads; `shuffle` chooses the scan whose page is read next.
    fn cost(&self, max_scans: usize, mut shuffle: impl FnMut(usize) -> usize) -> Cost {
        let mut open: BTreeSet<String> = self.wanted.iter().map(|(place, _)| id(*place)).collect();
        let missing = (0..self.missing).map(|n| (format!("missing{n}"), None));
        let wanted = self.wanted.iter().map(|(place, at)| (id(*place), *at));
        let mut planner = Planner::new(wanted.chain(missing), max_scans);
        let mut pages = 0;
        let mut scans: VecDeque<Scan> = planner.begin().into();
        assert!(scans.len() <= max_scans);
        while !scans.is_empty() {
            let chosen = shuffle(scans.len().min(max_scans));
            let scan = scans.remove(chosen).expect("one of those under way");
            pages += 1;
            match self.page(scan.start()) {
                Some(contents) => {
                    let taken: Vec<String> = contents
                        .objects
                        .iter()
                        .filter(|(id, _)| open.remove(id))
                        .map(|(id, _)| id.clone())
                        .collect();
                    scans.extend(planner.continue_scan(scan, &contents, &taken));
                }
                None => planner.page_failed(scan),
            }
            scans.extend(planner.begin());
        }
        assert!(planner.is_idle(), "no scan is left behind");
        Cost {
            pages,
            singles: open.len() + self.missing,
            wanted: self.wanted.len() + self.missing,
        }
    }
}

/// One object per minute, the newest first.
fn created(place: usize) -> i64 {
    1_700_000_000 - 60 * i64::try_from(place).expect("a small number")
}

fn one_after_another(_: usize) -> usize {
    0
}

#[test]
fn ten_thousand_of_unknown_age_cost_about_a_hundred_pages() {
    let cost = World::of(10_000, |_| true).cost(8, one_after_another);
    assert!((100..=110).contains(&cost.requests()), "{cost:?}");
}

#[test]
fn a_thousand_cost_ten_pages() {
    let cost = World::of(1_000, |_| true).cost(8, one_after_another);
    assert_eq!((cost.pages, cost.singles), (10, 0));
}

#[test]
fn a_thousand_behind_newer_ones_cost_at_most_thirty_requests() {
    let cost = World::of(4_000, |place| place >= 3_000).cost(8, one_after_another);
    assert!(cost.requests() <= 30, "{cost:?}");
}

#[test]
fn a_cluster_of_a_hundred_costs_two_pages_or_one_with_known_age() {
    let cluster = World::of(100_000, |place| (70..170).contains(&place));
    assert_eq!(cluster.cost(8, one_after_another).requests(), 2);
    let far = World::of(100_000, |place| (50_070..50_170).contains(&place)).dated();
    assert_eq!(far.cost(8, one_after_another).requests(), 1);
}

#[test]
fn scattered_ones_of_known_age_cost_one_request_each() {
    let cost = World::of(100_000, |place| place % 1_000 == 500)
        .dated()
        .cost(8, one_after_another);
    assert_eq!(cost.requests(), 100);
    assert!(cost.pages <= 4, "{cost:?}");
}

#[test]
fn scattered_ones_of_unknown_age_cost_one_empty_page() {
    let cost = World::of(100_000, |place| place % 1_000 == 500).cost(8, one_after_another);
    assert_eq!((cost.pages, cost.singles), (1, 100));
}

#[test]
fn a_scan_continues_for_three_empty_pages_after_full_ones() {
    let cost = World::of(100_000, |place| place < 300 || place % 20_000 == 19_999)
        .cost(8, one_after_another);
    assert_eq!((cost.pages, cost.singles), (3 + 3, 5));
}

#[test]
fn a_scan_of_the_whole_list_ends_the_search() {
    let world = World {
        missing: 50,
        ..World::of(950, |_| true)
    };
    let cost = world.cost(8, one_after_another);
    assert_eq!((cost.pages, cost.singles), (10, 50));
}

#[test]
fn wrong_times_do_not_request_a_page_twice() {
    let mut world = World::of(1_000, |place| (10..40).contains(&place) || place >= 998).dated();
    for (place, known) in &mut world.wanted {
        if *place >= 998 {
            *known = Some(created(10));
        }
    }
    let cost = world.cost(8, one_after_another);
    assert_eq!((cost.pages, cost.singles), (1, 2));
}

#[test]
fn a_few_of_unknown_age_are_retrieved() {
    let cost = World::of(9, |_| true).cost(8, one_after_another);
    assert_eq!((cost.pages, cost.singles), (0, 9));
}

/// Lists with changing density and wanted objects in clusters and alone, in any order, with known, unknown or wrong
/// times.
fn worlds() -> impl Strategy<Value = World> {
    let segment = (0_usize..400, 1_i64..4_000, 0_u32..=100);
    let hints = (0_u32..=100, 0_u32..=100);
    let segments = prop::collection::vec(segment, 0..8);
    (segments, hints, 0_usize..60, any::<u64>()).prop_map(|(segments, hints, missing, seed)| {
        let mut random = seed;
        let mut below = move |limit: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % limit.max(1)
        };
        let mut world = World {
            missing,
            ..World::default()
        };
        let mut now = 1_700_000_000;
        for (length, gap, share) in segments {
            for _ in 0..length {
                now -= i64::try_from(below(gap.unsigned_abs())).expect("small");
                if below(100) < u64::from(share) {
                    let wrong = below(100) >= u64::from(hints.1);
                    let shift = i64::try_from(below(20_000)).expect("small") - 10_000;
                    let hint = now + if wrong { shift } else { 0 };
                    let known = below(100) < u64::from(hints.0);
                    world.wanted.push((world.list.len(), known.then_some(hint)));
                }
                world.list.push(now);
            }
        }
        for place in (1..world.wanted.len()).rev() {
            let other = usize::try_from(below(place as u64 + 1)).expect("small");
            world.wanted.swap(place, other);
        }
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2_000)
    })]

    #[test]
    fn requests_never_exceed_one_each_plus_the_allowance(
        world in worlds(),
        max_scans in 1_usize..16,
        turns in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let mut turn = turns.iter().cycle();
        let cost = world.cost(max_scans, |scans| turn.next().expect("it cycles").index(scans));
        prop_assert!(
            cost.requests() <= cost.wanted + allowance(cost.wanted),
            "{cost:?}"
        );
    }
}

#[test]
fn the_allowance_is_one_in_a_hundred_and_at_least_one() {
    let of: HashMap<usize, usize> = [0, 10, 199, 200, 10_000]
        .map(|wanted| (wanted, allowance(wanted)))
        .into();
    assert_eq!(
        of,
        HashMap::from([(0, 1), (10, 1), (199, 1), (200, 2), (10_000, 100)])
    );
}

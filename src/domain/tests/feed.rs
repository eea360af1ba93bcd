//! The feed misses no event, whenever reading breaks off and however late the event is listed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::domain::feed::{FIRST_LOOK, FeedRead, KEPT, Mark, OVERLAP, Place, Request};

const PAGE: usize = 3;
const START: i64 = 1_800_000_000;

/// An event: when it happened, and how much later Stripe lists it.
#[derive(Clone, Debug)]
struct Listed {
    created: i64,
    delay: i64,
}

/// Returns Stripe's list at a time, the newest first, events of the same second in any order.
fn listed(events: &[Listed], now: i64) -> Vec<Mark> {
    let mut marks: Vec<Mark> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.created + event.delay <= now && event.created > now - KEPT)
        .map(|(n, event)| Mark {
            id: format!("evt_{}", (n * 7919) % 1009),
            created: event.created,
        })
        .collect();
    marks.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    marks
}

/// Returns a page as Stripe does; `None` if Stripe does not have the event.
fn page(all: &[Mark], request: &Request) -> Option<(Vec<Mark>, bool)> {
    match request {
        Request::After(event) => {
            let end = all.iter().position(|mark| mark.id == *event)?;
            let start = end.saturating_sub(PAGE);
            Some((all[start..end].to_vec(), start > 0))
        }
        Request::Before { event, since } => {
            let start = match event {
                Some(event) => all.iter().position(|mark| mark.id == *event)? + 1,
                None => 0,
            };
            let rest: Vec<Mark> = all[start..]
                .iter()
                .filter(|mark| mark.created >= *since)
                .cloned()
                .collect();
            Some((rest.iter().take(PAGE).cloned().collect(), rest.len() > PAGE))
        }
    }
}

/// Reads to the end, or until `breaks_after` pages. Returns the number of pages read.
fn read(
    place: &mut Place,
    events: &[Listed],
    now: i64,
    breaks_after: Option<usize>,
    seen: &mut BTreeSet<String>,
) -> usize {
    let all = listed(events, now);
    let former = place.clone();
    let mut read = FeedRead::from(place.clone(), now);
    let mut pages = 0;
    while let Some(request) = read.next() {
        if breaks_after == Some(pages) {
            break;
        }
        pages += 1;
        match page(&all, &request) {
            Some((marks, has_more)) => {
                seen.extend(marks.iter().map(|mark| mark.id.clone()));
                read.take(&marks, has_more, now);
            }
            None => read.event_is_gone(now),
        }
        *place = read.place_to_keep(&former);
        assert!(pages < 2000, "it comes to an end");
    }
    pages
}

fn events() -> impl Strategy<Value = Vec<Listed>> {
    // Few seconds, so that many events share one; delays of up to ten minutes.
    prop::collection::vec((0..4000_i64, 0..600_i64), 0..60).prop_map(|raw| {
        raw.into_iter()
            .map(|(at, delay)| Listed {
                created: START + at / 7 * 7,
                delay,
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn every_event_is_read_eventually(
        events in events(),
        sweeps in prop::collection::vec((1..1200_i64, prop::option::of(0..4_usize)), 0..12),
    ) {
        let mut place = Place::default();
        let mut seen = BTreeSet::new();
        let mut now = START;
        for (pause, breaks_after) in sweeps {
            now += pause;
            read(&mut place, &events, now, breaks_after, &mut seen);
        }
        // The last reading is complete, after all events have been listed.
        now = now.max(START + 4000 + 600);
        read(&mut place, &events, now, None, &mut seen);
        let all: BTreeSet<String> = listed(&events, now).into_iter().map(|mark| mark.id).collect();
        prop_assert_eq!(seen, all);
    }
}

fn burst(count: i64, at: i64) -> Vec<Listed> {
    (0..count)
        .map(|n| Listed {
            created: at + n,
            delay: 0,
        })
        .collect()
}

#[test]
fn without_new_events_one_page_is_read() {
    let events = burst(100, START);
    let mut place = Place::default();
    let mut seen = BTreeSet::new();
    let mut now = START + 100;
    assert!(read(&mut place, &events, now, None, &mut seen) > 30);
    // Recent events are read again until they are older than the overlap.
    now += OVERLAP;
    read(&mut place, &events, now, None, &mut seen);
    for _ in 0..3 {
        now += OVERLAP;
        assert_eq!(read(&mut place, &events, now, None, &mut seen), 1);
    }
    // This also holds for months, after Stripe has deleted the last event.
    for _ in 0..90 {
        now += 24 * 60 * 60;
        assert!(read(&mut place, &events, now, None, &mut seen) <= 2);
    }
}

#[test]
fn an_interrupted_reading_continues_at_its_page() {
    let events = burst(300, START);
    let mut place = Place::default();
    let mut seen = BTreeSet::new();
    let now = START + 300 + OVERLAP;
    assert_eq!(read(&mut place, &events, now, Some(60), &mut seen), 60);
    assert_eq!(seen.len(), 180);
    // One page forward, and the rest of the backlog.
    assert_eq!(read(&mut place, &events, now, None, &mut seen), 41);
    assert_eq!(seen.len(), 300);
}

#[test]
fn a_gap_longer_than_stripe_keeps_events_is_reported() {
    let place = Place {
        read_at: Some(START),
        ..Place::default()
    };
    let now = START + KEPT + 10 * 24 * 60 * 60;
    let gap = FeedRead::from(place.clone(), now)
        .gap()
        .expect("there is one");
    assert_eq!(gap.since, START - OVERLAP);
    assert!(gap.until > START + 9 * 24 * 60 * 60 && gap.until < now - KEPT + 2 * 60 * 60);
    assert_eq!(FeedRead::from(place, START + FIRST_LOOK).gap(), None);
}

#[test]
fn after_a_time_with_the_key_of_another_account_all_that_stripe_has_is_read() {
    let mark = |id: &str, created| Mark {
        id: id.to_owned(),
        created,
    };
    let former = Place {
        read_at: Some(START - 60),
        anchor: Some(mark("evt_own", START - 7200)),
        ..Place::default()
    };
    // That account has events, or none.
    for of_other in [vec![mark("evt_other", START - 3600)], Vec::new()] {
        let mut read = FeedRead::from(former.clone(), START);
        read.event_is_gone(START);
        read.take(&of_other, false, START);
        let mut place = read.place_to_keep(&former);
        assert_eq!(place.read_at, Some(START));

        // Another page of the other account.
        let now = START + OVERLAP;
        let mut read = FeedRead::from(place.clone(), now);
        read.take(&[], false, now);
        place = read.place_to_keep(&place);

        let now = now + 10 * 24 * 60 * 60;
        let mut read = FeedRead::from(place.clone(), now);
        if !of_other.is_empty() {
            assert_eq!(read.next(), Some(Request::After("evt_other".to_owned())));
            read.event_is_gone(now);
        }
        let all = Request::Before {
            event: None,
            since: now - KEPT,
        };
        assert_eq!(read.next(), Some(all));
        read.take(&[mark("evt_own_2", now - 7200)], false, now);
        place = read.place_to_keep(&place);
        let read = FeedRead::from(place, now + OVERLAP);
        assert_eq!(read.next(), Some(Request::After("evt_own_2".to_owned())));
    }
}

//! No event is missed, whatever breaks and however late it comes.

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

/// Stripe's list at a time: the newest first, and of one second in any order.
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

/// A page as Stripe gives it; `None` where it does not know the event.
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

/// Reads until the end, or until `breaks_after` pages; answers with how many pages it took.
fn read(
    place: &mut Place,
    events: &[Listed],
    now: i64,
    breaks_after: Option<usize>,
    seen: &mut BTreeSet<String>,
) -> usize {
    let all = listed(events, now);
    let former = place.clone();
    let mut course = FeedRead::from(place.clone(), now);
    let mut pages = 0;
    while let Some(request) = course.next() {
        if breaks_after == Some(pages) {
            break;
        }
        pages += 1;
        match page(&all, &request) {
            Some((marks, has_more)) => {
                seen.extend(marks.iter().map(|mark| mark.id.clone()));
                course.take(&marks, has_more, now);
            }
            None => course.event_is_gone(now),
        }
        *place = course.place_to_keep(&former);
        assert!(pages < 2000, "it comes to an end");
    }
    pages
}

fn events() -> impl Strategy<Value = Vec<Listed>> {
    // Few seconds, so that many are shared; delays up to ten minutes.
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
    fn every_event_is_read_in_the_end(
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
        // Then all goes well, once everything has been listed.
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
fn with_nothing_new_there_is_one_page() {
    let events = burst(100, START);
    let mut place = Place::default();
    let mut seen = BTreeSet::new();
    let mut now = START + 100;
    assert!(read(&mut place, &events, now, None, &mut seen) > 30);
    // Young events are read again once they are certain.
    now += OVERLAP;
    read(&mut place, &events, now, None, &mut seen);
    for _ in 0..3 {
        now += OVERLAP;
        assert_eq!(read(&mut place, &events, now, None, &mut seen), 1);
    }
    // For months on end, even when the last event is gone.
    for _ in 0..90 {
        now += 24 * 60 * 60;
        assert!(read(&mut place, &events, now, None, &mut seen) <= 2);
    }
}

#[test]
fn a_burst_that_breaks_goes_on_where_it_broke() {
    let events = burst(300, START);
    let mut place = Place::default();
    let mut seen = BTreeSet::new();
    let now = START + 300 + OVERLAP;
    assert_eq!(read(&mut place, &events, now, Some(60), &mut seen), 60);
    assert_eq!(seen.len(), 180);
    // One page forward, and what was left.
    assert_eq!(read(&mut place, &events, now, None, &mut seen), 41);
    assert_eq!(seen.len(), 300);
}

#[test]
fn what_nobody_read_for_longer_than_stripe_keeps_it_is_told() {
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

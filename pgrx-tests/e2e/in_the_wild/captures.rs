//! Authorisations: captured in part, in several parts, or days later.

use stripe_double::{Checkout, Intent, Key, Purchase, Refund};

use super::case::{Case, Entry, Scene, Unit};
use crate::harness::sender::now;

/// Authorises 100 for invoice 1, which stores the intent.
fn authorise(scene: &mut Scene) -> Purchase {
    let held = scene
        .stripe()
        .intent(Intent::new(10_000, "usd"))
        .authorise();
    scene.invoice(1, "Sent 100", None, Some(&held.intent_id()));
    held
}

fn before_basil(scene: &mut Scene) -> Purchase {
    scene.use_api_version("2024-06-20");
    authorise(scene)
}

const PARTIAL_60: &[&str] = &["Partial 60.00 40.00", "Paid 60.00 0.00"];

#[test]
fn what_was_released_is_not_refunded() {
    Case::new(
        "60 of 100 authorised is captured",
        |scene| drop(authorise(scene).capture(6_000)),
        PARTIAL_60,
    )
    .check();
    Case::new(
        "60 of 100 is captured, with an API version before 2025-03-31, which calls the rest refunded",
        |scene| drop(before_basil(scene).capture(6_000)),
        PARTIAL_60,
    )
    .neighbour()
    .check();
    Case::new(
        "60 of 100 is captured, and only the charge calls the rest refunded",
        |scene| {
            let paid = authorise(scene).capture(6_000);
            let charge = paid.charge_id();
            scene.stripe().set(&charge, "amount_refunded", 4_000);
        },
        PARTIAL_60,
    )
    .neighbour()
    .check();
    Case::new(
        "60 of 100 is captured by other software, with an API version before 2025-03-31",
        |scene| {
            scene.stripe().set_api_version("2024-06-20");
            authorise(scene).capture(6_000);
        },
        PARTIAL_60,
    )
    .neighbour()
    .check();
    Case::new(
        "60 of 100 is captured of a charge without an intent, with an API version before 2025-03-31",
        |scene| {
            scene.use_api_version("2024-06-20");
            let held = scene.stripe().authorise_charge(Intent::new(10_000, "usd"));
            let paid = held.capture(6_000);
            scene.invoice(1, "Sent 100", None, Some(&paid.charge_id()));
        },
        PARTIAL_60,
    )
    .neighbour()
    .check();
}

#[test]
fn a_refund_beside_a_release_counts() {
    const PARTIAL_50: &[&str] = &["Partial 50.00 50.00", "Paid 60.00 0.00"];
    Case::new(
        "60 of 100 is captured, then 10 refunded",
        |scene| drop(authorise(scene).capture(6_000).refund(Refund::of(1_000))),
        PARTIAL_50,
    )
    .issues(&["partially_refunded"])
    .check();
    Case::new(
        "60 of 100 is captured, then 10 refunded, with an API version before 2025-03-31",
        |scene| drop(before_basil(scene).capture(6_000).refund(Refund::of(1_000))),
        PARTIAL_50,
    )
    .issues(&["partially_refunded"])
    .neighbour()
    .check();
    Case::new(
        "60 of 100 is captured, then 40 refunded: as much as was released",
        |scene| drop(authorise(scene).capture(6_000).refund(Refund::of(4_000))),
        &["Partial 20.00 80.00", "Paid 60.00 0.00"],
    )
    .issues(&["partially_refunded"])
    .neighbour()
    .check();
    Case::new(
        "60 of 100 is captured, then all of it refunded, with an API version before 2025-03-31",
        |scene| drop(before_basil(scene).capture(6_000).refund(Refund::whole())),
        &["Sent 0.00 100.00", "Refunded 60.00 0.00"],
    )
    .issues(&["refunded"])
    .neighbour()
    .check();
}

const DAY: i64 = 24 * 3600;

/// Lets the books only have rows and invoices with the day of this time.
fn must_be_dated(scene: &mut Scene, at: i64) {
    scene.shop.execute(&format!(
        "alter table payments add check (transaction_date = (to_timestamp({at}) at time zone 'UTC')::date);
        alter table invoices add check ((paid_date at time zone 'UTC')::date = (to_timestamp({at}) at time zone 'UTC')::date)"
    ));
}

#[test]
fn a_payment_is_dated_by_when_the_money_came() {
    const PAID: &[&str] = &["Paid 100.00 0.00", "Paid 100.00 0.00"];
    Case::new(
        "authorised six days ago, captured two days ago: has the date of two days ago",
        |scene| {
            let intent = Intent::new(10_000, "usd").created(now() - 6 * DAY);
            let held = scene
                .stripe()
                .intent(intent)
                .at(now() - 6 * DAY)
                .authorise();
            let paid = held.at(now() - 2 * DAY).capture(10_000);
            scene.invoice(1, "Sent 100", None, Some(&paid.intent_id()));
            must_be_dated(scene, now() - 2 * DAY);
        },
        PAID,
    )
    // Not by the list of the last day, in which it is not.
    .entries(&[Entry::Button, Entry::DueCheck, Entry::Webhook])
    .check();
    Case::new(
        "a bank debit that took four days: has the date on which it succeeded",
        |scene| {
            let sale = Checkout::new(10_000, "usd").created(now() - 6 * DAY);
            let sale = scene.stripe().checkout(sale).at(now() - 6 * DAY).process();
            let paid = sale.at(now() - 2 * DAY).succeed();
            scene.invoice(1, "Sent 100", Some(&paid.session_id()), None);
            must_be_dated(scene, now() - 2 * DAY);
        },
        PAID,
    )
    .entries(&[Entry::Button, Entry::DueCheck, Entry::Webhook])
    .neighbour()
    .check();
    Case::new(
        "a charge without an intent that was captured after four days: has the date of the capture",
        |scene| {
            let card = Intent::new(10_000, "usd").created(now() - 6 * DAY);
            let held = scene.stripe().authorise_charge(card);
            let paid = held.at(now() - 2 * DAY).capture(10_000);
            scene.invoice(1, "Sent 100", None, Some(&paid.charge_id()));
            must_be_dated(scene, now() - 2 * DAY);
        },
        PAID,
    )
    .entries(&[Entry::Button, Entry::DueCheck, Entry::Webhook])
    .neighbour()
    .check();
    Case::new(
        "a key that may not read balance transactions: payments have the charge's date",
        |scene| {
            scene.use_key(Key::new("rk_test_1").without("rak_balance_transaction_source_read"));
            let paid = scene.stripe().checkout(Checkout::new(10_000, "usd")).pay();
            let lone = scene.stripe().intent(Intent::new(5_000, "usd")).pay();
            let charge = scene.stripe().charge(Intent::new(2_500, "usd"));
            scene.invoice(1, "Sent 100", Some(&paid.session_id()), None);
            scene.invoice(2, "Sent 50", None, Some(&lone.intent_id()));
            scene.invoice(3, "Sent 25", None, Some(&charge.charge_id()));
        },
        &[
            "Paid 100.00 0.00",
            "Paid 50.00 0.00",
            "Paid 25.00 0.00",
            "Paid 25.00 0.00",
            "Paid 50.00 0.00",
            "Paid 100.00 0.00",
        ],
    )
    .neighbour()
    .check();
}

#[test]
fn a_part_that_was_captured_counts_before_the_rest() {
    Case::new(
        "70 of 100 is captured, and 30 can still be captured",
        |scene| drop(authorise(scene).capture_part(7_000)),
        &["Partial 70.00 30.00", "Paid 70.00 0.00"],
    )
    .check();
    Case::new(
        "70 of 100 is captured in two parts, and 30 can still be captured",
        |scene| drop(authorise(scene).capture_part(3_000).capture_part(4_000)),
        &["Partial 70.00 30.00", "Paid 70.00 0.00"],
    )
    .neighbour()
    .check();
    Case::new(
        "70 of 100 is captured, and then the other 30",
        |scene| drop(authorise(scene).capture_part(7_000).capture(3_000)),
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .neighbour()
    .check();
    Case::new(
        "70 of 100 is captured, and 10 of the total is a gratuity",
        |scene| {
            let tipped = Intent::new(10_000, "usd").metadata("gratuity_amount", "10");
            let held = scene.stripe().intent(tipped).authorise();
            scene.invoice(1, "Sent 90", None, Some(&held.intent_id()));
            held.capture_part(7_000);
        },
        &["Partial 60.00 30.00", "Paid 60.00 10.00"],
    )
    .neighbour()
    .check();
}

#[test]
fn a_part_that_was_captured_stays_when_the_rest_is_released() {
    Case::new(
        "70 of 100 is captured, and the authorisation of the rest is canceled",
        |scene| drop(authorise(scene).capture_part(7_000).cancel()),
        &["Partial 70.00 30.00", "Paid 70.00 0.00"],
    )
    .check();
    Case::new(
        "70 of 100 is captured, the rest canceled, and 20 of the 70 refunded",
        |scene| {
            let kept = authorise(scene).capture_part(7_000).cancel();
            kept.refund(Refund::of(2_000));
        },
        &["Partial 50.00 50.00", "Paid 70.00 0.00"],
    )
    .issues(&["partially_refunded"])
    .neighbour()
    .check();
    Case::new(
        "70 of 100 of a session is captured, and the rest canceled",
        |scene| {
            let held = scene.stripe().checkout(Checkout::new(10_000, "usd"));
            let held = held.authorise().capture_part(7_000).cancel();
            scene.invoice(1, "Sent 100", Some(&held.session_id()), None);
        },
        &["Partial 70.00 30.00", "Paid 70.00 0.00"],
    )
    .neighbour()
    .check();
}

/// Captures 70, lets that come by one entry point, captures more, and lets that come by another.
fn in_parts(unit: Unit, entry: Entry, then: fn(Purchase), books: &[&str]) {
    for next in Entry::ALL {
        let mut scene = Scene::new(unit);
        let held = authorise(&mut scene).capture_part(7_000);
        scene.enter(entry);
        let place = format!("{entry:?}, then {next:?}, {unit:?}");
        assert_eq!(
            scene.books(),
            ["Partial 70.00 30.00", "Paid 70.00 0.00"],
            "{place}"
        );
        then(held);
        scene.enter(next);
        assert_eq!(scene.books(), books, "{place}");
        assert_eq!(scene.issues(), Vec::<String>::new(), "{place}");
        for again in Entry::ALL {
            scene.enter(again);
            assert_eq!(scene.books(), books, "{place}, and then {again:?}");
        }
        scene.shop.sweep();
        scene.shop.stripe.reset_requests();
        scene.shop.sweep();
        assert_eq!(scene.stripe().count_of("/v1/"), 1, "{place}: a quiet sweep");
    }
}

#[test]
fn the_row_follows_when_the_rest_comes() {
    let whole = &["Paid 100.00 0.00", "Paid 100.00 0.00"];
    in_parts(
        Unit::Major,
        Entry::Feed,
        |held| drop(held.capture(3_000)),
        whole,
    );
    in_parts(
        Unit::Minor,
        Entry::Button,
        |held| drop(held.capture(3_000)),
        whole,
    );
    in_parts(
        Unit::Major,
        Entry::Webhook,
        |held| drop(held.capture(3_000)),
        whole,
    );
}

#[test]
fn the_row_follows_each_part() {
    let more = &["Partial 90.00 10.00", "Paid 90.00 0.00"];
    in_parts(
        Unit::Major,
        Entry::Feed,
        |held| drop(held.capture_part(2_000)),
        more,
    );
}

#[test]
fn the_row_follows_once_nothing_refuses_it() {
    let mut scene = Scene::new(Unit::Major);
    let held = authorise(&mut scene).capture_part(7_000);
    scene.enter(Entry::Feed);
    held.capture(3_000);
    scene
        .shop
        .execute("alter table payments add constraint small check (total_amount < 100)");
    for _ in 0..2 {
        scene.enter(Entry::Feed);
        assert_eq!(scene.books(), ["Partial 70.00 30.00", "Paid 70.00 0.00"]);
        assert_eq!(scene.issues(), ["apply_failed"]);
    }
    scene
        .shop
        .execute("alter table payments drop constraint small");
    scene.enter(Entry::Feed);
    assert_eq!(scene.books(), ["Paid 100.00 0.00", "Paid 100.00 0.00"]);
    assert_eq!(scene.issues(), Vec::<String>::new());
}

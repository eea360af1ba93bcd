//! Each payment counts once and with what stays of it: payments that invoices share, parts that went back or are
//! disputed, rows of attempts and of refunds, rows without ids.

use stripe_double::{Checkout, Dispute, Intent, Refund};

use super::case::{Case, Entry, Scene};

/// Without the due check: the payment is in the books, so nothing is due.
const OF_BOOKED: [Entry; 5] = [
    Entry::Button,
    Entry::Feed,
    Entry::Backfill,
    Entry::Webhook,
    Entry::WebhookReversed,
];

/// Pays this many cents by an intent without a session.
fn pay(scene: &Scene, cents: i64) -> String {
    scene
        .stripe()
        .intent(Intent::new(cents, "usd"))
        .pay()
        .intent_id()
}

#[test]
fn invoices_share_one_payment() {
    Case::new(
        "two invoices have their parts of one payment of 100",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 60", None, Some(&intent));
            scene.invoice(2, "Sent 40", None, Some(&intent));
            scene.payment(1, "Paid 60", None, Some(&intent));
            scene.payment(2, "Paid 40", None, Some(&intent));
        },
        &[
            "Paid 60.00 0.00",
            "Paid 40.00 0.00",
            "Paid 40.00 0.00",
            "Paid 60.00 0.00",
        ],
    )
    .check();
    Case::new(
        "two invoices have equal parts of one payment of 100",
        |scene| {
            let intent = pay(scene, 10_000);
            for number in [1, 2] {
                scene.invoice(number, "Sent 50", None, Some(&intent));
                scene.payment(number, "Paid 50", None, Some(&intent));
            }
            // Equal parts look like one payment that was booked twice.
            scene.shop.sweep();
        },
        &[
            "Paid 50.00 0.00",
            "Paid 50.00 0.00",
            "Paid 50.00 0.00",
            "Paid 50.00 0.00",
        ],
    )
    .check();
}

#[test]
fn a_shared_payment_confirms_the_parts_that_wait_for_it() {
    Case::new(
        "the parts of one payment of 100 are pending",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 60", None, Some(&intent));
            scene.invoice(2, "Sent 40", None, Some(&intent));
            scene.payment(1, "Pending 60", None, Some(&intent));
            scene.payment(2, "Pending 40", None, Some(&intent));
        },
        &[
            "Paid 60.00 0.00",
            "Paid 40.00 0.00",
            "Paid 40.00 0.00",
            "Paid 60.00 0.00",
        ],
    )
    .check();
    Case::new(
        "one part of a payment of 100 is paid, the other pending",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Paid 60", None, Some(&intent));
            scene.invoice(2, "Sent 40", None, Some(&intent));
            scene.payment(1, "Paid 60", None, Some(&intent));
            scene.payment(2, "Pending 40", None, Some(&intent));
        },
        &[
            "Paid 60.00 0.00",
            "Paid 40.00 0.00",
            "Paid 40.00 0.00",
            "Paid 60.00 0.00",
        ],
    )
    .check();
}

#[test]
fn invoices_that_share_a_payment_count_no_more_than_came() {
    Case::new(
        "the parts exceed the payment of 100",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Paid 60", None, Some(&intent));
            scene.invoice(2, "Paid 60", None, Some(&intent));
            scene.payment(1, "Paid 60", None, Some(&intent));
            scene.payment(2, "Paid 60", None, Some(&intent));
        },
        &[
            "Paid 60.00 0.00",
            "Paid 60.00 0.00",
            "Paid 60.00 0.00",
            "Paid 60.00 0.00",
        ],
    )
    .issues(&["duplicate_payment"])
    .check();
}

#[test]
fn a_refund_of_a_shared_payment_is_for_a_person_to_place() {
    Case::new(
        "30 of a shared payment of 100 is refunded",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.stripe().refund(&intent, Refund::of(3_000));
            scene.invoice(1, "Paid 60", None, Some(&intent));
            scene.invoice(2, "Paid 40", None, Some(&intent));
            scene.payment(1, "Paid 60", None, Some(&intent));
            scene.payment(2, "Paid 40", None, Some(&intent));
        },
        &[
            "Paid 60.00 0.00",
            "Paid 40.00 0.00",
            "Paid 40.00 0.00",
            "Paid 60.00 0.00",
        ],
    )
    .issues(&["partially_refunded", "partially_refunded"])
    .entries(&OF_BOOKED)
    .check();
}

#[test]
fn a_lost_dispute_takes_its_own_amount() {
    Case::new(
        "a dispute over 30 of 100 is lost",
        |scene| {
            let intent = pay(scene, 10_000);
            scene
                .stripe()
                .dispute(&intent, Dispute::new("lost").amount(3_000));
            scene.invoice(1, "Sent 100", None, Some(&intent));
        },
        &["Partial 70.00 30.00", "Paid 100.00 0.00"],
    )
    .issues(&["disputed"])
    .check();
    Case::new(
        "four disputes of one payment: lost over 10 and 20, open over 5, won over 40",
        |scene| {
            let intent = pay(scene, 10_000);
            for (status, amount) in [
                ("lost", 1_000),
                ("lost", 2_000),
                ("needs_response", 500),
                ("won", 4_000),
            ] {
                let dispute = Dispute::new(status).amount(amount);
                scene.stripe().dispute(&intent, dispute);
            }
            scene.invoice(1, "Sent 100", None, Some(&intent));
        },
        &["Partial 65.00 35.00", "Paid 100.00 0.00"],
    )
    .issues(&["disputed"])
    .check();
    Case::new(
        "40 of 100 is refunded, and a dispute over the other 60 is lost",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.stripe().refund(&intent, Refund::of(4_000));
            let rest = Dispute::new("lost").amount(6_000);
            scene.stripe().dispute(&intent, rest);
            scene.invoice(1, "Sent 100", None, Some(&intent));
        },
        &["Sent 0.00 100.00", "Disputed 100.00 0.00"],
    )
    .issues(&["disputed", "partially_refunded"])
    .check();
}

#[test]
fn a_dispute_over_a_part_of_a_booked_payment_leaves_its_row_paid() {
    Case::new(
        "a dispute over 30 of 100 is lost after the payment was booked",
        |scene| {
            let intent = pay(scene, 10_000);
            let dispute = Dispute::new("lost").amount(3_000);
            scene.stripe().dispute(&intent, dispute);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "Paid 100", None, Some(&intent));
            // The application's own words for it, before anything is heard of Stripe.
            scene
                .shop
                .execute("update invoices set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0");
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .issues(&["disputed"])
    .entries(&OF_BOOKED)
    .check();
}

/// A payment of which 40 was refunded, its row, and rows of −40 and so on with these ids in the intent's column.
fn refunded_by_rows(scene: &mut Scene, rows: &[(&str, Option<&str>)]) {
    let intent = pay(scene, 10_000);
    scene.stripe().refund(&intent, Refund::of(4_000));
    scene.invoice(1, "Sent 100", None, Some(&intent));
    scene.payment(1, "Paid 100", None, Some(&intent));
    for (row, id) in rows {
        scene.payment(1, row, None, *id);
    }
}

#[test]
fn the_row_of_a_refund_and_the_refund_count_once() {
    let one: [fn(&mut Scene); 2] = [
        |scene| refunded_by_rows(scene, &[("Paid -40", Some("re_1"))]),
        |scene| refunded_by_rows(scene, &[("Paid -40", None)]),
    ];
    for arrange in one {
        Case::new(
            "40 of 100 is refunded, and a row of −40 has the refund's id or none",
            arrange,
            &[
                "Partial 60.00 40.00",
                "Paid -40.00 0.00",
                "Paid 100.00 0.00",
            ],
        )
        .issues(&["partially_refunded"])
        .entries(&OF_BOOKED)
        .check();
    }
    Case::new(
        "40 of 100 is refunded, rows of −10 and −30 have refunds' ids, and a row of −5 has none",
        |scene| {
            refunded_by_rows(
                scene,
                &[
                    ("Paid -10", Some("re_1")),
                    ("Paid -30", Some("re_2")),
                    ("Paid -5", None),
                ],
            );
        },
        &[
            "Partial 55.00 45.00",
            "Paid -30.00 0.00",
            "Paid -10.00 0.00",
            "Paid -5.00 0.00",
            "Paid 100.00 0.00",
        ],
    )
    .issues(&["partially_refunded"])
    .entries(&OF_BOOKED)
    .check();
}

/// A payment over 100 whose fee was 2.90, for an invoice over 100 with rows that name no payment.
fn paid_with_rows_by_hand(scene: &mut Scene, rows: &[&str]) {
    let intent = pay(scene, 10_000);
    scene.invoice(1, "Sent 100", None, Some(&intent));
    for row in rows {
        scene.payment(1, row, None, None);
    }
}

#[test]
fn rows_without_ids_that_may_be_the_payment_keep_it_from_the_books() {
    Case::new(
        "a payment of 100, and a row of 97.10 without an id: what Stripe paid out less its fee",
        |scene| paid_with_rows_by_hand(scene, &["Paid 97.10"]),
        &["Partial 97.10 2.90", "Paid 97.10 0.00"],
    )
    .issues(&["possible_duplicate"])
    .check();
    Case::new(
        "a payment of 100, and rows of 60 and 40 without ids",
        |scene| paid_with_rows_by_hand(scene, &["Paid 60", "Paid 40"]),
        &["Paid 100.00 0.00", "Paid 40.00 0.00", "Paid 60.00 0.00"],
    )
    .issues(&["possible_duplicate"])
    .check();
    Case::new(
        "a payment of 100, and rows of 50 and 47.10 without ids",
        |scene| paid_with_rows_by_hand(scene, &["Paid 50", "Paid 47.10"]),
        &["Partial 97.10 2.90", "Paid 47.10 0.00", "Paid 50.00 0.00"],
    )
    .issues(&["possible_duplicate"])
    .check();
    Case::new(
        "a payment of 100, an invoice over 120, and a row of 20 without an id",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 120", None, Some(&intent));
            scene.payment(1, "Paid 20", None, None);
        },
        &["Paid 120.00 0.00", "Paid 20.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
}

#[test]
fn a_failed_attempt_stays_beside_the_payment() {
    Case::new(
        "one payment has a failed row and a pending row",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "Failed 100", None, Some(&intent));
            scene.payment(1, "Pending 100", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Failed 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
    Case::new(
        "one payment has a failed row and a paid row",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "Failed 100", None, Some(&intent));
            scene.payment(1, "Paid 100", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Failed 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
}

#[test]
fn what_stripe_says_of_this_very_intent_lifts_a_failed_row() {
    Case::new(
        "a failed row alone stores the intent, which has succeeded",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 100", None, None);
            scene.payment(1, "Failed 100", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
    Case::new(
        "failed rows of 90 and 100 store the session, which was paid with 100",
        |scene| {
            let session = scene.stripe().checkout(Checkout::new(10_000, "usd"));
            let session = session.pay().session_id();
            scene.invoice(1, "Sent 100", Some(&session), None);
            scene.payment(1, "Failed 90", Some(&session), None);
            scene.payment(1, "Failed 100", Some(&session), None);
        },
        &["Paid 100.00 0.00", "Failed 90.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
    Case::new(
        "a failed row, and the status column is an enum: pending, succeeded, failed",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "failed 100", None, Some(&intent));
            scene.shop.execute(
                "create type payment_state as enum ('pending', 'succeeded', 'failed');
                alter table payments alter payment_status drop default;
                alter table payments alter payment_status type payment_state
                    using payment_status::payment_state;
                select invoice_sync.adopt_mapping()",
            );
        },
        &["Paid 100.00 0.00", "succeeded 100.00 0.00"],
    )
    .check();
}

#[test]
fn a_row_that_is_partially_refunded_counts_with_what_stays() {
    Case::new(
        "a row of 100 says partially refunded, 30 was refunded, and another payment of 130 pays the rest of 200",
        |scene| {
            let first = pay(scene, 10_000);
            scene.stripe().refund(&first, Refund::of(3_000));
            let second = pay(scene, 13_000);
            scene.invoice(1, "Partial 200", None, Some(&second));
            scene
                .shop
                .execute("update invoices set amount_paid = 0, balance_due = total_amount");
            scene.payment(1, "Partially refunded 100", None, Some(&first));
        },
        &[
            "Paid 200.00 0.00",
            "Partially refunded 100.00 0.00",
            "Paid 130.00 0.00",
        ],
    )
    .issues(&["partially_refunded"])
    .check();
}

#[test]
fn rows_by_the_session_and_by_the_intent_are_one_payment() {
    Case::new(
        "one payment has a row with its session and a row with its intent",
        |scene| {
            let paid = scene.stripe().checkout(Checkout::new(10_000, "usd")).pay();
            scene.invoice(1, "Sent 100", Some(&paid.session_id()), None);
            scene.payment(1, "Paid 100", Some(&paid.session_id()), None);
            scene.payment(1, "Paid 100", None, Some(&paid.intent_id()));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .issues(&["duplicate_payment"])
    .check();
}

#[test]
fn a_refund_beyond_the_gratuity_takes_the_rest_from_the_amount() {
    Case::new(
        "15 is refunded of 110, of which 10 was the gratuity",
        |scene| {
            let sale = Checkout::new(11_000, "usd").metadata("gratuity_amount", "10");
            let paid = scene.stripe().checkout(sale).pay();
            paid.refund(Refund::of(1_500));
            scene.invoice(1, "Sent 100", Some(&paid.session_id()), None);
        },
        &["Partial 95.00 5.00", "Paid 100.00 10.00"],
    )
    .issues(&["partially_refunded"])
    .check();
}

#[test]
fn one_payment_may_be_divided_among_rows() {
    Case::new(
        "one payment of 100 has rows of 60 and 40",
        |scene| {
            let intent = pay(scene, 10_000);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "Paid 60", None, Some(&intent));
            scene.payment(1, "Paid 40", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Paid 40.00 0.00", "Paid 60.00 0.00"],
    )
    .entries(&OF_BOOKED)
    .check();
}

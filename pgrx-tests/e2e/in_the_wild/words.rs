//! Status words: open, paid in part, paid, after paid, refunded, closed; payments that failed or went back in part;
//! and words that nobody named.

use stripe_double::{Intent, Refund};

use super::case::{Case, Entry, Scene, Unit};

/// An intent over 100 that was paid.
fn paid(scene: &Scene) -> String {
    scene
        .stripe()
        .intent(Intent::new(10_000, "usd"))
        .pay()
        .intent_id()
}

fn adopt(scene: &mut Scene) {
    scene.shop.execute("select invoice_sync.adopt_mapping()");
}

#[test]
fn a_refunded_invoice_is_never_raised_by_its_rows() {
    for words in [
        "Refunded",
        "Credited",
        "Charged back",
        "Shipped",
        "Delivered",
        "Fulfilled",
    ] {
        for adopts in [false, true] {
            let mut scene = Scene::new(Unit::Major);
            let intent = paid(&scene);
            scene.stripe().refund(&intent, Refund::whole());
            scene.invoice(1, &format!("{words} 100"), None, Some(&intent));
            scene.payment(1, "Paid 100", None, Some(&intent));
            scene.invoice(2, "Sent 50", None, None);
            scene.invoice(3, "Paid 0", None, None);
            scene.invoice(4, "Cancelled 10", None, None);
            if words != "Refunded" {
                let settled = "update invoices set amount_paid = 100, balance_due = 0 where invoice_number = 'INV-1'";
                scene.shop.execute(settled);
            }
            if adopts {
                adopt(&mut scene);
            }
            let before = scene.shop.dump_of(&["invoices"]);
            // The feed no longer has it, and no id is unbooked: only the tables are looked at.
            scene.stripe().advance_clock(60 * 86_400);
            scene.shop.sweep();
            scene.shop.sweep();
            assert_eq!(scene.shop.dump_of(&["invoices"]), before, "{words}");
            assert_eq!(scene.issues(), [] as [&str; 0], "{words}");
        }
    }
}

#[test]
fn a_refunded_invoice_stays_so_when_stripe_says_the_same() {
    Case::new(
        "the invoice says Refunded, and its payment was refunded in full",
        |scene| {
            let intent = paid(scene);
            scene.stripe().refund(&intent, Refund::whole());
            scene.invoice(1, "Refunded 100", None, Some(&intent));
            scene.payment(1, "Paid 100", None, Some(&intent));
            adopt(scene);
        },
        &["Refunded 100.00 0.00", "Refunded 100.00 0.00"],
    )
    .issues(&["refunded"])
    // A due check does not ask about a payment that is in the books.
    .entries(&[
        Entry::Button,
        Entry::Feed,
        Entry::Backfill,
        Entry::Webhook,
        Entry::WebhookReversed,
    ])
    .check();
}

#[test]
fn what_comes_after_paid_is_kept_and_its_money_booked() {
    Case::new(
        "the invoice says Shipped, and its payment has no row",
        |scene| {
            let intent = paid(scene);
            scene.invoice(1, "Shipped 100", None, Some(&intent));
        },
        &["Shipped 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
}

#[test]
fn a_word_that_nobody_named_is_kept_and_told_of_once() {
    Case::new(
        "two invoices have a status that no setting names",
        |scene| {
            let (one, other) = (paid(scene), paid(scene));
            scene.invoice(1, "Wobbly 100", None, Some(&one));
            scene.invoice(2, "Wobbly 100", None, Some(&other));
        },
        &[
            "Wobbly 100.00 0.00",
            "Wobbly 100.00 0.00",
            "Paid 100.00 0.00",
            "Paid 100.00 0.00",
        ],
    )
    .issues(&["unknown_status"])
    .check();
}

#[test]
fn once_the_word_is_named_the_invoice_follows_and_the_issue_ends() {
    for (setting, expected) in [
        ("invoice_open_words", "Paid 100.00 0.00"),
        ("invoice_closed_words", "Wobbly 100.00 0.00"),
    ] {
        let mut scene = Scene::new(Unit::Major);
        let intent = paid(&scene);
        scene.invoice(1, "Wobbly 100", None, Some(&intent));
        scene.shop.sweep();
        let told = "select concat_ws(' ', kind, object, invoice_id, evidence -> 'settings') from invoice_sync.open_issues";
        assert_eq!(
            scene.shop.texts(told),
            [Some(
                "unknown_status Wobbly [\"invoice_open_words\", \"invoice_after_paid_words\", \"invoice_refunded_words\", \"invoice_closed_words\"]"
                    .to_owned()
            )]
        );
        scene.shop.execute(&format!(
            "update invoice_sync.settings set {setting} = {setting} || array['Wobbly']"
        ));
        scene.shop.sweep();
        assert_eq!(scene.books()[0], expected, "{setting}");
        if setting == "invoice_open_words" {
            assert_eq!(scene.issues(), [] as [&str; 0]);
        }
    }
}

#[test]
fn a_failed_row_becomes_paid_by_stripes_word_about_this_very_payment() {
    Case::new(
        "a failed row, and the invoice stores the intent, which has succeeded",
        |scene| {
            let intent = paid(scene);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "Failed 100", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
    Case::new(
        "a failed row, and the status column has a constraint: pending, succeeded, failed",
        |scene| {
            scene.shop.execute(
                "alter table payments alter payment_status set default 'pending',
                    add check (payment_status in ('pending', 'succeeded', 'failed'))",
            );
            let intent = paid(scene);
            scene.invoice(1, "Sent 100", None, None);
            scene.payment(1, "failed 100", None, Some(&intent));
            adopt(scene);
        },
        &["Paid 100.00 0.00", "succeeded 100.00 0.00"],
    )
    .check();
    Case::new(
        "a failed row and a pending row alone store the intent, which has succeeded",
        |scene| {
            let intent = paid(scene);
            scene.invoice(1, "Sent 100", None, None);
            scene.payment(1, "Failed 100", None, Some(&intent));
            scene.payment(1, "Pending 100", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Failed 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
    Case::new(
        "a failed row of another payment",
        |scene| {
            let failed = scene.stripe().intent(Intent::new(10_000, "usd"));
            let failed = failed.intent_id();
            let intent = paid(scene);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "Failed 100", None, Some(&failed));
        },
        &["Paid 100.00 0.00", "Failed 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
}

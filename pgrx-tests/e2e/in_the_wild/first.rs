//! Amounts, tips, refunds of tips, ways to write a key, and text that no column can hold.

use serde_json::json;
use stripe_double::{Checkout, Intent, Refund};

use super::case::{Case, Entry, Scene};

#[test]
fn a_fraction_that_nobody_can_pay_is_not_owed() {
    Case::new(
        "a total of 2473.2965",
        |scene| {
            scene.shop.execute(
                "alter table invoices alter total_amount type numeric, alter balance_due type numeric",
            );
            let intent = scene.stripe().intent(Intent::new(247_330, "usd")).pay();
            scene.invoice(1, "Sent 2473.2965", None, Some(&intent.intent_id()));
        },
        &["Paid 2473.30 0.00", "Paid 2473.30 0.00"],
    )
    .major_only()
    .check();
}

/// Pays 120 of which 20 is the tip, as a terminal does, and sends the event after the tip was set.
fn tipped(scene: &Scene, intent: Intent) -> String {
    let id = scene.stripe().intent(intent).pay().intent_id();
    let tip = json!({ "tip": { "amount": 2_000 } });
    scene.stripe().set(&id, "amount_details", tip);
    scene.stripe().emit("payment_intent.succeeded", &id);
    id
}

#[test]
fn a_tip_of_a_terminal_is_a_gratuity() {
    Case::new(
        "a payment of 120 with a terminal's tip of 20",
        |scene| {
            let intent = tipped(scene, Intent::new(12_000, "usd"));
            scene.invoice(1, "Sent 100", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Paid 100.00 20.00"],
    )
    .check();
    Case::new(
        "a payment of 120 with a terminal's tip of 20 and a gratuity of 5 in the metadata",
        |scene| {
            let intent = Intent::new(12_000, "usd").metadata("gratuity_amount", "5.00");
            let intent = tipped(scene, intent);
            scene.invoice(1, "Sent 115", None, Some(&intent));
        },
        &["Paid 115.00 0.00", "Paid 115.00 5.00"],
    )
    .check();
}

#[test]
fn a_refund_is_taken_from_the_gratuity_first() {
    Case::new(
        "10 is refunded of 110, of which 10 was the gratuity",
        |scene| {
            let tipped = Checkout::new(11_000, "usd")
                .metadata("gratuity_amount", "10")
                .metadata("invoice_id", Scene::key(1));
            let paid = scene.stripe().checkout(tipped).pay();
            paid.refund(Refund::of(1_000));
            scene.invoice(1, "Sent 100", Some(&paid.session_id()), None);
        },
        &["Paid 100.00 0.00", "Paid 100.00 10.00"],
    )
    .issues(&["partially_refunded"])
    .check();
}

#[test]
fn one_key_may_be_written_in_several_ways() {
    fn sell(scene: &mut Scene, written: String) {
        scene
            .stripe()
            .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", written))
            .pay();
        scene.invoice(1, "Sent 100", None, None);
    }
    let ways: [fn(&mut Scene); 3] = [
        |scene| sell(scene, Scene::key(1).to_uppercase()),
        |scene| sell(scene, Scene::key(1).replace('-', "")),
        |scene| sell(scene, format!("{{{}}}", Scene::key(1))),
    ];
    for way in ways {
        Case::new(
            "the metadata has the invoice's uuid in capitals, without hyphens or in braces",
            way,
            &["Paid 100.00 0.00", "Paid 100.00 0.00"],
        )
        .entries(&Entry::BY_METADATA)
        .check();
    }
}

#[test]
fn what_no_text_can_hold_keeps_no_payment_away() {
    Case::new(
        "metadata and description contain the character U+0000",
        |scene| {
            let sale = Checkout::new(10_000, "usd")
                .metadata("invoice_id", "INV-1")
                .metadata("note", "a\u{0}b")
                .description("a\u{0}b");
            let broken = scene.stripe().checkout(sale).pay();
            let other = Checkout::new(5_000, "usd").metadata("note", "a\u{0}b");
            let other = scene.stripe().checkout(other).pay();
            scene.invoice(1, "Sent 100", Some(&broken.session_id()), None);
            scene.invoice(2, "Sent 50", Some(&other.session_id()), None);
            scene.shop.execute(
                "update invoice_sync.settings
                set payment_values = payment_values || '{\"payment_notes\": {\"stripe\": \"metadata.note\"}}';
                alter table payments add check (payment_notes = U&'a\\fffdb')",
            );
        },
        &[
            "Paid 100.00 0.00",
            "Paid 50.00 0.00",
            "Paid 50.00 0.00",
            "Paid 100.00 0.00",
        ],
    )
    .check();
}

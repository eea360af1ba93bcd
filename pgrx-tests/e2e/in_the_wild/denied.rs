//! Rows that the application wrote when the customer left the checkout, of payments that did not come.

use serde_json::json;
use stripe_double::{Checkout, Intent, Purchase};

use super::case::{Case, Entry, Scene, Unit};

/// Without the due check and the backfill: the row says that the payment is in the books, and a backfill reads payments
/// that were received.
const OF_UNPAID: [Entry; 4] = [
    Entry::Button,
    Entry::Feed,
    Entry::Webhook,
    Entry::WebhookReversed,
];

/// A bank debit of 100 that is under way, for an invoice with this status and a row that says that it was paid.
fn debit(scene: &mut Scene, invoice: &str) -> Purchase {
    let debit = scene.stripe().checkout(Checkout::new(10_000, "usd"));
    let debit = debit.process();
    let (session, intent) = (debit.session_id(), debit.intent_id());
    scene.invoice(1, invoice, Some(&session), None);
    scene.payment(1, "Paid 100", Some(&session), Some(&intent));
    debit
}

#[test]
fn a_row_whose_bank_debit_failed_pays_nothing() {
    Case::new(
        "a row says paid, and its bank debit failed",
        |scene| drop(debit(scene, "Sent 100").fail()),
        &["Sent 0.00 100.00", "Paid 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&OF_UNPAID)
    .check();
    Case::new(
        "invoice and row say paid, and the bank debit failed",
        |scene| drop(debit(scene, "Paid 100").fail()),
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .issues(&["amount_mismatch"])
    .entries(&OF_UNPAID)
    .neighbour()
    .check();
    Case::new(
        "a row says paid, and its bank debit is under way",
        |scene| drop(debit(scene, "Sent 100")),
        &["Sent 0.00 100.00", "Paid 100.00 0.00"],
    )
    .entries(&OF_UNPAID)
    .neighbour()
    .check();
}

#[test]
fn the_row_counts_once_the_bank_debit_came() {
    for entry in OF_UNPAID {
        let mut scene = Scene::new(Unit::Major);
        let debit = debit(&mut scene, "Sent 100");
        for _ in 0..2 {
            scene.enter(Entry::Feed);
            let waits = ["Sent 0.00 100.00", "Paid 100.00 0.00"];
            assert_eq!(scene.books(), waits, "{entry:?}");
        }
        debit.succeed();
        scene.enter(entry);
        let paid = ["Paid 100.00 0.00", "Paid 100.00 0.00"];
        assert_eq!(scene.books(), paid, "{entry:?}");
        assert_eq!(scene.issues(), Vec::<String>::new(), "{entry:?}");
    }
}

#[test]
fn a_person_accepts_a_row_whose_money_came_otherwise() {
    let mut scene = Scene::new(Unit::Major);
    debit(&mut scene, "Paid 100").fail();
    scene.enter(Entry::Feed);
    let issue = "select id::text from invoice_sync.open_issues where kind = 'amount_mismatch'";
    let issue = scene.shop.text(issue).expect("an issue");
    let accept = format!("invoice_sync.resolve_issue({issue}, 'accept_amount', 'by transfer')");
    let done = scene.shop.json(&accept);
    assert_eq!(done["resolved"], true, "{done}");
    for entry in Entry::ALL {
        scene.enter(entry);
        assert_eq!(scene.issues(), Vec::<String>::new(), "{entry:?}");
    }
    assert_eq!(scene.books(), ["Paid 100.00 0.00", "Paid 100.00 0.00"]);
}

#[test]
fn a_row_whose_voucher_can_still_be_paid_is_no_issue() {
    for action in ["oxxo_display_details", "display_bank_transfer_instructions"] {
        for with_session in [false, true] {
            let mut scene = Scene::new(Unit::Major);
            let sale = if with_session {
                scene.stripe().checkout(Checkout::new(10_000, "usd"))
            } else {
                scene.stripe().intent(Intent::new(10_000, "usd"))
            };
            let sale = sale.process();
            let intent = sale.intent_id();
            let instructions = json!({ "type": action, (action): {} });
            scene.stripe().set(&intent, "status", "requires_action");
            scene.stripe().set(&intent, "next_action", instructions);
            scene.invoice(1, "Sent 100", None, Some(&intent));
            scene.payment(1, "Paid 100", None, Some(&intent));
            scene.enter(Entry::Button);
            let waits = ["Sent 0.00 100.00", "Paid 100.00 0.00"];
            assert_eq!(scene.books(), waits, "{action}");
            assert_eq!(scene.issues(), [""; 0], "{action}, session: {with_session}");

            // It expires.
            scene.stripe().set(&intent, "status", "processing");
            sale.fail();
            scene.stripe().set(&intent, "next_action", json!(null));
            scene.enter(Entry::Button);
            assert_eq!(scene.issues(), ["amount_mismatch"], "{action}");
        }
    }
}

#[test]
fn a_debit_that_the_bank_returns_after_it_succeeded_is_told() {
    for with_intent in [false, true] {
        let mut scene = Scene::new(Unit::Major);
        let sale = Intent::new(10_000, "usd").metadata("invoice_id", Scene::key(1));
        let paid = if with_intent {
            scene.stripe().intent(sale).pay()
        } else {
            scene.stripe().charge(sale)
        };
        scene.invoice(1, "Sent 100", None, None);
        scene.enter(Entry::Feed);
        let booked = ["Paid 100.00 0.00", "Paid 100.00 0.00"];
        assert_eq!(scene.books(), booked);

        let charge = paid.charge_id();
        scene.stripe().set(&charge, "status", "failed");
        scene.stripe().set(&charge, "paid", false);
        scene
            .stripe()
            .set(&charge, "failure_balance_transaction", "txn_1");
        if with_intent {
            let intent = paid.intent_id();
            scene
                .stripe()
                .set(&intent, "status", "requires_payment_method");
            scene.stripe().set(&intent, "amount_received", 0);
        }
        for _ in 0..2 {
            scene.enter(Entry::Button);
            assert_eq!(scene.books(), booked, "nothing is lowered");
            assert_eq!(scene.issues(), ["amount_mismatch"], "{with_intent}");
        }
    }
}

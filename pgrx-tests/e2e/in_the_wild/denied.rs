//! Rows that the application wrote when the customer left the checkout, of payments that did not come.

use stripe_double::{Checkout, Purchase};

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

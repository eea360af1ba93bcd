//! Invoices that store the payment link that the customer got. Its sessions are made when somebody opens it, and name it.

use stripe_double::Checkout;

use super::case::{Case, Entry, Scene, Unit};

const INVOICE_1: &str = "7d8e6b50-00a0-4000-8000-000000000001";
const LINK: &str = "plink_1MoC3ULkdIwHu7ixZjtGpVl2";

/// A session that somebody opens by the link.
fn opened() -> Checkout {
    Checkout::new(10_000, "usd").payment_link(LINK)
}

/// By the doors that bring a payment by itself: the button and what is due ask about stored ids, and there is none.
#[test]
fn a_payment_by_the_link_that_an_invoice_stores_is_for_it() {
    Case::new(
        "the invoice stores the payment link that the customer pays by",
        |scene| {
            scene.invoice(1, "Sent 100", Some(LINK), None);
            scene.stripe().checkout(opened()).pay();
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "the invoice stores the payment link, and nobody paid by it",
        |scene| {
            scene.invoice(1, "Sent 100", Some(LINK), None);
            scene.stripe().checkout(opened()).expire();
        },
        &["Sent 0.00 100.00"],
    )
    .check();
    Case::new(
        "two customers pay by the payment link that the invoice stores",
        |scene| {
            scene.invoice(1, "Sent 100", Some(LINK), None);
            scene.stripe().checkout(opened()).pay();
            scene.stripe().checkout(opened()).pay();
        },
        &["Paid 200.00 0.00", "Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .issues(&["overpaid"])
    .entries(&Entry::BY_METADATA)
    .check();
}

#[test]
fn a_link_that_several_invoices_store_tells_nothing_of_them() {
    Case::new(
        "two invoices store the payment link that the customer pays by",
        |scene| {
            scene.invoice(1, "Sent 100", Some(LINK), None);
            scene.invoice(2, "Sent 100", Some(LINK), None);
            scene.stripe().checkout(opened()).pay();
        },
        &["Sent 0.00 100.00", "Sent 0.00 100.00"],
    )
    .issues(&["unlinked_payment"])
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "two invoices store the payment link, and the metadata name one of them",
        |scene| {
            scene.invoice(1, "Sent 100", Some(LINK), None);
            scene.invoice(2, "Sent 100", Some(LINK), None);
            let sale = opened().metadata("invoice_id", INVOICE_1);
            scene.stripe().checkout(sale).pay();
        },
        &["Paid 100.00 0.00", "Sent 0.00 100.00", "Paid 100.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
}

#[test]
fn the_issue_about_a_shared_link_ends_when_one_invoice_stores_it() {
    let mut scene = Scene::new(Unit::Major);
    scene.invoice(1, "Sent 100", Some(LINK), None);
    scene.invoice(2, "Sent 100", Some(LINK), None);
    scene.stripe().checkout(opened()).pay();
    scene.shop.sweep();
    let said = scene
        .shop
        .text("select summary from invoice_sync.open_issues")
        .expect("an issue has a summary");
    let stored = format!("for payment link {LINK}, which several invoices store: ");
    assert!(said.contains(&stored), "{said}");

    scene.shop.execute(&format!(
        "update invoices set stripe_session_id = null where id = '{}'",
        Scene::key(1)
    ));
    scene.shop.sweep();

    assert_eq!(
        scene.books(),
        ["Sent 0.00 100.00", "Paid 100.00 0.00", "Paid 100.00 0.00"]
    );
    assert_eq!(scene.issues(), [""; 0]);
}

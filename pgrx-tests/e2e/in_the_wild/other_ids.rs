//! What applications store instead of an id: a client secret, the balance transaction, another object of Stripe's. A row that
//! has one is not booked a second time.

use stripe_double::{Checkout, Intent, StripeInvoice};

use super::case::{Case, Entry, Scene};

const INVOICE_1: &str = "7d8e6b50-00a0-4000-8000-000000000001";

#[test]
fn a_client_secret_is_the_id_that_it_contains() {
    Case::new(
        "the invoice stores the client secret of the intent",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            let secret = format!("{}_secret_5fTxVgPTc7XzJLrHz8lO1R2zZ", paid.intent_id());
            scene.invoice(1, "Sent 100", None, Some(&secret));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    // No event has the text that is stored: what is due finds it.
    .entries(&[Entry::Button, Entry::DueCheck])
    .check();
    Case::new(
        "a row stores the client secret of the intent, whose metadata name the invoice",
        |scene| {
            let sale = Intent::new(10_000, "usd").metadata("invoice_id", INVOICE_1);
            let paid = scene.stripe().intent(sale).pay();
            let secret = format!("{}_secret_5fTxVgPTc7XzJLrHz8lO1R2zZ", paid.intent_id());
            scene.invoice(1, "Paid 100", None, None);
            scene.payment(1, "Paid 100", None, Some(&secret));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
    Case::new(
        "a pending row stores the client secret of the session, whose metadata name the invoice",
        |scene| {
            let sale = Checkout::new(10_000, "usd").metadata("invoice_id", INVOICE_1);
            let paid = scene.stripe().checkout(sale).pay();
            let secret = format!(
                "{}_secret_fidwbEhqYWAnPydgaGd%2FYWFgJyknYWAl",
                paid.session_id()
            );
            scene.invoice(1, "Sent 100", None, None);
            scene.payment(1, "Pending 100", Some(&secret), None);
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .neighbour()
    .check();
}

/// The balance transaction of a payment.
fn balance_transaction(scene: &Scene, charge: &str) -> String {
    let charge = scene.stripe().object(charge).expect("a charge");
    let transaction = charge["balance_transaction"].as_str();
    transaction.expect("it is settled").to_owned()
}

#[test]
fn a_row_with_the_balance_transaction_is_the_payment_s() {
    Case::new(
        "a row of 50 stores the balance transaction of a payment of 50, on an invoice over 200",
        |scene| {
            let sale = Intent::new(5_000, "usd").metadata("invoice_id", INVOICE_1);
            let paid = scene.stripe().intent(sale).pay();
            let transaction = balance_transaction(scene, &paid.charge_id());
            scene.invoice(1, "Sent 200", None, None);
            scene.payment(1, "Paid 50", None, Some(&transaction));
        },
        &["Partial 50.00 150.00", "Paid 50.00 0.00"],
    )
    .check();
    Case::new(
        "a row of 50 stores the balance transaction of one payment of 50, another one has no row",
        |scene| {
            let sale = || Intent::new(5_000, "usd").metadata("invoice_id", INVOICE_1);
            let paid = scene.stripe().intent(sale()).pay();
            let transaction = balance_transaction(scene, &paid.charge_id());
            scene.stripe().intent(sale()).pay();
            scene.invoice(1, "Sent 200", None, None);
            scene.payment(1, "Paid 50", None, Some(&transaction));
        },
        &[
            "Partial 100.00 100.00",
            "Paid 50.00 0.00",
            "Paid 50.00 0.00",
        ],
    )
    .entries(&Entry::BY_METADATA)
    .neighbour()
    .check();
}

#[test]
fn a_row_with_another_object_of_stripe_s_may_be_the_payment() {
    Case::new(
        "a row of 50 stores a subscription, and a payment of 50 names the invoice over 200",
        |scene| {
            let sale = Intent::new(5_000, "usd").metadata("invoice_id", INVOICE_1);
            scene.stripe().intent(sale).pay();
            scene.invoice(1, "Sent 200", None, None);
            scene.payment(1, "Paid 50", None, Some("sub_1MowQVLkdIwHu7ixeRlqHVzs"));
        },
        &["Partial 50.00 150.00", "Paid 50.00 0.00"],
    )
    .issues(&["possible_duplicate"])
    .entries(&Entry::BY_METADATA)
    .check();
}

#[test]
fn metadata_may_name_the_stripe_invoice_that_the_invoice_stores() {
    Case::new(
        "the metadata of the intent name the Stripe Invoice that the invoice stores",
        |scene| {
            let bill = scene
                .stripe()
                .stripe_invoice(StripeInvoice::new(10_000, "usd"));
            let paid = bill.pay();
            let named = serde_json::json!({ "invoice_id": bill.id() });
            scene.stripe().set(&paid.intent_id(), "metadata", named);
            scene.invoice(1, "Sent 100", Some(&bill.id()), None);
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
}

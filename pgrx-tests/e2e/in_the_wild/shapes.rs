//! Payments of other shapes than a session with an intent: subscriptions, charges without an intent, text cut in the
//! middle of a character, presentment currencies.

use serde_json::json;
use stripe_double::{Checkout, Dispute, HALF_SURROGATE, Intent, Key, Purchase, Refund};

use super::case::{Case, Entry, Scene};

const INVOICE_1: &str = "7d8e6b50-00a0-4000-8000-000000000001";

/// A session in mode `subscription` over 125, paid.
fn subscribe(scene: &Scene) -> Purchase {
    scene
        .stripe()
        .checkout(Checkout::subscription(12_500, "usd"))
        .pay()
}

#[test]
fn a_subscription_s_session_and_its_intent_are_one_payment() {
    Case::new(
        "a subscription: the invoice stores the session, a row the intent",
        |scene| {
            let paid = subscribe(scene);
            scene.invoice(1, "Paid 125", Some(&paid.session_id()), None);
            scene.payment(1, "Paid 125", None, Some(&paid.intent_id()));
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .check();
    Case::new(
        "a subscription: a row stores the session, the invoice the intent",
        |scene| {
            let paid = subscribe(scene);
            scene.invoice(1, "Paid 125", None, Some(&paid.intent_id()));
            scene.payment(1, "Paid 125", Some(&paid.session_id()), None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .neighbour()
    .check();
    Case::new(
        "a subscription's payment of 125 has a row, on an invoice over 250",
        |scene| {
            let paid = subscribe(scene);
            scene.invoice(1, "Sent 250", Some(&paid.session_id()), None);
            scene.payment(1, "Paid 125", None, Some(&paid.intent_id()));
        },
        &["Partial 125.00 125.00", "Paid 125.00 0.00"],
    )
    .neighbour()
    .check();
}

#[test]
fn a_subscription_s_payment_is_booked_with_its_intent() {
    Case::new(
        "a subscription's payment has no row",
        |scene| {
            let paid = subscribe(scene);
            scene.invoice(1, "Sent 125", Some(&paid.session_id()), None);
            let (session, intent) = (paid.session_id(), paid.intent_id());
            scene.shop.execute(&format!(
                "alter table payments add check (stripe_session_id = '{session}'),
                                      add check (stripe_payment_intent = '{intent}')"
            ));
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .check();
    Case::new(
        "a subscription's payment, and only its session names the invoice",
        |scene| {
            let sale = Checkout::subscription(12_500, "usd").metadata("invoice_id", INVOICE_1);
            scene.stripe().checkout(sale).pay();
            scene.invoice(1, "Sent 125", None, None);
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .neighbour()
    .check();
    Case::new(
        "25 of a subscription's payment of 125 is refunded",
        |scene| {
            let paid = subscribe(scene);
            paid.refund(Refund::of(2_500));
            scene.invoice(1, "Sent 125", Some(&paid.session_id()), None);
        },
        &["Partial 100.00 25.00", "Paid 125.00 0.00"],
    )
    .issues(&["partially_refunded"])
    .neighbour()
    .check();
}

#[test]
fn before_basil_a_stripe_invoice_names_its_intent() {
    Case::new(
        "a subscription, with an API version before 2025-03-31",
        |scene| {
            scene.use_api_version("2024-06-20");
            let paid = subscribe(scene);
            scene.invoice(1, "Paid 125", Some(&paid.session_id()), None);
            scene.payment(1, "Paid 125", None, Some(&paid.intent_id()));
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .check();
}

#[test]
fn a_subscription_that_a_customer_s_balance_paid_brings_no_money() {
    Case::new(
        "a subscription's session is paid, and its Stripe invoice has no payment",
        |scene| {
            let paid = subscribe(scene);
            let session = paid.session_id();
            let invoice = scene.stripe().object(&session).unwrap()["invoice"].clone();
            let invoice = invoice.as_str().expect("an id");
            scene.stripe().set(invoice, "amount_paid", 0);
            for payment in scene.stripe().invoice_payments(invoice) {
                scene.stripe().delete(&payment);
            }
            scene.invoice(1, "Sent 125", Some(&session), None);
        },
        &["Sent 0.00 125.00"],
    )
    .check();
}

#[test]
fn a_key_that_reads_no_stripe_invoices_books_nothing_beside_a_row() {
    Case::new(
        "a subscription, and a key that may not read invoices",
        |scene| {
            scene.use_key(Key::new("rk_test_1").without("rak_invoice_read"));
            let paid = subscribe(scene);
            scene.invoice(1, "Paid 125", Some(&paid.session_id()), None);
            scene.payment(1, "Paid 125", None, Some(&paid.intent_id()));
        },
        &["Paid 125.00 0.00", "Paid 125.00 0.00"],
    )
    .issues(&["possible_duplicate"])
    // The intent, whose events come too, is the row's, and says nothing of the session.
    .check();
}

#[test]
fn a_gratuity_of_the_session_counts_whichever_event_comes_first() {
    Case::new(
        "a payment of 110: the intent names the invoice, the session a gratuity of 10",
        |scene| {
            let sale = Checkout::new(11_000, "usd")
                .metadata("invoice_id", INVOICE_1)
                .metadata("gratuity_amount", "10.00")
                .intent_metadata("invoice_id", INVOICE_1);
            scene.stripe().checkout(sale).pay();
            scene.invoice(1, "Sent 100", None, None);
        },
        &["Paid 100.00 0.00", "Paid 100.00 10.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "a payment of 110: the invoice stores the intent, the session names a gratuity of 10",
        |scene| {
            let sale = Checkout::new(11_000, "usd").metadata("gratuity_amount", "10.00");
            let paid = scene.stripe().checkout(sale).pay();
            scene.invoice(1, "Sent 100", None, Some(&paid.intent_id()));
        },
        &["Paid 100.00 0.00", "Paid 100.00 10.00"],
    )
    .neighbour()
    .check();
}

fn card() -> Intent {
    Intent::new(10_000, "usd").metadata("invoice_id", INVOICE_1)
}

#[test]
fn a_charge_without_an_intent_is_booked() {
    Case::new(
        "a charge without an intent names the invoice",
        |scene| {
            scene.stripe().charge(card());
            scene.invoice(1, "Sent 100", None, None);
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "the invoice stores a charge without an intent",
        |scene| {
            let paid = scene.stripe().charge(Intent::new(10_000, "usd"));
            scene.invoice(1, "Sent 100", None, Some(&paid.charge_id()));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .neighbour()
    .check();
    Case::new(
        "the invoice stores a charge of a bank debit (py_…)",
        |scene| {
            let paid = scene
                .stripe()
                .charge(Intent::new(10_000, "usd").charge_id("py_1"));
            scene.invoice(1, "Sent 100", None, Some(&paid.charge_id()));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .neighbour()
    .check();
    Case::new(
        "a row stores a charge without an intent",
        |scene| {
            let paid = scene.stripe().charge(card());
            scene.invoice(1, "Paid 100", None, None);
            scene.payment(1, "Paid 100", None, Some(&paid.charge_id()));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .neighbour()
    .check();
}

#[test]
fn a_charge_that_is_only_authorised_brings_no_money() {
    Case::new(
        "a charge without an intent is authorised and not captured",
        |scene| {
            scene.stripe().authorise_charge(card());
            scene.invoice(1, "Sent 100", None, None);
        },
        &["Sent 0.00 100.00"],
    )
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "60 of 100 is captured of a charge without an intent",
        |scene| {
            scene.stripe().authorise_charge(card()).capture(6_000);
            scene.invoice(1, "Sent 100", None, None);
        },
        &["Partial 60.00 40.00", "Paid 60.00 0.00"],
    )
    .entries(&Entry::BY_METADATA)
    .neighbour()
    .check();
}

#[test]
fn what_becomes_of_a_charge_without_an_intent_is_heard() {
    // By events alone, each is booked before the rest is heard, about which a person decides then.
    Case::new(
        "10 of 100 is refunded of a charge without an intent",
        |scene| {
            scene.stripe().charge(card()).refund(Refund::of(1_000));
            scene.invoice(1, "Sent 100", None, None);
        },
        &["Partial 90.00 10.00", "Paid 100.00 0.00"],
    )
    .issues(&["partially_refunded"])
    .entries(&Entry::BY_METADATA)
    .not_by_events_alone()
    .check();
    Case::new(
        "a charge without an intent is refunded in full",
        |scene| {
            scene.stripe().charge(card()).refund(Refund::whole());
            scene.invoice(1, "Sent 100", None, None);
        },
        &["Sent 0.00 100.00", "Refunded 100.00 0.00"],
    )
    .issues(&["refunded"])
    .entries(&Entry::BY_METADATA)
    .not_by_events_alone()
    .neighbour()
    .check();
    Case::new(
        "a charge without an intent is disputed",
        |scene| {
            let paid = scene.stripe().charge(card());
            paid.dispute(Dispute::new("needs_response"));
            scene.invoice(1, "Sent 100", None, None);
        },
        &["Sent 0.00 100.00", "Disputed 100.00 0.00"],
    )
    .issues(&["disputed"])
    .entries(&Entry::BY_METADATA)
    .not_by_events_alone()
    .neighbour()
    .check();
}

#[test]
fn an_inquiry_that_escalates_is_a_dispute() {
    Case::new(
        "an inquiry becomes a dispute",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            let inquiry = paid.dispute(Dispute::new("warning_needs_response"));
            scene.stripe().update_dispute(&inquiry, "needs_response");
            scene.invoice(1, "Sent 100", None, Some(&paid.intent_id()));
        },
        &["Sent 0.00 100.00", "Disputed 100.00 0.00"],
    )
    .issues(&["disputed"])
    .check();
    Case::new(
        "an inquiry is closed",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            let inquiry = paid.dispute(Dispute::new("warning_needs_response"));
            scene.stripe().update_dispute(&inquiry, "warning_closed");
            scene.invoice(1, "Sent 100", None, Some(&paid.intent_id()));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .neighbour()
    .check();
}

#[test]
fn a_dispute_that_was_prevented_with_the_money_is_lost() {
    Case::new(
        "an inquiry is settled by the network, which gives the customer the money",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            let inquiry = paid.dispute(Dispute::new("warning_needs_response").resolution());
            scene.stripe().update_dispute(&inquiry, "prevented");
            scene.invoice(1, "Sent 100", None, Some(&paid.intent_id()));
        },
        &["Sent 0.00 100.00", "Disputed 100.00 0.00"],
    )
    .issues(&["disputed"])
    .check();
    Case::new(
        "a dispute over 30 of 100 is settled by the network as it is made",
        |scene| {
            let paid = scene.stripe().checkout(Checkout::new(10_000, "usd")).pay();
            paid.dispute(Dispute::new("prevented").amount(3_000).resolution());
            scene.invoice(1, "Sent 100", Some(&paid.session_id()), None);
        },
        &["Partial 70.00 30.00", "Paid 100.00 0.00"],
    )
    .issues(&["disputed"])
    .neighbour()
    .check();
    Case::new(
        "a dispute is prevented before any money is withdrawn",
        |scene| {
            let paid = scene.stripe().intent(Intent::new(10_000, "usd")).pay();
            paid.dispute(Dispute::new("prevented"));
            scene.invoice(1, "Sent 100", None, Some(&paid.intent_id()));
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .neighbour()
    .check();
}

#[test]
fn half_a_surrogate_pair_keeps_no_payment_away() {
    Case::new(
        "metadata and description contain half of a surrogate pair",
        |scene| {
            let cut = format!("a{HALF_SURROGATE}");
            let sale = Checkout::new(10_000, "usd")
                .metadata("note", &cut)
                .description(&cut);
            let broken = scene.stripe().checkout(sale).pay();
            let lone = Intent::new(5_000, "usd").metadata("note", &cut);
            let lone = scene.stripe().intent(lone).pay();
            let charge = Intent::new(2_500, "usd").metadata("note", &cut).description(&cut);
            let charge = scene.stripe().charge(charge);
            scene.invoice(1, "Sent 100", Some(&broken.session_id()), None);
            scene.invoice(2, "Sent 50", None, Some(&lone.intent_id()));
            scene.invoice(3, "Sent 25", None, Some(&charge.charge_id()));
            scene.shop.execute(
                "update invoice_sync.settings
                set payment_values = payment_values || '{\"payment_notes\": {\"stripe\": \"metadata.note\"}}';
                alter table payments add check (payment_notes = U&'a\\fffd')",
            );
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
    .check();
}

#[test]
fn what_the_customer_saw_is_not_what_came() {
    Case::new(
        "the customer saw 137 CAD and Stripe received 100 USD",
        |scene| {
            let sale = scene.stripe().checkout(Checkout::new(10_000, "usd"));
            let seen = json!({ "presentment_amount": 13_700, "presentment_currency": "cad" });
            let session = sale.session_id();
            scene
                .stripe()
                .set(&session, "presentment_details", seen.clone());
            let paid = sale.pay();
            for id in [paid.intent_id(), paid.charge_id()] {
                scene.stripe().set(&id, "presentment_details", seen.clone());
            }
            scene.invoice(1, "Sent 100", Some(&session), None);
        },
        &["Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
}

//! Each kind of evidence of another account by each way: the button, the feed, lists and webhooks.

use serde_json::{Value, json};
use stripe_double::{Checkout, Dispute, Refund, StripeInvoice};

use super::feeds::{QUARTER, pass};
use super::{ONE, TWO, books, checkout, deliver_event, event, invoice, shop};
use crate::harness::Shop;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Button,
    Feed,
    Webhook,
}

/// What is sold in account one for an invoice: the id that the invoice stores, if any, what Stripe tells of it, and the
/// payment.
type Sale = fn(&mut Shop, &str) -> (Option<String>, Value, String);

fn paid(shop: &mut Shop, bill: StripeInvoice, is_stored: bool) -> (Option<String>, Value, String) {
    let bill = shop.stripe.stripe_invoice(bill.account(ONE));
    let payment = bill.pay().intent_id();
    let event = event(shop, "invoice.paid", &bill.id());
    (is_stored.then(|| bill.id()), event, payment)
}

fn stored_stripe_invoice(shop: &mut Shop, _: &str) -> (Option<String>, Value, String) {
    paid(shop, StripeInvoice::new(10_000, "usd"), true)
}

fn named_by_a_stripe_invoice(shop: &mut Shop, id: &str) -> (Option<String>, Value, String) {
    let bill = StripeInvoice::new(10_000, "usd").metadata("invoice_id", id);
    paid(shop, bill, false)
}

fn named_by_a_subscription(shop: &mut Shop, id: &str) -> (Option<String>, Value, String) {
    let bill = StripeInvoice::renewal(10_000, "usd").subscription_metadata("invoice_id", id);
    paid(shop, bill, false)
}

fn session_of_a_subscription(shop: &mut Shop, _: &str) -> (Option<String>, Value, String) {
    let checkout = Checkout::subscription(10_000, "usd").account(ONE);
    let sold = shop.stripe.checkout(checkout).pay();
    let event = event(shop, "checkout.session.completed", &sold.session_id());
    let intents = shop.stripe.events().into_iter();
    let mut intents = intents.filter(|it| it["type"] == "payment_intent.succeeded");
    let intent = intents.next_back().expect("it is paid");
    let intent = intent["data"]["object"]["id"].as_str().expect("an id");
    (Some(sold.session_id()), event, intent.to_owned())
}

#[test]
fn stripe_invoices_and_subscriptions_of_an_account_pay_its_invoices_by_each_way() {
    let sales: [(Sale, bool); 4] = [
        (stored_stripe_invoice, true),
        (named_by_a_stripe_invoice, false),
        (named_by_a_subscription, false),
        (session_of_a_subscription, true),
    ];
    for (which, (sale, is_stored)) in sales.into_iter().enumerate() {
        for way in [Way::Button, Way::Feed, Way::Webhook] {
            // The button asks about the ids that the invoice stores.
            if way == Way::Button && !is_stored {
                continue;
            }
            let mut shop = shop();
            shop.skip_look_back();
            let id = invoice(&mut shop, "INV-1", Some(ONE), None);
            let (stored, event, payment) = sale(&mut shop, &id);
            if let Some(stored) = stored {
                shop.execute(&format!(
                    "update invoices set stripe_session_id = '{stored}'"
                ));
            }
            match way {
                Way::Button => drop(shop.sync(&id)),
                Way::Feed => drop(shop.sweep()),
                Way::Webhook => assert_eq!(deliver_event(&mut shop, &event), json!("processed")),
            }
            assert_eq!(
                books(&mut shop),
                [format!("INV-1 Paid 100.00 {payment}")],
                "{which} {way:?}"
            );
        }
    }
}

#[test]
fn refunds_and_disputes_in_an_account_reach_its_invoice_by_each_way() {
    for kind in ["refunded", "disputed"] {
        for way in [Way::Button, Way::Feed, Way::Webhook] {
            let mut shop = shop();
            shop.skip_look_back();
            let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
            let id = invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
            shop.sweep();
            let change = if kind == "refunded" {
                sold.refund(Refund::of(10_000));
                event(&shop, "charge.refunded", &sold.charge_id())
            } else {
                let dispute = sold.dispute(Dispute::new("needs_response"));
                event(&shop, "charge.dispute.created", &dispute)
            };
            match way {
                Way::Button => drop(shop.sync(&id)),
                Way::Feed => {
                    pass(&mut shop, QUARTER);
                    shop.sweep();
                }
                Way::Webhook => assert_eq!(deliver_event(&mut shop, &change), json!("processed")),
            }
            assert_eq!(
                shop.texts("select kind || ' ' || object from invoice_sync.open_issues"),
                [Some(format!("{kind} acct_one/{}", sold.intent_id()))],
                "{way:?}"
            );
        }
    }
}

#[test]
fn many_invoices_of_an_account_are_asked_about_by_its_lists() {
    let mut shop = shop();
    shop.skip_look_back();
    let mut expected = Vec::new();
    for number in 100..160 {
        let account = if number % 2 == 0 { ONE } else { TWO };
        // Before the first look of the feeds.
        let before = shop.stripe.now() - 2 * 24 * 3600;
        let sold = shop
            .stripe
            .checkout(checkout().account(account).created(before))
            .at(before + 60)
            .pay();
        let number = format!("INV-{number}");
        invoice(&mut shop, &number, Some(account), Some(&sold.session_id()));
        expected.push(format!("{number} Paid 100.00 {}", sold.intent_id()));
    }
    shop.stripe.reset_requests();
    shop.sweep();
    assert_eq!(books(&mut shop), expected);
    for account in [ONE, TWO] {
        let seen = shop.stripe.requests().into_iter();
        let of_account: Vec<String> = seen
            .filter(|it| it.header("stripe-account") == Some(account) && it.path != "/v1/events")
            .map(|it| it.path)
            .collect();
        assert_eq!(of_account, ["/v1/checkout/sessions"], "{account}");
    }
}

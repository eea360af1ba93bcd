//! Events that are in the feed and were not delivered.

use serde_json::json;
use stripe_double::{Checkout, EventDelay};

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::sender::deliver;

const ID: &str = "7d8e6b50-0000-4000-8000-000000000002";

fn insert_invoice(shop: &mut Shop, total: &str, session: &str) {
    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due, stripe_session_id)
        values ('{ID}', 'INV-2', 'Ann', 'Sent', {total}, {total}, nullif('{session}', ''))"
    ));
}

#[test]
fn with_nothing_new_a_sweep_makes_one_request() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    shop.sweep();
    shop.stripe.reset_requests();
    let report = shop.sweep();
    assert_eq!(report["stats"]["stripeRequests"], json!(1), "{report}");
    assert_eq!(report["fixed"], json!(0));
}

#[test]
fn a_payment_whose_id_was_never_stored_is_found_by_the_invoice_it_names() {
    let mut shop = Shop::open();
    insert_invoice(&mut shop, "100", "");
    shop.stripe
        .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", ID))
        .pay();
    let report = shop.sweep();
    assert_eq!(report["fixed"], json!(1), "{report}");
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
}

#[test]
fn a_client_reference_names_the_invoice_where_the_settings_say_so() {
    let mut shop = Shop::open();
    insert_invoice(&mut shop, "100", "");
    let sale = || Checkout::new(10_000, "usd").client_reference_id(ID);
    shop.stripe.checkout(sale()).pay();
    assert_eq!(shop.sweep()["fixed"], json!(0), "it may be anything");
    shop.execute("update invoice_sync.settings set client_reference_names_invoice = true");
    shop.stripe.checkout(sale()).pay();
    assert_eq!(shop.sweep()["fixed"], json!(1));
}

#[test]
fn near_the_end_of_a_month_s_requests_only_the_feed_goes_on() {
    let mut shop = Shop::open();
    shop.execute("update invoice_sync.settings set monthly_read_budget = 1");
    let unpaid = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    insert_invoice(&mut shop, "100", &unpaid.session_id());
    let report = shop.sweep();
    assert_eq!(report["stats"]["stripeRequests"], json!(1), "{report}");
    assert_eq!(report["monthlyReads"]["budget"], json!(1));
    Sale::unbooked(&mut shop, "INV-1");
    let report = shop.sweep();
    assert_eq!(report["fixed"], json!(1), "an event named it");
    assert_eq!(report["monthlyReads"]["used"], json!(1));
    assert_eq!(shop.sync(ID)["stats"]["stripeRequests"], json!(1));

    shop.execute("update invoice_sync.settings set monthly_read_budget = 1000000");
    shop.make_all_due();
    shop.stripe.reset_requests();
    shop.sweep();
    let asked = shop.stripe.requests();
    assert!(
        asked
            .iter()
            .any(|it| it.path.contains(&unpaid.session_id())),
        "what had to wait is asked about: {asked:?}"
    );
}

#[test]
fn a_deposit_whose_session_the_balance_has_overwritten_is_found() {
    let mut shop = Shop::open();
    let named = |cents| Checkout::new(cents, "usd").metadata("invoice_id", ID);
    shop.stripe.checkout(named(4_000)).pay();
    let balance = shop.stripe.checkout(named(6_000)).pay();
    insert_invoice(&mut shop, "100", &balance.session_id());
    shop.sweep();
    assert_eq!(
        shop.texts("select total_amount from payments order by 1"),
        [Some("40.000".into()), Some("60.000".into())]
    );
    assert_eq!(
        shop.text("select amount_paid from invoices"),
        Some("100.000".into())
    );
    assert_eq!(shop.sweep()["fixed"], json!(0));
}

#[test]
fn several_events_of_one_payment_cost_one_question() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    let report = shop.sweep();
    assert_eq!(
        report["stats"]["stripeRequests"],
        json!(2),
        "the feed, and the session: {report}"
    );
    assert!(
        shop.stripe.events().len() > 2,
        "there was more than one event"
    );
}

#[test]
fn a_refund_of_what_was_booked_long_ago_is_seen() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    shop.stripe
        .purchase(&sale.session)
        .refund(stripe_double::Refund::whole());
    let report = shop.sweep();
    assert_eq!(
        shop.text("select payment_status from payments"),
        Some("Refunded".into())
    );
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
    assert_eq!(shop.open_issues(), ["refunded INV-1"], "{report}");
}

#[test]
fn events_that_come_late_into_the_feed_are_not_lost() {
    let mut shop = Shop::open();
    insert_invoice(&mut shop, "100", "");
    shop.stripe.set_event_delay(EventDelay::Held);
    shop.stripe
        .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", ID))
        .pay();
    assert_eq!(shop.sweep()["fixed"], json!(0));
    shop.stripe.set_event_delay(EventDelay::None);
    // A newer event is seen first, and moves the place on.
    Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    shop.stripe.release_events();
    shop.sweep();
    assert_eq!(
        shop.text(&format!(
            "select invoice_status from invoices where id = '{ID}'"
        )),
        Some("Paid".into())
    );
}

#[test]
fn money_for_an_invoice_that_never_appears_becomes_an_issue() {
    let mut shop = Shop::open();
    shop.stripe
        .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", ID))
        .pay();
    assert_eq!(
        shop.sweep()["issues"],
        json!(0),
        "it may still be committed"
    );
    shop.execute(
        "update invoice_sync.event
        set received_at = received_at - interval '2 hours', next_attempt_at = now()",
    );
    shop.sweep();
    assert_eq!(shop.open_issues(), ["unlinked_payment -"]);
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
}

#[test]
fn money_that_names_no_invoice_is_not_ours() {
    let mut shop = Shop::open();
    shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    let report = shop.sweep();
    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        shop.text("select count(*) from invoice_sync.event where state = 'pending'"),
        Some("0".into())
    );
}

#[test]
fn webhooks_that_stop_are_an_issue_until_one_comes() {
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-of-yesterday");
    shop.deliver_all(&["checkout.session.completed"]);
    // Deliveries stop: a day later Stripe has had three sales more.
    shop.execute("update invoice_sync.event set created = created - interval '2 days', webhook_at = webhook_at - interval '2 days'");
    Sale::many(&mut shop, 3);
    shop.sweep();
    shop.execute("update invoice_sync.event set created = created - interval '1 hour' where webhook_at is null");
    shop.sweep();
    assert_eq!(shop.open_issues(), ["webhooks_failing -"]);

    let health = shop.texts(
        "select format('%s %s', sum(by_webhook), sum(by_feed_only) > 0) from invoice_sync.webhook_health",
    );
    assert_eq!(health, [Some("1 t".to_owned())]);

    let event = shop
        .stripe
        .events()
        .into_iter()
        .rfind(|event| event["type"] == "checkout.session.completed")
        .expect("there was one");
    deliver(&mut shop.db, &event.to_string()).expect("accepted");
    shop.sweep();
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

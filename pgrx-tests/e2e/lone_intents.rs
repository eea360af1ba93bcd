//! Payment intents are judged with their checkout sessions, by every entry point; and pending rows with only a session.

use serde_json::json;
use stripe_double::{Checkout, Intent, Purchase, Refund};

use crate::harness::Shop;

const ID: &str = "7d8e6b50-0000-4000-8000-000000000007";
const DAY: i64 = 24 * 60 * 60;
const OTHER: &str = "7d8e6b50-0000-4000-8000-000000000008";

fn insert_invoice(shop: &mut Shop, id: &str, number: &str) {
    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due)
        values ('{id}', '{number}', 'Ann', 'Sent', 100, 100)"
    ));
}

/// 110, of which the session alone says that 10 are a gratuity.
fn with_gratuity(shop: &mut Shop) -> Purchase {
    insert_invoice(shop, ID, "INV-1");
    let checkout = Checkout::new(11_000, "usd")
        .metadata("invoice_id", ID)
        .metadata("gratuity_amount", "10.00")
        .intent_metadata("invoice_id", ID);
    shop.stripe.checkout(checkout).pay()
}

fn must_be_paid_with_gratuity(shop: &mut Shop, entry_point: &str) {
    assert_eq!(
        shop.texts("select format('%s %s', total_amount::numeric(9,2), gratuity::numeric(9,2)) from payments"),
        [Some("100.00 10.00".into())],
        "{entry_point}"
    );
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into()),
        "{entry_point}"
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new(), "{entry_point}");
    shop.sweep();
    shop.stripe.reset_requests();
    shop.sweep();
    assert_eq!(
        shop.stripe.count_of("/v1/"),
        1,
        "{entry_point}: a quiet sweep"
    );
}

const IN_ORDER: [&str; 2] = ["payment_intent.succeeded", "checkout.session.completed"];

#[test]
fn a_session_s_gratuity_is_known_whichever_event_comes_first() {
    for order in [IN_ORDER, [IN_ORDER[1], IN_ORDER[0]]] {
        let mut shop = Shop::with_webhooks();
        with_gratuity(&mut shop);
        shop.deliver_all(&[order[0]]);
        must_be_paid_with_gratuity(&mut shop, order[0]);
        shop.deliver_all(&[order[1]]);
        must_be_paid_with_gratuity(&mut shop, order[1]);
    }
}

#[test]
fn without_fetching_an_intent_waits_for_its_session() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = false");
    with_gratuity(&mut shop);
    shop.deliver_all(&[IN_ORDER[0]]);
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    assert_eq!(shop.stripe.count_of("/v1/"), 0);
    shop.deliver_all(&[IN_ORDER[1]]);
    must_be_paid_with_gratuity(&mut shop, "the session's event");
}

#[test]
fn without_fetching_an_intent_after_its_session_changes_nothing() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = false");
    with_gratuity(&mut shop);
    shop.deliver_all(&[IN_ORDER[1]]);
    shop.deliver_all(&[IN_ORDER[0]]);
    assert_eq!(shop.stripe.count_of("/v1/"), 0);
    must_be_paid_with_gratuity(&mut shop, "both events");
}

#[test]
fn a_stored_intent_is_asked_about_with_its_session_by_button_sweep_and_backfill() {
    for entry_point in ["button", "sweep", "backfill"] {
        let mut shop = Shop::open();
        let paid = with_gratuity(&mut shop);
        shop.execute(&format!(
            "update invoices set stripe_payment_intent = '{}'",
            paid.intent_id()
        ));
        match entry_point {
            "button" => {
                let report = shop.sync(ID);
                assert_eq!(report["stats"]["stripeRequests"], json!(2), "{report}");
                let again = shop.sync(ID);
                assert_eq!(again["stats"]["stripeRequests"], json!(1), "{again}");
            }
            "sweep" => drop(shop.sweep()),
            _ => shop.execute("call invoice_sync.backfill(now() - interval '1 hour')"),
        }
        must_be_paid_with_gratuity(&mut shop, entry_point);
    }
}

#[test]
fn money_whose_session_names_another_invoice_is_not_booked_by_its_intent() {
    let mut shop = Shop::open();
    insert_invoice(&mut shop, ID, "INV-1");
    insert_invoice(&mut shop, OTHER, "INV-2");
    let checkout = Checkout::new(10_000, "usd").metadata("invoice_id", OTHER);
    let intent = shop.stripe.checkout(checkout).pay().intent_id();
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{intent}' where id = '{ID}'"
    ));
    shop.sync(ID);
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    assert_eq!(shop.open_issues(), ["unlinked_payment INV-1"]);
}

#[test]
fn a_lone_intent_is_looked_up_once() {
    let mut shop = Shop::open();
    insert_invoice(&mut shop, ID, "INV-1");
    let paid = shop
        .stripe
        .intent(Intent::new(10_000, "usd").metadata("invoice_id", ID))
        .pay();
    let report = shop.sweep();
    assert_eq!(
        report["stats"]["stripeRequests"],
        json!(3),
        "the feed, the intent, its sessions: {report}"
    );
    paid.refund(Refund::whole());
    let report = shop.sweep();
    assert_eq!(
        report["stats"]["stripeRequests"],
        json!(2),
        "that it has none is remembered: {report}"
    );
    assert_eq!(shop.open_issues(), ["refunded INV-1"]);
}

#[test]
fn of_many_lone_intents_the_few_sessions_are_read_once() {
    let mut shop = Shop::open();
    shop.execute("set invoice_sync.http_concurrency = 1");
    // Older than what the feed tells at first.
    shop.stripe.advance_clock(-3 * DAY);
    let with_session = with_gratuity(&mut shop).intent_id();
    let lone: Vec<String> = (0..350)
        .map(|_| {
            shop.stripe.advance_clock(60);
            let intent = Intent::new(10_000, "usd");
            shop.stripe.intent(intent).pay().intent_id()
        })
        .collect();
    shop.stripe.advance_clock(3 * DAY - 350 * 60);
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{with_session}'"
    ));
    shop.execute(&format!(
        "insert into invoices (
            invoice_number, customer, invoice_status, total_amount, balance_due, stripe_payment_intent)
        select 'LONE-' || intent, 'Bob', 'Sent', 100, 100, intent from unnest('{{{}}}'::text[]) intent",
        lone.join(",")
    ));
    shop.sweep();
    assert_eq!(
        shop.texts("select distinct invoice_status from invoices"),
        [Some("Paid".into())]
    );
    assert_eq!(
        shop.texts("select gratuity::numeric(9,2)::text from payments where gratuity <> 0"),
        [Some("10.00".into())]
    );
    assert_eq!(shop.stripe.count_of("/v1/checkout/sessions"), 1);
}

/// A deposit of 40 that is booked, and beside it a row that waits by a session.
fn deposit_beside_a_waiting_row(shop: &mut Shop) -> Purchase {
    insert_invoice(shop, ID, "INV-1");
    let intent = Intent::new(4_000, "usd").metadata("invoice_id", ID);
    let deposit = shop.stripe.intent(intent).pay();
    shop.sweep();
    let open = shop.stripe.checkout(Checkout::new(6_000, "usd"));
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        values ('{ID}', 'Balance', 'Pending', 60, '{}')",
        open.session_id()
    ));
    deposit
}

#[test]
fn a_waiting_row_does_not_keep_a_refund_of_the_deposit_away() {
    for entry_point in ["webhook", "sweep", "backfill"] {
        let mut shop = Shop::with_webhooks();
        let deposit = deposit_beside_a_waiting_row(&mut shop);
        deposit.refund(Refund::whole());
        match entry_point {
            "webhook" => shop.deliver_all(&["charge.refunded"]),
            "sweep" => drop(shop.sweep()),
            _ => shop.execute("call invoice_sync.backfill(now() - interval '1 hour')"),
        }
        assert_eq!(
            shop.texts("select payment_status from payments order by total_amount"),
            [Some("Refunded".into()), Some("Pending".into())],
            "{entry_point}"
        );
        assert_eq!(shop.open_issues(), ["refunded INV-1"], "{entry_point}");
    }
}

#[test]
fn a_waiting_row_does_not_keep_a_lone_intent_away() {
    for entry_point in ["webhook", "sweep", "backfill"] {
        let mut shop = Shop::with_webhooks();
        deposit_beside_a_waiting_row(&mut shop);
        let rest = Intent::new(6_000, "usd").metadata("invoice_id", ID);
        shop.stripe.intent(rest).pay();
        match entry_point {
            "webhook" => shop.deliver_all(&["payment_intent.succeeded"]),
            "sweep" => drop(shop.sweep()),
            _ => shop.execute("call invoice_sync.backfill(now() - interval '1 hour')"),
        }
        assert_eq!(
            shop.text("select invoice_status from invoices"),
            Some("Paid".into()),
            "{entry_point}"
        );
        assert_eq!(
            shop.text("select count(*) from invoice_sync.event where type = 'backfill' and state = 'pending'"),
            Some("0".into()),
            "{entry_point}: nothing is left in line"
        );
    }
}

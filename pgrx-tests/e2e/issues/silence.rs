//! Issues without an invoice are resolved by evidence only, not by missing answers.

use stripe_double::{Action, Checkout, Config, Double, Fault, Key};

use super::stories::story;
use super::{latest, look, the};
use crate::harness::sale::Sale;
use crate::harness::{DEFAULT_TABLES, KEY, Shop};

/// A key that may not read checkout sessions.
const POOR: &str = "rk_test_poor";

/// Two days pass in which nothing happens.
fn two_quiet_days(shop: &mut Shop) {
    for _ in 0..48 {
        shop.age(3600);
        shop.sweep();
    }
}

#[test]
fn an_outage_that_questions_met_is_not_over_because_the_feed_is_read() {
    let stripe = Double::start(Config {
        keys: vec![
            Key::new(POOR).without("rak_checkout_session_read"),
            Key::new(KEY),
        ],
        ..Config::default()
    });
    let mut shop = Shop::with(stripe.expect("the stand-in starts"), DEFAULT_TABLES);
    shop.use_key(POOR);
    Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(shop.open_issues(), ["stripe_unreachable -"]);
    let issue = the(&mut shop, "stripe_unreachable");
    shop.execute(
        "update invoice_sync.invoice_check k set next_check_at = now() + interval '1 hour',
            stored_ids = (select array[i.stripe_session_id] from invoices i where i.id::text = k.invoice_id);
        update invoice_sync.event set next_attempt_at = now() + interval '1 hour'",
    );
    shop.sweep();
    assert_eq!(
        shop.open_issues(),
        ["stripe_unreachable -"],
        "nothing was asked"
    );
    // What is no id of Stripe's is answered by nobody.
    shop.execute("insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-2', 'Ada', 'Sent', 100, 'none')");
    shop.sweep();
    assert_eq!(the(&mut shop, "stripe_unreachable"), issue);

    shop.use_key(KEY);
    shop.sweep();
    assert_eq!(
        the(&mut shop, "stripe_unreachable"),
        issue,
        "nothing was due"
    );
    look(&mut shop);
    let over = latest(&mut shop, "stripe_unreachable").expect("it is on record");
    assert_eq!((over.id, over.state.as_str()), (issue, "resolved"));
}

#[test]
fn an_outage_of_the_feed_is_over_once_the_feed_is_read() {
    let mut shop = Shop::open();
    shop.stripe
        .fault(Fault::new(Action::Html(200)).always().on_path("/v1/events"));
    shop.sweep();
    assert_eq!(shop.open_issues(), ["stripe_unreachable -"]);
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sync(&sale.invoice);
    assert_eq!(
        shop.open_issues(),
        ["stripe_unreachable -"],
        "the button reads no feed"
    );
    shop.stripe.clear_faults();
    shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn webhooks_that_fail_do_so_until_one_comes_however_quiet_it_is() {
    let mut shop = Shop::with_webhooks();
    (story("webhooks_failing").begins)(&mut shop);
    shop.sweep();
    let issue = the(&mut shop, "webhooks_failing");
    two_quiet_days(&mut shop);
    assert_eq!(shop.open_issues(), ["webhooks_failing -"], "it is quiet");
    assert_eq!(the(&mut shop, "webhooks_failing"), issue);

    // Three more are lost, and it is the same story.
    for _ in 0..3 {
        shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    }
    shop.sweep();
    shop.age(3600);
    shop.sweep();
    assert_eq!(the(&mut shop, "webhooks_failing"), issue);

    // Stripe tries one of the old ones again.
    shop.deliver_all(&["checkout.session.completed"]);
    shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0]);
    two_quiet_days(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
}

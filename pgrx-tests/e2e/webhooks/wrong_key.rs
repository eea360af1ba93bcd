//! For a while, the key is one of another Stripe account: what it cannot see is not taken as gone.

use stripe_double::{Action, Checkout, Config, Double, Fault, Intent};

use crate::harness::Shop;
use crate::harness::sender::now;
use crate::run_sweep::feed::{paid, sell};

const HOUR: i64 = 60 * 60;

const DUE: &str = "update invoice_sync.event set next_attempt_at = now() where state = 'pending'";

/// How a sale reaches the shop while the key is the wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Webhook,
    /// It was pending already.
    Sweep,
}

/// A shop whose sales have ids that the other account does not have, because it has fewer objects, and whose feed was
/// read.
fn shop() -> Shop {
    let mut shop = Shop::with_webhooks();
    shop.skip_look_back();
    shop.stripe.set_clock(now() - 60 * 24 * HOUR);
    for _ in 0..40 {
        shop.stripe.checkout(Checkout::new(500, "usd"));
    }
    shop.stripe.set_clock(now());
    sell(&mut shop, 1, 2 * HOUR);
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), ["INV-1"]);
    shop
}

fn other_account() -> Double {
    Double::start(Config::default()).expect("the stand-in starts")
}

#[test]
fn what_it_cannot_see_is_booked_once_the_key_is_the_right_one_again() {
    for door in [Door::Webhook, Door::Sweep] {
        let mut shop = shop();
        let (own, other) = (shop.stripe.url(), other_account());
        let session = sell(&mut shop, 2, 0);
        if door == Door::Sweep {
            let broken = Fault::new(Action::Html(200)).always();
            shop.stripe.fault(broken.on_object(&session));
            shop.execute("call invoice_sync.run_sweep()");
            shop.stripe.clear_faults();
        }
        shop.configure("stripe_api_base", &other.url());
        if door == Door::Webhook {
            shop.deliver_all(&["checkout.session.completed", "payment_intent.succeeded"]);
        }
        shop.execute(DUE);
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(paid(&mut shop), ["INV-1"], "{door:?}");
        assert_eq!(shop.open_issues(), Vec::<String>::new(), "{door:?}");

        shop.configure("stripe_api_base", &own);
        shop.execute(DUE);
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(paid(&mut shop), ["INV-1", "INV-2"], "{door:?}");
    }
}

#[test]
fn while_it_stays_the_wrong_one_an_issue_says_so_until_it_is_the_right_one() {
    let mut shop = shop();
    let (own, other) = (shop.stripe.url(), other_account());
    sell(&mut shop, 2, 0);
    shop.configure("stripe_api_base", &other.url());
    shop.deliver_all(&["checkout.session.completed", "payment_intent.succeeded"]);
    for attempt in 2..=8 {
        assert_eq!(
            shop.open_issues(),
            Vec::<String>::new(),
            "before attempt {attempt}"
        );
        shop.execute(DUE);
        shop.execute("call invoice_sync.run_sweep()");
    }
    assert_eq!(shop.open_issues(), ["event_failing -"]);
    let said = shop.text("select summary from invoice_sync.open_issues");
    let said = said.expect("there is one");
    assert!(said.contains("Stripe has no such object"), "{said}");

    shop.configure("stripe_api_base", &own);
    shop.execute(DUE);
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(paid(&mut shop), ["INV-1", "INV-2"]);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn events_of_that_time_are_listed_once_the_key_is_the_right_one_again() {
    for has_events in [true, false] {
        let mut shop = shop();
        let (own, other) = (shop.stripe.url(), other_account());
        if has_events {
            other.set_clock(now() - HOUR);
            other.intent(Intent::new(7_700, "usd")).pay();
            other.set_clock(now());
        }
        shop.configure("stripe_api_base", &other.url());
        for _ in 0..2 {
            shop.execute("call invoice_sync.run_sweep()");
        }
        // Long enough ago that the time of the last reading would leave it out.
        sell(&mut shop, 2, HOUR);
        shop.configure("stripe_api_base", &own);
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(paid(&mut shop), ["INV-1", "INV-2"], "{has_events}");
    }
}

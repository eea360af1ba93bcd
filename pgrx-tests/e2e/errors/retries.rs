//! Which failed requests are retried, and after how long.

use std::time::Duration;

use serde_json::json;
use stripe_double::{Action, Fault};

use crate::harness::Shop;
use crate::harness::sale::Sale;

/// Presses the button once with this fault; gives the answer or the SQLSTATE.
fn press(shop: &mut Shop, sale: &Sale, fault: Fault) -> Result<serde_json::Value, String> {
    shop.stripe.clear_faults();
    shop.stripe.reset_requests();
    shop.stripe.fault(fault);
    crate::harness::server::attempt_json(&mut shop.db, &sale.sync()).map_err(|error| error.sqlstate)
}

#[test]
fn what_passes_is_tried_again_and_counted() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let passing = [
        Fault::new(Action::Status(500)),
        Fault::new(Action::Status(503)),
        Fault::new(Action::RateLimited),
        Fault::new(Action::LockTimeout),
        Fault::new(Action::Reset),
        Fault::new(Action::CloseBeforeAnswer),
        Fault::new(Action::TruncatedBody),
        Fault::new(Action::Status(400)).should_retry("true"),
    ];
    for fault in passing {
        let label = format!("{fault:?}");
        let answer = press(&mut shop, &sale, fault).expect(&label);
        assert_eq!(shop.stripe.requests().len(), 2, "{label}");
        assert_eq!(answer["stats"]["stripeRetries"], json!(1), "{label}");
        assert_eq!(answer["stats"]["stripeRequests"], json!(2), "{label}");
    }
    assert_eq!(
        shop.texts("select stripe_retries from invoice_sync.run where stripe_retries <> 1"),
        Vec::<Option<String>>::new()
    );
}

#[test]
fn what_stripe_says_not_to_try_again_is_not() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let lasting = [
        (
            Fault::new(Action::Status(500)).should_retry("false"),
            "08006",
        ),
        (
            Fault::new(Action::RateLimited).should_retry("false"),
            "08006",
        ),
        (Fault::new(Action::Status(400)), "08P01"),
        // Longer than is ever waited, and longer than the button's patience.
        (Fault::new(Action::RateLimited).retry_after(61), "08006"),
        (Fault::new(Action::RateLimited).retry_after(20), "08006"),
    ];
    for (fault, sqlstate) in lasting {
        let label = format!("{fault:?}");
        let error = press(&mut shop, &sale, fault).expect_err(&label);
        assert_eq!(error, sqlstate, "{label}");
        assert_eq!(shop.stripe.requests().len(), 1, "{label}");
    }
}

#[test]
fn four_tries_are_all() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let error = press(&mut shop, &sale, Fault::new(Action::Status(500)).always());
    assert_eq!(error, Err("08006".to_owned()));
    assert_eq!(shop.stripe.requests().len(), 4);
}

#[test]
fn retry_after_is_waited_for() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let fault = Fault::new(Action::RateLimited).retry_after(2);
    press(&mut shop, &sale, fault).expect("the second try answers");
    let seen = shop.stripe.requests();
    let pause = seen[1].arrived - seen[0].arrived;
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
}

#[test]
fn a_stripe_that_is_down_is_asked_by_no_more_than_a_few() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 100);
    shop.stripe.fault(
        Fault::new(Action::Status(503))
            .should_retry("false")
            .always(),
    );
    let report = shop.sweep();
    assert_eq!(report["success"], json!(false));
    assert_eq!(report["error"]["sqlstate"], json!("08006"));
    let asked = shop.stripe.requests().len();
    assert!(asked <= 5 + 8, "{asked} requests for 100 invoices");
    assert_eq!(
        shop.text("select count(*) from invoice_sync.issue where state = 'open'"),
        Some("1".into()),
        "one issue, not 100"
    );
}

//! When Stripe is asked again about an unpaid invoice.

use stripe_double::{Action, Checkout, Fault, Intent};

use super::run;
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// Time passes until every check is due.
const A_LONG_TIME: &str = "update invoice_sync.invoice_check
    set checked_at = checked_at - interval '1 year',
        next_check_at = next_check_at - interval '1 year'";

fn invoice(shop: &mut Shop, number: &str, session: &str, intent: &str) {
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount,
                               stripe_session_id, stripe_payment_intent)
        values ('{number}', 'Customer', 'Sent', 100, nullif('{session}', ''), nullif('{intent}', ''))"
    ));
}

/// How many requests a sweep makes beside that for the feed.
fn questions_of_a_sweep(shop: &mut Shop) -> usize {
    shop.stripe.reset_requests();
    run(&mut shop.db);
    shop.stripe.count_of("/v1/") - shop.stripe.count_of("/v1/events")
}

#[test]
fn checks_of_what_stays_open_back_off_to_a_month() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    invoice(&mut shop, "INV-1", &open.session_id(), "");
    for back_off in [
        "00:15:00",
        "00:30:00",
        "01:00:00",
        "02:00:00",
        "04:00:00",
        "08:00:00",
        "16:00:00",
        "32:00:00",
        "64:00:00",
        "128:00:00",
        "256:00:00",
        "512:00:00",
        "30 days",
        "30 days",
    ] {
        assert_eq!(questions_of_a_sweep(&mut shop), 1, "it is due: {back_off}");
        assert_eq!(
            shop.text("select back_off from invoice_sync.invoice_check"),
            Some(back_off.to_owned())
        );
        assert_eq!(
            shop.text(
                "select next_check_at - checked_at between back_off - interval '31 seconds' and back_off
                from invoice_sync.invoice_check"
            ),
            Some("true".to_owned()),
            "a little less than {back_off}"
        );
        assert_eq!(questions_of_a_sweep(&mut shop), 0, "not yet: {back_off}");
        shop.execute(A_LONG_TIME);
    }
}

#[test]
fn where_the_feed_cannot_be_read_they_are_a_day_apart_at_the_most() {
    let mut shop = Shop::open();
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    invoice(&mut shop, "INV-1", &open.session_id(), "");
    let forbidden = Fault::new(Action::Status(403)).should_retry("false");
    shop.stripe.fault(forbidden.always().on_path("/v1/events"));
    for _ in 0..10 {
        run(&mut shop.db);
        shop.execute(A_LONG_TIME);
    }
    assert_eq!(
        shop.text("select back_off from invoice_sync.invoice_check"),
        Some("1 day".to_owned())
    );
}

#[test]
fn what_is_final_is_never_asked_about_again() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    let expired = shop.stripe.checkout(Checkout::new(10_000, "usd")).expire();
    let canceled = shop.stripe.intent(Intent::new(10_000, "usd")).cancel();
    invoice(&mut shop, "INV-1", &expired.session_id(), "");
    invoice(&mut shop, "INV-2", "", &canceled.intent_id());
    assert_eq!(questions_of_a_sweep(&mut shop), 2);
    for _ in 0..3 {
        shop.execute(A_LONG_TIME);
        assert_eq!(questions_of_a_sweep(&mut shop), 0);
    }
}

#[test]
fn another_stored_id_is_asked_about_at_once() {
    let mut shop = Shop::open();
    let expired = shop.stripe.checkout(Checkout::new(10_000, "usd")).expire();
    // Nobody knows whose it is, when its events come.
    let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    invoice(&mut shop, "INV-1", &expired.session_id(), "");
    run(&mut shop.db);
    assert_eq!(questions_of_a_sweep(&mut shop), 0);

    shop.execute(&format!(
        "update invoices set stripe_session_id = '{}'",
        paid.session_id()
    ));
    assert_eq!(questions_of_a_sweep(&mut shop), 1);
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
}

#[test]
fn what_the_application_has_settled_is_due_no_more() {
    let mut shop = Shop::open();
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    invoice(&mut shop, "INV-1", &open.session_id(), "");
    run(&mut shop.db);
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        select id, 'By the application', 'Paid', 100, '{}' from invoices;
        update invoices set invoice_status = 'Paid', amount_paid = 100, balance_due = 0, paid_date = now();
        {A_LONG_TIME}",
        open.session_id()
    ));
    assert_eq!(questions_of_a_sweep(&mut shop), 0);
    assert_eq!(
        shop.text(
            "select count(*) from invoice_sync.invoice_check where next_check_at is not null"
        ),
        Some("0".into())
    );
}

#[test]
fn what_was_put_off_by_a_clock_that_was_ahead_is_due_once_it_is_set_back() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    let session = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    invoice(&mut shop, "INV-1", &session.session_id(), "");
    let id = "7d8e6b50-0000-4000-8000-000000000002";
    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount)
        values ('{id}', 'INV-2', 'Customer', 'Sent', 100)"
    ));
    let named = shop
        .stripe
        .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", id))
        .pay();
    let broken = Fault::new(Action::Html(200)).always();
    shop.stripe.fault(broken.on_object(named.session_id()));
    run(&mut shop.db);
    shop.stripe.clear_faults();
    // No event tells of it any more.
    session.pay();
    shop.execute(
        "update invoice_sync.feed set place = jsonb_build_object('read_at', extract(epoch from now())::bigint);
        update invoice_sync.invoice_check set next_check_at = now() + interval '40 days';
        update invoice_sync.event set next_attempt_at = now() + interval '3 days' where state = 'pending';
        update invoice_sync.round set thorough_at = now() + interval '3 days'",
    );
    shop.stripe.age(24 * 60 * 60);
    run(&mut shop.db);
    assert_eq!(
        shop.texts("select invoice_number from invoices where invoice_status = 'Paid' order by 1"),
        [Some("INV-1".to_owned()), Some("INV-2".to_owned())]
    );
}

#[test]
fn what_is_booked_leaves_no_check_and_is_asked_about_at_once_if_it_leaves_the_books() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let checks = "select count(*) from invoice_sync.invoice_check";
    run(&mut shop.db);
    assert_eq!(shop.text(checks).as_deref(), Some("0"));
    assert_eq!(questions_of_a_sweep(&mut shop), 0);
    let next_request = format!(
        "select value from invoice_sync.explain('{}') where what = 'next request'",
        sale.invoice
    );
    assert_eq!(shop.text(&next_request).as_deref(), Some("none"));

    shop.execute("delete from payments");

    assert_eq!(shop.text(&next_request).as_deref(), Some("the next sweep"));
    assert_eq!(questions_of_a_sweep(&mut shop), 1);
    let booked = "select count(*) from payments";
    assert_eq!(shop.text(booked).as_deref(), Some("1"));
    assert_eq!(shop.text(checks).as_deref(), Some("0"));
    assert_eq!(questions_of_a_sweep(&mut shop), 0);
}

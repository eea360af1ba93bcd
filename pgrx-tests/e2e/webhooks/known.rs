//! Stripe sends several events of one payment that succeeded, and is asked once about all of them.

use stripe_double::Refund;

use crate::harness::Shop;
use crate::harness::sale::Sale;

const EVENTS: [&str; 2] = ["checkout.session.completed", "payment_intent.succeeded"];

/// A shop with a payment of which the first of these events was acted on, and how many requests Stripe has had.
fn after_the_first_of(events: [&str; 2]) -> (Shop, Sale, usize) {
    let mut shop = Shop::with_webhooks();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.deliver_all(&events[..1]);
    assert_eq!(books(&mut shop).as_deref(), Some("INV-1 Paid 100.00"));
    let requests = shop.stripe.requests().len();
    (shop, sale, requests)
}

fn books(shop: &mut Shop) -> Option<String> {
    shop.text(
        "select string_agg(i.invoice_number || ' ' || p.payment_status || ' ' || p.total_amount::numeric(9, 2), ', ')
        from payments p join invoices i on i.id = p.invoice_id",
    )
}

#[test]
fn stripe_is_asked_once_about_the_events_of_a_payment_in_either_order() {
    for events in [EVENTS, [EVENTS[1], EVENTS[0]]] {
        let (mut shop, _, asked) = after_the_first_of(events);
        let before = shop.dump_of(&["invoices", "payments"]);

        shop.deliver_all(&events[1..]);

        assert_eq!(shop.stripe.requests().len(), asked, "{events:?}");
        assert_eq!(
            shop.dump_of(&["invoices", "payments"]),
            before,
            "{events:?}"
        );
        assert_eq!(
            shop.texts("select state from invoice_sync.event order by created, id"),
            [(); 2].map(|()| Some("done".to_owned())),
            "{events:?}"
        );
        assert_eq!(shop.open_issues(), Vec::<String>::new(), "{events:?}");
    }
}

/// What another event might tell is asked for, as long as there is anything to learn or to do.
#[test]
fn stripe_is_asked_again_where_something_is_left_or_time_has_passed() {
    for change in [
        "update invoice_sync.stripe_payment set seen_at = seen_at - interval '61 seconds'",
        // The server's clock was set back.
        "update invoice_sync.stripe_payment set seen_at = seen_at + interval '1 day'",
        "update invoice_sync.stripe_payment set received = received - 1",
        "update invoice_sync.stripe_payment set currency = 'eur'",
        "update invoice_sync.stripe_payment set charge_id = null",
        "update invoice_sync.stripe_payment set refunded = 100",
        "update invoice_sync.stripe_payment set dispute = 'lost'",
        "insert into invoice_sync.invoice_check (invoice_id, stored_ids, next_check_at)
        select invoice_id, '{}', now() + interval '1 day' from invoice_sync.stripe_payment",
        "insert into invoice_sync.invoice_check (invoice_id, stored_ids, awaited)
        select invoice_id, '{}', array['pi_1'] from invoice_sync.stripe_payment",
    ] {
        let (mut shop, _, asked) = after_the_first_of(EVENTS);
        shop.execute(change);

        shop.deliver_all(&EVENTS[1..]);

        assert!(shop.stripe.requests().len() > asked, "{change}");
    }
}

#[test]
fn an_issue_about_the_payment_or_its_invoice_is_looked_into() {
    let (mut shop, sale, asked) = after_the_first_of(EVENTS);
    // The application's own handler books the payment for another invoice, too.
    shop.book_for_another("INV-2", &sale.intent);
    shop.sweep();
    let is_reported = |shop: &mut Shop| {
        let issues = shop.open_issues();
        issues.iter().any(|it| it.starts_with("duplicate_payment"))
    };
    assert!(is_reported(&mut shop));
    let asked = shop.stripe.requests().len().max(asked);
    shop.execute("update payments set payment_status = 'Failed' where payment_name = 'Handler'");

    // The sweep has read the others in the feed.
    shop.stripe.emit(EVENTS[1], &sale.intent);
    shop.deliver_all(&EVENTS[1..]);

    assert!(shop.stripe.requests().len() > asked);
    assert!(!is_reported(&mut shop));
}

#[test]
fn a_refund_is_asked_about_however_soon_it_comes() {
    let (mut shop, sale, _) = after_the_first_of(EVENTS);
    shop.stripe.refund(&sale.intent, Refund::of(10_000));

    shop.deliver_all(&["payment_intent.succeeded", "charge.refunded"]);

    assert_eq!(books(&mut shop).as_deref(), Some("INV-1 Refunded 100.00"));
}

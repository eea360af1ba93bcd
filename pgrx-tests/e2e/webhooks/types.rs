//! Each type of event that is processed, delivered as Stripe posts it.

use stripe_double::{Dispute, Refund};

use crate::harness::Shop;
use crate::harness::sale::Sale;

/// A shop with one sale that is booked already.
fn booked() -> (Shop, Sale) {
    let mut shop = Shop::with_webhooks();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.deliver_all(&["checkout.session.completed"]);
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
    (shop, sale)
}

/// A shop with an open checkout session that an invoice refers to.
fn open_session() -> (Shop, stripe_double::Purchase) {
    let mut shop = Shop::with_webhooks();
    let purchase = shop
        .stripe
        .checkout(stripe_double::Checkout::new(10_000, "usd"));
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Customer', 'Sent', 100, '{}')",
        purchase.session_id()
    ));
    (shop, purchase)
}

/// Delivers the events of one type, of which there must be some.
fn deliver(shop: &mut Shop, kind: &str) {
    let there = shop
        .stripe
        .events()
        .iter()
        .any(|event| event["type"] == kind);
    assert!(there, "the stand-in emitted no {kind}");
    shop.deliver_all(&[kind]);
    let settled = format!("select distinct state from invoice_sync.event where type = '{kind}'");
    assert_eq!(shop.texts(&settled), [Some("done".to_owned())], "{kind}");
}

fn payment(shop: &mut Shop) -> Option<String> {
    shop.text("select payment_status from payments")
}

fn invoice(shop: &mut Shop) -> Option<String> {
    shop.text("select invoice_status from invoices")
}

#[test]
fn payment_intent_succeeded() {
    let mut shop = Shop::with_webhooks();
    let paid = shop
        .stripe
        .intent(stripe_double::Intent::new(10_000, "usd"))
        .pay();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_payment_intent)
        values ('INV-1', 'Customer', 'Sent', 100, '{}')",
        paid.intent_id()
    ));
    deliver(&mut shop, "payment_intent.succeeded");
    assert_eq!(payment(&mut shop), Some("Paid".into()));
    assert_eq!(invoice(&mut shop), Some("Paid".into()));
}

#[test]
fn checkout_session_async_payment_succeeded() {
    let (mut shop, purchase) = open_session();
    let processing = purchase.process();
    deliver(&mut shop, "checkout.session.completed");
    assert_eq!(payment(&mut shop), None, "the money is still in flight");
    processing.succeed();
    deliver(&mut shop, "checkout.session.async_payment_succeeded");
    assert_eq!(payment(&mut shop), Some("Paid".into()));
    assert_eq!(invoice(&mut shop), Some("Paid".into()));
}

#[test]
fn checkout_session_async_payment_failed_and_payment_intent_payment_failed() {
    let (mut shop, purchase) = open_session();
    purchase.process().fail();
    deliver(&mut shop, "checkout.session.async_payment_failed");
    deliver(&mut shop, "payment_intent.payment_failed");
    assert_eq!(payment(&mut shop), None);
    assert_eq!(invoice(&mut shop), Some("Sent".into()));
}

#[test]
fn checkout_session_expired() {
    let (mut shop, purchase) = open_session();
    purchase.expire();
    deliver(&mut shop, "checkout.session.expired");
    assert_eq!(invoice(&mut shop), Some("Sent".into()));
    assert_eq!(
        shop.text("select next_check_at is null from invoice_sync.invoice_check"),
        Some("true".into()),
        "it is final"
    );
}

#[test]
fn payment_intent_canceled() {
    let mut shop = Shop::with_webhooks();
    let canceled = shop
        .stripe
        .intent(stripe_double::Intent::new(10_000, "usd"))
        .cancel();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_payment_intent)
        values ('INV-1', 'Customer', 'Sent', 100, '{}')",
        canceled.intent_id()
    ));
    deliver(&mut shop, "payment_intent.canceled");
    assert_eq!(invoice(&mut shop), Some("Sent".into()));
}

#[test]
fn charge_refunded_refund_created_and_refund_updated() {
    for kind in ["charge.refunded", "refund.created"] {
        let (mut shop, sale) = booked();
        shop.stripe.purchase(&sale.session).refund(Refund::whole());
        deliver(&mut shop, kind);
        assert_eq!(payment(&mut shop), Some("Refunded".into()), "{kind}");
        assert_eq!(
            invoice(&mut shop),
            Some("Paid".into()),
            "{kind}: never set back"
        );
        assert_eq!(shop.open_issues(), ["refunded INV-1"], "{kind}");
    }
}

#[test]
fn refund_updated_refund_failed_and_charge_refund_updated() {
    for kind in ["refund.failed", "refund.updated", "charge.refund.updated"] {
        let (mut shop, sale) = booked();
        let refund = shop
            .stripe
            .purchase(&sale.session)
            .refund(Refund::whole().status("pending"));
        deliver(&mut shop, "refund.created");
        assert_eq!(payment(&mut shop), Some("Refunded".into()), "{kind}");
        shop.stripe.update_refund(&refund, "failed");
        deliver(&mut shop, kind);
        assert_eq!(
            payment(&mut shop),
            Some("Paid".into()),
            "{kind}: as if there had been none"
        );
        assert_eq!(shop.open_issues(), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn charge_dispute_created_and_closed() {
    for (ending, word, issues) in [
        ("won", "Paid", vec![]),
        ("lost", "Disputed", vec!["disputed INV-1"]),
    ] {
        let (mut shop, sale) = booked();
        let dispute = shop
            .stripe
            .purchase(&sale.session)
            .dispute(Dispute::new("needs_response"));
        deliver(&mut shop, "charge.dispute.created");
        assert_eq!(payment(&mut shop), Some("Disputed".into()), "{ending}");
        assert_eq!(shop.open_issues(), ["disputed INV-1"], "{ending}");
        shop.stripe.update_dispute(&dispute, ending);
        deliver(&mut shop, "charge.dispute.closed");
        assert_eq!(payment(&mut shop), Some(word.into()), "{ending}");
        assert_eq!(
            invoice(&mut shop),
            Some("Paid".into()),
            "{ending}: never set back"
        );
        assert_eq!(shop.open_issues(), issues, "{ending}");
    }
}

#[test]
fn an_older_event_never_undoes_a_newer_state() {
    for fetch in [true, false] {
        let (mut shop, sale) = booked();
        shop.execute(&format!(
            "update invoice_sync.settings set stripe_fetch_on_webhook = {fetch}"
        ));
        // An event of the second in which Stripe was asked may be older than its answer.
        shop.stripe.advance_clock(1);
        shop.stripe
            .purchase(&sale.session)
            .refund(Refund::of(4_000));
        shop.stripe
            .purchase(&sale.session)
            .refund(Refund::of(6_000));
        let mut refunds: Vec<_> = shop
            .stripe
            .events()
            .into_iter()
            .filter(|event| event["type"] == "charge.refunded")
            .collect();
        assert_eq!(refunds.len(), 2);
        // The newer one first.
        refunds.reverse();
        for event in &refunds {
            crate::harness::sender::deliver(&mut shop.db, &event.to_string()).expect("accepted");
        }
        assert_eq!(payment(&mut shop), Some("Refunded".into()), "fetch {fetch}");
        assert_eq!(shop.open_issues(), ["refunded INV-1"], "fetch {fetch}");
    }
}

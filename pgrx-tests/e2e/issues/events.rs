//! Issues about events that cannot be read or processed are resolved when they are processed, when their payment was
//! checked since, or by a person.

use stripe_double::{Action, Checkout, Fault};

use super::{latest, look, the};
use crate::harness::Shop;
use crate::harness::sender::deliver;

/// A payment whose session cannot be read; its intent can.
fn unreadable_session(shop: &mut Shop) -> String {
    let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    shop.stripe.fault(
        Fault::new(Action::Html(200))
            .always()
            .on_object(paid.session_id()),
    );
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount)
        values ('INV-1', 'Ada', 'Sent', 100)",
    );
    paid.intent_id()
}

fn until_it_is_hopeless(shop: &mut Shop) -> i64 {
    for _ in 0..8 {
        look(shop);
    }
    the(shop, "event_failing")
}

const PENDING: &str = "select count(*) from invoice_sync.event where state = 'pending'";

#[test]
fn it_ends_when_the_payment_was_looked_at_since() {
    for entry_point in ["button", "sweep"] {
        let mut shop = Shop::open();
        let intent = unreadable_session(&mut shop);
        let issue = until_it_is_hopeless(&mut shop);
        shop.execute(&format!(
            "update invoices set stripe_payment_intent = '{intent}'"
        ));
        if entry_point == "button" {
            let invoice = shop.text("select id from invoices").expect("the invoice");
            shop.sync(&invoice);
        } else {
            look(&mut shop);
        }
        assert_eq!(
            shop.text("select invoice_status from invoices"),
            Some("Paid".into())
        );
        let over = latest(&mut shop, "event_failing").expect("it is on record");
        assert_eq!(
            (over.id, over.state.as_str()),
            (issue, "resolved"),
            "{entry_point}"
        );
        assert_eq!(over.resolution, None, "{entry_point}");
        assert_eq!(shop.text(PENDING), Some("0".into()), "{entry_point}");
        for _ in 0..3 {
            look(&mut shop);
            assert_eq!(shop.open_issues(), [""; 0], "{entry_point}");
        }
    }
}

#[test]
fn it_is_not_reported_where_the_payment_is_looked_at_another_way() {
    let mut shop = Shop::open();
    let intent = unreadable_session(&mut shop);
    look(&mut shop);
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{intent}'"
    ));
    for _ in 0..9 {
        look(&mut shop);
    }
    assert_eq!(
        shop.text("select count(*) from invoice_sync.issue"),
        Some("0".into())
    );
}

#[test]
fn an_answer_from_before_the_event_ends_nothing() {
    let mut shop = Shop::open();
    let intent = unreadable_session(&mut shop);
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{intent}'"
    ));
    look(&mut shop);
    shop.stripe.fault(
        Fault::new(Action::Html(200))
            .always()
            .on_object(intent.clone()),
    );
    shop.stripe.emit("payment_intent.succeeded", &intent);
    let issue = until_it_is_hopeless(&mut shop);
    // Asked about, and nothing was understood.
    look(&mut shop);
    assert_eq!(the(&mut shop, "event_failing"), issue);
}

#[test]
fn one_that_cannot_be_read_ends_when_its_payment_was_looked_at_or_it_comes_again() {
    for ends in ["the payment is booked", "it is delivered"] {
        let mut shop = Shop::with_webhooks();
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        let events = shop.stripe.events();
        let about_it = events.iter().filter(|it| it["type"] != "charge.succeeded");
        let ids: Vec<String> = about_it
            .map(|it| it["id"].as_str().expect("a text").to_owned())
            .collect();
        for id in &ids {
            shop.stripe.remove_field(id, "livemode");
        }
        shop.sweep();
        let open = shop.open_issues();
        assert!(
            !open.is_empty() && open.iter().all(|it| it == "event_failing -"),
            "{open:?}"
        );
        look(&mut shop);
        assert_eq!(shop.open_issues(), open, "{ends}");
        if ends == "it is delivered" {
            for event in events {
                deliver(&mut shop.db, &event.to_string()).expect("it is taken");
            }
        } else {
            shop.execute(&format!(
                "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
                values ('INV-1', 'Ada', 'Sent', 100, '{}')",
                paid.session_id()
            ));
            look(&mut shop);
            assert_eq!(
                shop.text("select invoice_status from invoices"),
                Some("Paid".into())
            );
        }
        for _ in 0..3 {
            assert_eq!(shop.open_issues(), [""; 0], "{ends}");
            look(&mut shop);
        }
    }
}

#[test]
fn what_a_person_dismissed_stays_dismissed_whichever_of_the_events_fails_again() {
    let mut shop = Shop::open();
    unreadable_session(&mut shop);
    let issue = until_it_is_hopeless(&mut shop);
    let failing = shop.json(&format!(
        "to_jsonb(jsonb_array_length(evidence -> 'failing')) from invoice_sync.issue where id = {issue}"
    ));
    assert!(failing.as_i64() >= Some(2), "{failing}");
    shop.json(&format!("invoice_sync.resolve_issue({issue}, 'ignore')"));
    for due in ["min", "max"] {
        shop.execute(&format!(
            "update invoice_sync.event set next_attempt_at = '-infinity'
            where id = (select {due}(id) from invoice_sync.event where state = 'pending')"
        ));
        shop.sweep();
        assert_eq!(shop.open_issues(), [""; 0], "{due}");
    }
    shop.execute(
        "update invoice_sync.event set state = 'done', processed_at = now()
        where id = (select min(id) from invoice_sync.event where state = 'pending')",
    );
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0], "fewer of them are no news");
}

#[test]
fn acknowledged_it_is_reported_once() {
    let mut shop = Shop::open();
    unreadable_session(&mut shop);
    let issue = until_it_is_hopeless(&mut shop);
    shop.execute(&format!("select invoice_sync.acknowledge_issue({issue})"));
    for _ in 0..5 {
        shop.age(24 * 3600);
        look(&mut shop);
    }
    let after = latest(&mut shop, "event_failing").expect("it stays");
    assert_eq!((after.id, after.state.as_str()), (issue, "acknowledged"));
    assert_eq!(
        shop.text("select count(*) from invoice_sync.alert_issue"),
        Some("1".into())
    );
}

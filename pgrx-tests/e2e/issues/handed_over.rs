//! Received money to which an invoice no longer refers is always reported by exactly one issue.

use stripe_double::{Checkout, Intent};

use super::look;
use crate::harness::Shop;
use crate::harness::sender::deliver;

/// Through what somebody comes upon the money or the invoice.
const ENTRY_POINTS: [&str; 4] = ["sweep", "run_sweep", "backfill", "button"];

fn pass_through(shop: &mut Shop, entry_point: &str) {
    shop.make_all_due();
    match entry_point {
        "sweep" => {
            shop.sweep();
        }
        "run_sweep" => shop.execute("call invoice_sync.run_sweep()"),
        "backfill" => shop.execute("call invoice_sync.backfill(now() - interval '1 day')"),
        "button" => {
            if let Some(id) = shop.text("select id from invoices where invoice_number = 'INV-1'") {
                shop.sync(&id);
            }
        }
        other => panic!("no such entry point: {other}"),
    }
}

/// `kind invoice` of all that is open; of the money, exactly one at any moment.
fn reported(shop: &mut Shop) -> Vec<String> {
    shop.open_issues()
}

fn invoice(shop: &mut Shop, number: &str, id: &str) {
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('{number}', 'Ada', 'Sent', 100, nullif('{id}', ''))"
    ));
}

/// `INV-1` stores the session of a payment that names the invoice `INV-2`.
fn misplaced(shop: &mut Shop) -> String {
    let named = Checkout::new(10_000, "usd").metadata("invoice_id", "INV-2");
    let paid = shop.stripe.checkout(named).pay();
    invoice(shop, "INV-1", &paid.session_id());
    look(shop);
    assert_eq!(reported(shop), ["unlinked_payment INV-1"]);
    paid.intent_id()
}

/// Whatever looks at it again, three times: nothing changes, and nothing more is reported.
fn stays(shop: &mut Shop, wanted: &[&str]) {
    look(shop);
    let count = "select format('%s %s', (select count(*) from invoice_sync.issue),
        (select count(*) from invoice_sync.alert_issue))";
    let before = shop.text(count);
    for _ in 0..3 {
        for entry_point in ENTRY_POINTS {
            pass_through(shop, entry_point);
            assert_eq!(reported(shop), wanted, "{entry_point}");
        }
        look(shop);
        assert_eq!(reported(shop), wanted);
    }
    assert_eq!(shop.text(count), before, "no other issue, and no mail");
}

const BOOKS: &str = "select concat_ws(' ', string_agg(concat_ws(' ', invoice_number, invoice_status), ', ' order by invoice_number),
    (select count(*) from payments)) from invoices";

#[test]
fn once_the_invoice_refers_to_it_no_longer_it_is_money_without_an_invoice() {
    for entry_point in ENTRY_POINTS {
        let mut shop = Shop::open();
        misplaced(&mut shop);
        let session = shop.text("select max(stripe_session_id) from invoices");
        let session = session.expect("it refers to one");
        shop.execute("update invoices set stripe_session_id = null");
        pass_through(&mut shop, entry_point);
        assert_eq!(reported(&mut shop), ["unlinked_payment -"], "{entry_point}");
        stays(&mut shop, &["unlinked_payment -"]);

        // And back, if the id is written again.
        shop.execute(&format!(
            "update invoices set stripe_session_id = '{session}'"
        ));
        look(&mut shop);
        assert_eq!(
            reported(&mut shop),
            ["unlinked_payment INV-1"],
            "{entry_point}"
        );
        stays(&mut shop, &["unlinked_payment INV-1"]);
    }
}

#[test]
fn where_another_invoice_takes_the_place_of_the_id_it_is_the_same() {
    for entry_point in ENTRY_POINTS {
        let mut shop = Shop::open();
        misplaced(&mut shop);
        let own = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        shop.execute(&format!(
            "update invoices set stripe_session_id = '{}'",
            own.session_id()
        ));
        pass_through(&mut shop, entry_point);
        assert_eq!(reported(&mut shop), ["unlinked_payment -"], "{entry_point}");
        stays(&mut shop, &["unlinked_payment -"]);
        assert_eq!(
            shop.text(BOOKS),
            Some("INV-1 Paid 1".into()),
            "{entry_point}"
        );
    }
}

#[test]
fn the_invoice_that_it_names_books_it() {
    for entry_point in ENTRY_POINTS {
        let mut shop = Shop::open();
        misplaced(&mut shop);
        invoice(&mut shop, "INV-2", "");
        stays(&mut shop, &["unlinked_payment INV-1"]);
        shop.execute("update invoices set stripe_session_id = null");
        pass_through(&mut shop, entry_point);
        assert_eq!(reported(&mut shop), [""; 0], "{entry_point}");
        let booked = "INV-1 Sent, INV-2 Paid 1";
        assert_eq!(shop.text(BOOKS).as_deref(), Some(booked), "{entry_point}");
        stays(&mut shop, &[]);
        assert_eq!(shop.text(BOOKS).as_deref(), Some(booked), "{entry_point}");
    }
}

#[test]
fn of_an_invoice_that_is_deleted_it_is_money_without_an_invoice() {
    for entry_point in ["sweep", "run_sweep", "backfill"] {
        let mut shop = Shop::open();
        misplaced(&mut shop);
        shop.execute("delete from invoices");
        pass_through(&mut shop, entry_point);
        assert_eq!(reported(&mut shop), ["unlinked_payment -"], "{entry_point}");
        stays(&mut shop, &["unlinked_payment -"]);
    }
}

#[test]
fn money_that_names_nobody_is_reported_after_its_invoice_was_deleted() {
    for kind in [
        "unlinked_payment",
        "currency_mismatch",
        "possible_duplicate",
    ] {
        let mut shop = Shop::open();
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        invoice(&mut shop, "INV-1", &paid.session_id());
        shop.execute(match kind {
            "unlinked_payment" => "update invoices set invoice_status = 'Cancelled'",
            "currency_mismatch" => "update invoices set currency = 'eur'",
            _ => {
                "insert into payments (invoice_id, payment_name, payment_status, total_amount)
                select id, 'by hand', 'Paid', 100 from invoices"
            }
        });
        look(&mut shop);
        assert_eq!(reported(&mut shop), [format!("{kind} INV-1")]);
        shop.execute("delete from payments; delete from invoices");
        pass_through(&mut shop, "backfill");
        assert_eq!(
            reported(&mut shop),
            [format!("{kind} INV-1")],
            "the list names nobody"
        );
        pass_through(&mut shop, "run_sweep");
        assert_eq!(reported(&mut shop), ["unlinked_payment -"], "{kind}");
        let summary = shop
            .text("select summary from invoice_sync.open_issues")
            .unwrap_or_default();
        assert!(
            summary.contains("for invoice INV-1, which does not exist"),
            "{summary}"
        );
        stays(&mut shop, &["unlinked_payment -"]);
        shop.stripe.reset_requests();
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(
            shop.stripe.count_of("/v1/"),
            1,
            "{kind}: nothing is asked again"
        );

        // Another invoice of that number is not known to be the one that it was for.
        invoice(&mut shop, "INV-1", "");
        stays(&mut shop, &["unlinked_payment -"]);
        shop.execute(&format!(
            "update invoices set stripe_session_id = '{}'",
            paid.session_id()
        ));
        look(&mut shop);
        assert_eq!(reported(&mut shop), [""; 0], "{kind}");
        assert_eq!(shop.text(BOOKS), Some("INV-1 Paid 1".into()), "{kind}");
    }
}

#[test]
fn what_is_booked_for_another_invoice_is_not_reported_once_the_id_is_gone() {
    for entry_point in ["sweep", "run_sweep", "backfill", "button"] {
        for name in ["", "INV-2"] {
            let mut shop = Shop::open();
            let checkout = Checkout::new(10_000, "usd").metadata("invoice_id", name);
            let paid = shop.stripe.checkout(checkout).pay();
            invoice(&mut shop, "INV-2", &paid.session_id());
            look(&mut shop);
            invoice(&mut shop, "INV-1", &paid.session_id());
            look(&mut shop);
            assert_eq!(
                reported(&mut shop),
                ["unlinked_payment INV-1"],
                "{entry_point} {name}"
            );
            stays(&mut shop, &["unlinked_payment INV-1"]);
            shop.execute(
                "update invoices set stripe_session_id = null where invoice_number = 'INV-1'",
            );
            pass_through(&mut shop, entry_point);
            assert_eq!(reported(&mut shop), [""; 0], "{entry_point} {name}");
            stays(&mut shop, &[]);
        }
    }
}

#[test]
fn a_webhook_leaves_it_where_it_is_until_somebody_else_reports_it() {
    let mut shop = Shop::with_webhooks();
    let intent = misplaced(&mut shop);
    shop.execute("update invoices set stripe_session_id = null");
    shop.stripe.emit("payment_intent.succeeded", &intent);
    let event = shop.stripe.events().pop().expect("it was emitted");
    let answer = deliver(&mut shop.db, &event.to_string()).expect("it is taken");
    assert_eq!(
        answer["result"], "stored, to be processed later",
        "INV-2 may come yet"
    );
    for _ in 0..3 {
        assert_eq!(reported(&mut shop), ["unlinked_payment INV-1"]);
        look(&mut shop);
    }
    shop.age(2 * 60 * 60);
    look(&mut shop);
    assert_eq!(reported(&mut shop), ["unlinked_payment -"]);
    stays(&mut shop, &["unlinked_payment -"]);
}

#[test]
fn while_stripe_cannot_be_asked_the_invoice_reports_it() {
    let mut shop = Shop::open();
    misplaced(&mut shop);
    let url = shop.stripe.url();
    shop.execute("delete from invoices");
    shop.configure("stripe_api_base", "http://127.0.0.1:9");
    look(&mut shop);
    assert_eq!(
        reported(&mut shop),
        ["stripe_unreachable -", "unlinked_payment INV-1"]
    );
    shop.configure("stripe_api_base", &url);
    look(&mut shop);
    assert_eq!(reported(&mut shop), ["unlinked_payment -"]);
}

#[test]
fn another_payment_of_the_invoice_ends_nothing() {
    let mut shop = Shop::with_webhooks();
    misplaced(&mut shop);
    shop.execute("update invoices set stripe_session_id = null");
    let own = Intent::new(4_000, "usd").metadata("invoice_id", "INV-1");
    shop.stripe.intent(own).pay();
    shop.deliver_all(&["payment_intent.succeeded"]);
    assert_eq!(shop.text(BOOKS), Some("INV-1 Partial 1".into()));
    assert_eq!(reported(&mut shop), ["unlinked_payment INV-1"]);
    let dry = shop.json("invoice_sync.sweep(dry_run => true)");
    assert_eq!(
        dry["details"]["issues"][0]["invoiceId"],
        serde_json::Value::Null,
        "{dry}"
    );
    look(&mut shop);
    assert_eq!(reported(&mut shop), ["unlinked_payment -"]);
}

#[test]
fn money_that_may_be_a_row_by_hand_stays_the_invoices_when_another_id_is_stored() {
    for entry_point in ENTRY_POINTS {
        let mut shop = Shop::open();
        let first = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        invoice(&mut shop, "INV-1", &first.session_id());
        shop.execute(
            "insert into payments (invoice_id, payment_name, payment_status, total_amount)
            select id, 'by hand', 'Paid', 100 from invoices",
        );
        look(&mut shop);
        let second = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        shop.execute(&format!(
            "update invoices set stripe_session_id = '{}'",
            second.session_id()
        ));
        pass_through(&mut shop, entry_point);
        let twice = ["possible_duplicate INV-1", "possible_duplicate INV-1"];
        assert_eq!(reported(&mut shop), twice, "{entry_point}");
        stays(&mut shop, &twice);
        shop.stripe.reset_requests();
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(shop.stripe.count_of("/v1/"), 1, "{entry_point}");
    }
}

#[test]
fn of_two_invoices_that_are_deleted_it_is_money_without_an_invoice() {
    let mut shop = Shop::open();
    let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    for number in ["INV-1", "INV-2"] {
        invoice(&mut shop, number, &paid.session_id());
        look(&mut shop);
    }
    assert_eq!(reported(&mut shop), ["unlinked_payment INV-2"]);
    shop.execute("delete from payments; delete from invoices");
    pass_through(&mut shop, "run_sweep");
    assert_eq!(reported(&mut shop), ["unlinked_payment -"]);
    stays(&mut shop, &["unlinked_payment -"]);
    shop.stripe.reset_requests();
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(shop.stripe.count_of("/v1/"), 1);
}

#[test]
fn what_is_booked_for_another_invoice_is_no_duplicate_of_a_row_by_hand() {
    for entry_point in ["sweep", "run_sweep", "button"] {
        let mut shop = Shop::open();
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        invoice(&mut shop, "INV-2", &paid.session_id());
        look(&mut shop);
        invoice(&mut shop, "INV-1", &paid.session_id());
        shop.execute(
            "insert into payments (invoice_id, payment_name, payment_status, total_amount)
            select id, 'by hand', 'Paid', 100 from invoices where invoice_number = 'INV-1'",
        );
        pass_through(&mut shop, entry_point);
        assert_eq!(
            reported(&mut shop),
            ["unlinked_payment INV-1"],
            "{entry_point}"
        );
        stays(&mut shop, &["unlinked_payment INV-1"]);
    }
}

#[test]
fn another_payment_of_the_invoice_does_not_end_the_checks() {
    let mut shop = Shop::with_webhooks();
    let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    for number in ["INV-2", "INV-1"] {
        invoice(&mut shop, number, &paid.session_id());
        look(&mut shop);
    }
    assert_eq!(reported(&mut shop), ["unlinked_payment INV-1"]);
    let own = Intent::new(10_000, "usd").metadata("invoice_id", "INV-1");
    shop.stripe.intent(own).pay();
    shop.execute("update invoices set stripe_session_id = null where invoice_number = 'INV-1'");
    shop.deliver_all(&["payment_intent.succeeded"]);
    assert_eq!(shop.text(BOOKS), Some("INV-1 Paid, INV-2 Paid 2".into()));
    let due = "select count(*) from invoice_sync.invoice_check c join invoices i on i.id::text = c.invoice_id
        where i.invoice_number = 'INV-1' and c.next_check_at is not null";
    assert_eq!(shop.text(due).as_deref(), Some("1"));
    shop.age(6 * 60 * 60);
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(reported(&mut shop), [""; 0]);
}

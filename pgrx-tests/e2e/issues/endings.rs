//! Issues of invoices that are created late or deleted, and of a Stripe that does not answer.

use serde_json::json;
use stripe_double::Checkout;

use super::{look, the};
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// Money for the invoice `INV-LATE`, which nobody has committed within an hour.
fn unclaimed(shop: &mut Shop) -> String {
    let named = Checkout::new(10_000, "usd").metadata("invoice_id", "INV-LATE");
    let paid = shop.stripe.checkout(named).pay();
    shop.sweep();
    shop.execute(
        "update invoice_sync.event set received_at = received_at - interval '2 hours', next_attempt_at = now()",
    );
    shop.sweep();
    paid.intent_id()
}

fn late_invoice(shop: &mut Shop) {
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount)
        values ('INV-LATE', 'Ada', 'Sent', 100)",
    );
}

const STATE: &str = "select concat_ws(' ', invoice_status, trim_scale(amount_paid), (select count(*) from payments)) from invoices";

#[test]
fn money_without_an_invoice_is_refreshed_and_booked_when_the_invoice_comes() {
    let mut shop = Shop::open();
    unclaimed(&mut shop);
    let issue = the(&mut shop, "unlinked_payment");
    let seen = "select times_seen from invoice_sync.open_issues";
    let before = shop.rows(seen)[0].get::<_, i32>(0);
    look(&mut shop);
    look(&mut shop);
    assert_eq!(
        the(&mut shop, "unlinked_payment"),
        issue,
        "and not repeated"
    );
    assert_eq!(shop.rows(seen)[0].get::<_, i32>(0), before + 2, "refreshed");

    late_invoice(&mut shop);
    let preview = shop.json("invoice_sync.sweep(dry_run => true)");
    assert_eq!(preview["fixed"], json!(1), "{preview}");
    assert_eq!(shop.sweep()["fixed"], json!(1));

    assert_eq!(shop.text(STATE), Some("Paid 100 1".into()));
    assert_eq!(shop.open_issues(), [""; 0]);
    look(&mut shop);
    assert_eq!(shop.text(STATE), Some("Paid 100 1".into()));
}

#[test]
fn money_that_its_invoice_refuses_is_tried_again_until_it_is_booked() {
    let mut shop = Shop::open();
    unclaimed(&mut shop);
    late_invoice(&mut shop);
    shop.execute(
        "create function meddle() returns trigger language plpgsql as $$ begin raise exception 'closed'; end $$;
        create trigger meddle before insert on payments for each row execute function meddle()",
    );
    look(&mut shop);
    assert_eq!(
        shop.open_issues(),
        ["apply_failed INV-LATE", "unlinked_payment -"]
    );
    shop.execute("drop trigger meddle on payments");
    look(&mut shop);
    assert_eq!(shop.text(STATE), Some("Paid 100 1".into()));
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn money_that_somebody_enters_by_hand_is_not_unlinked_any_more() {
    let mut shop = Shop::open();
    let intent = unclaimed(&mut shop);
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due, paid_date)
        values ('INV-1', 'Ada', 'Paid', 100, 100, 0, now());
        insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
        select id, 'by hand', 'Paid', 100, '{intent}' from invoices"
    ));
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
    assert_eq!(shop.text(STATE), Some("Paid 100 1".into()));
}

#[test]
fn the_issues_of_an_invoice_that_is_deleted_are_over() {
    let mut shop = Shop::open();
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
        values ('INV-1', 'Ada', 'Paid', 100, 100, 0)",
    );
    Sale::unbooked(&mut shop, "INV-2");
    look(&mut shop);
    assert_eq!(shop.open_issues(), ["paid_without_payment INV-1"]);
    shop.execute("delete from invoices where invoice_number = 'INV-1'");
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
    assert_eq!(
        shop.text("select resolution from invoice_sync.issue"),
        None,
        "by itself"
    );
}

#[test]
fn a_missing_or_unreadable_key_is_an_issue_and_reported() {
    for broken in [
        "stripe_api_key = ''",
        "stripe_api_key = 'file:/nowhere/key'",
    ] {
        let mut shop = Shop::open();
        Sale::unbooked(&mut shop, "INV-1");
        let name = shop.name().to_owned();
        shop.execute(&format!("alter database {name} set invoice_sync.{broken}"));
        shop.db = shop.connect();

        let report = shop.sweep();

        assert_eq!(report["success"], json!(false), "{report}");
        assert_eq!(shop.open_issues(), ["stripe_unreachable -"], "{broken}");
        let summary = shop
            .text("select summary from invoice_sync.open_issues")
            .unwrap_or_default();
        assert!(
            summary.starts_with("Stripe could not be asked"),
            "{summary}"
        );
        assert_eq!(
            shop.text("select count(*) from invoice_sync.alerts"),
            Some("1".into())
        );
        look(&mut shop);
        assert_eq!(
            shop.text("select count(*) from invoice_sync.alerts"),
            Some("1".into()),
            "once"
        );

        shop.use_key(crate::harness::KEY);
        look(&mut shop);
        assert_eq!(shop.open_issues(), [""; 0]);
    }
}

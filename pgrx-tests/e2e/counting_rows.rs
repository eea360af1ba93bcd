//! Rows that count, by the conditions in the settings.

use serde_json::json;
use stripe_double::{Checkout, Refund};

use crate::harness::Shop;
use crate::harness::sale::Sale;

mod checked;

/// The default tables with a mark for deleted rows on both.
fn with_deletions() -> Shop {
    let mut shop = Shop::open();
    shop.execute(
        "alter table invoices add deleted_at timestamptz;
        alter table payments add deleted_at timestamptz;
        update invoice_sync.settings set invoice_condition = 'deleted_at is null',
            payment_condition = 'payments.deleted_at is null -- the others are gone'",
    );
    shop
}

/// Status, amount paid and number of payments of the invoice, and how many of them are marked as deleted.
fn books(shop: &mut Shop, number: &str) -> String {
    shop.text(&format!(
        "select format('%s %s: %s, %s deleted', i.invoice_status, trim_scale(i.amount_paid), count(p), count(p.deleted_at))
        from invoices i left join payments p on p.invoice_id = i.id
        where i.invoice_number = '{number}' group by i.id"
    ))
    .unwrap_or_default()
}

#[test]
fn a_deleted_payment_does_not_count_and_is_not_booked_again() {
    for entry_point in ["button", "feed", "list"] {
        let mut shop = with_deletions();
        let sale = deleted_payment(&mut shop);
        let look = |shop: &mut Shop| match entry_point {
            "button" => drop(shop.sync(&sale.invoice)),
            "feed" => {
                shop.stripe.refund(&sale.intent, Refund::of(1_000));
                shop.sweep();
            }
            _ => shop.execute("call invoice_sync.backfill('2020-01-01')"),
        };

        look(&mut shop);

        assert_eq!(
            books(&mut shop, "INV-1"),
            "Sent 0: 1, 1 deleted",
            "{entry_point}"
        );
        let issues = shop.open_issues();
        assert!(
            issues.contains(&"possible_duplicate INV-1".to_owned()),
            "{entry_point}: {issues:?}"
        );

        // It was deleted by mistake.
        shop.execute("update payments set deleted_at = null");
        shop.sweep();
        let paid = if entry_point == "feed" {
            "Partial 90"
        } else {
            "Paid 100"
        };
        assert_eq!(
            books(&mut shop, "INV-1"),
            format!("{paid}: 1, 0 deleted"),
            "{entry_point}"
        );
        shop.sync(&sale.invoice);
        let issues = shop.open_issues();
        assert!(
            !issues.contains(&"possible_duplicate INV-1".to_owned()),
            "{entry_point}: {issues:?}"
        );
    }
}

/// A sale that was booked, and whose payment the application then deleted and took back in the invoice.
fn deleted_payment(shop: &mut Shop) -> Sale {
    let sale = Sale::unbooked(shop, "INV-1");
    shop.sweep();
    assert_eq!(books(shop, "INV-1"), "Paid 100: 1, 0 deleted");
    shop.execute(
        "update payments set deleted_at = now();
        update invoices set invoice_status = 'Sent', amount_paid = 0, balance_due = 100",
    );
    sale
}

#[test]
fn a_person_may_have_a_deleted_payment_booked_anew() {
    let mut shop = with_deletions();
    let sale = deleted_payment(&mut shop);
    shop.sync(&sale.invoice);
    let resolve = |action: &str| {
        format!("select invoice_sync.resolve_issue(id, '{action}') from invoice_sync.open_issues")
    };

    let linked = shop.error(&resolve("link_row"));
    assert_eq!(
        linked.message,
        "the row does not count by the setting payment_condition"
    );
    shop.execute(&resolve("book_anyway"));

    assert_eq!(books(&mut shop, "INV-1"), "Paid 100: 2, 1 deleted");
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
    shop.sweep();
    assert_eq!(books(&mut shop, "INV-1"), "Paid 100: 2, 1 deleted");
}

#[test]
fn what_a_deleted_row_only_expected_is_booked() {
    let mut shop = with_deletions();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id, deleted_at)
        values ('{}', 'Deposit', 'Pending', 100, '{}', now())",
        sale.invoice, sale.session
    ));

    shop.sweep();

    assert_eq!(books(&mut shop, "INV-1"), "Paid 100: 2, 1 deleted");
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
}

#[test]
fn a_payment_that_was_deleted_since_the_last_round_is_noticed() {
    let mut shop = with_deletions();
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-1', 'C', 'Paid', 100, 100);
        insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, name, 'Paid', 50 from invoices, (values ('Cash'), ('Check')) n (name)",
    );
    shop.sweep();
    shop.sweep();
    assert_eq!(shop.open_issues(), [] as [&str; 0]);

    shop.execute("update payments set deleted_at = now() where payment_name = 'Check'");
    shop.sweep();

    assert_eq!(shop.open_issues(), ["amount_mismatch INV-1"]);
}

#[test]
fn money_for_a_deleted_invoice_is_reported_and_not_booked() {
    let mut shop = with_deletions();
    // Its row has the session; a second one is only named in the metadata; the third has a pending payment.
    Sale::unbooked(&mut shop, "INV-1");
    shop.stripe
        .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", "INV-2"))
        .pay();
    let third = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount) values
            ('INV-2', 'C', 'Sent', 100), ('INV-3', 'C', 'Sent', 100);
        insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        select id, 'Deposit', 'Pending', 100, '{}' from invoices where invoice_number = 'INV-3';
        update invoices set deleted_at = now()",
        third.session_id()
    ));

    shop.sweep();

    for number in ["INV-1", "INV-2"] {
        assert_eq!(books(&mut shop, number), "Sent 0: 0, 0 deleted");
    }
    assert_eq!(books(&mut shop, "INV-3"), "Sent 0: 1, 0 deleted");
    assert_eq!(
        shop.texts(
            "select kind || substring(summary from ' for invoice INV-., which does not count') from invoice_sync.open_issues order by 1"
        ),
        ["INV-1", "INV-2", "INV-3"].map(|number| Some(format!(
            "unlinked_payment for invoice {number}, which does not count"
        )))
    );

    shop.execute("update invoices set deleted_at = null");
    shop.sweep();
    for number in ["INV-1", "INV-2", "INV-3"] {
        assert_eq!(books(&mut shop, number), "Paid 100: 1, 0 deleted");
    }
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
}

#[test]
fn what_was_booked_before_an_invoice_was_deleted_is_neither_reported_nor_booked_for_another() {
    let mut shop = with_deletions();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    shop.execute("update invoices set deleted_at = now()");

    shop.stripe.refund(&sale.intent, Refund::of(1_000));
    shop.sweep();
    assert_eq!(shop.open_issues(), [] as [&str; 0]);

    // Its successor names the same payment.
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-2', 'C', 'Sent', 100, '{}')",
        sale.session
    ));
    shop.sweep();
    assert_eq!(books(&mut shop, "INV-2"), "Sent 0: 0, 0 deleted");
    assert_eq!(shop.open_issues(), ["unlinked_payment INV-2"]);
}

#[test]
fn deleted_invoices_are_not_looked_at() {
    let mut shop = with_deletions();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, deleted_at)
        values ('INV-2', 'C', 'Paid', 100, now());
        update invoices set invoice_status = 'Paid', deleted_at = now()",
    );

    shop.sweep();

    assert_eq!(shop.open_issues().len(), 1, "{:?}", shop.open_issues());
    for view in ["paid_without_payment", "stripe_without_payment"] {
        assert_eq!(
            shop.json(&format!(
                "(select count(*) from invoice_sync.{view})::text::jsonb"
            )),
            json!(0)
        );
    }
    let gone = shop.error(&format!(
        "select invoice_sync.sync_invoice('{}')",
        sale.invoice
    ));
    assert_eq!(gone.sqlstate, "P0002");
}

#[test]
fn a_new_payment_that_would_not_count_is_refused() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table payments add provider text;
        update invoice_sync.settings set payment_condition = $$provider = 'stripe'$$",
    );
    Sale::unbooked(&mut shop, "INV-1");

    shop.sweep();

    assert_eq!(shop.open_issues(), ["apply_failed INV-1"]);
    assert_eq!(
        shop.text("select count(*) from payments").as_deref(),
        Some("0")
    );
    shop.execute(
        r#"update invoice_sync.settings set payment_values = payment_values || '{"provider": {"value": "stripe"}}'"#,
    );
    shop.sweep();
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
    assert_eq!(
        shop.text("select provider from payments").as_deref(),
        Some("stripe")
    );
}

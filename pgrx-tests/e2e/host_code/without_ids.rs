//! Invoices that store no Stripe id: they are found by their payments and by metadata.

use serde_json::json;
use stripe_double::{Checkout, Refund};

use super::count;
use crate::harness::Shop;

fn without_ids() -> Shop {
    let mut shop = Shop::open();
    shop.execute(
        "alter table invoices drop stripe_session_id, drop stripe_payment_intent;
        update invoice_sync.settings set invoice_session_column = null, invoice_intent_column = null",
    );
    shop
}

/// An invoice over 125, and a pending payment of it with this session, if there is one; gives the invoice's id.
fn invoice(shop: &mut Shop, number: &str, session: Option<&str>) -> String {
    let id: String = shop.rows(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, balance_due)
        values ('{number}', 'Ada', 'Sent', 125, 125) returning id::text"
    ))[0]
        .get(0);
    if let Some(session) = session {
        shop.execute(&format!(
            "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
            values ('{id}', 'P', 'Pending', 125, '{session}')"
        ));
    }
    id
}

fn books(shop: &mut Shop, number: &str) -> Option<String> {
    shop.text(&format!(
        "select concat_ws(' ', invoice_status, trim_scale(amount_paid), trim_scale(balance_due),
                          (select string_agg(payment_status || ' ' || trim_scale(total_amount), ', ' order by total_amount)
                           from payments p where p.invoice_id = i.id))
        from invoices i where invoice_number = '{number}'"
    ))
}

#[test]
fn a_lost_payment_is_found_by_its_pending_row_or_by_what_it_names() {
    let mut shop = without_ids();
    let awaited = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    invoice(&mut shop, "INV-1", Some(&awaited.session_id()));
    invoice(&mut shop, "INV-2", None);
    for amount in [4_000, 8_500] {
        shop.stripe
            .checkout(Checkout::new(amount, "usd").metadata("invoice_id", "INV-2"))
            .pay();
    }

    shop.sweep();

    assert_eq!(
        books(&mut shop, "INV-1").as_deref(),
        Some("Paid 125 0 Paid 125")
    );
    assert_eq!(
        books(&mut shop, "INV-2").as_deref(),
        Some("Paid 125 0 Paid 40, Paid 85")
    );
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
    for view in ["paid_without_payment", "stripe_without_payment"] {
        assert_eq!(count(&mut shop, &format!("invoice_sync.{view}")), 0);
    }
    shop.rows("select * from invoice_sync.doctor()");

    // Stripe names the payment only by its id now.
    shop.stripe.refund(&awaited.intent_id(), Refund::of(2_500));
    shop.sweep();
    assert_eq!(shop.open_issues(), ["partially_refunded INV-1"]);
}

#[test]
fn the_button_asks_about_the_pending_row() {
    let mut shop = without_ids();
    let awaited = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    let id = invoice(&mut shop, "INV-1", Some(&awaited.session_id()));
    let other = invoice(&mut shop, "INV-2", None);

    shop.sync(&id);
    shop.sync(&other);

    assert_eq!(
        books(&mut shop, "INV-1").as_deref(),
        Some("Paid 125 0 Paid 125")
    );
    assert_eq!(books(&mut shop, "INV-2").as_deref(), Some("Sent 0 125"));
}

#[test]
fn a_sweep_asks_about_a_pending_row_that_no_event_reports() {
    let mut shop = without_ids();
    shop.skip_look_back();
    let awaited = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    shop.age(40 * 86_400);
    shop.stripe.age(40 * 86_400);
    invoice(&mut shop, "INV-1", Some(&awaited.session_id()));

    let report = shop.sweep();

    assert_eq!(report["fixed"], json!(1), "{report}");
    assert_eq!(
        books(&mut shop, "INV-1").as_deref(),
        Some("Paid 125 0 Paid 125")
    );
}

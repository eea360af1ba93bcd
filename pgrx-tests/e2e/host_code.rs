//! Triggers and constraints of the application: what they reject or change, and as whom they run.

mod amounts;
mod columns;
mod keys;
mod late_values;
mod moved_status;
mod overridden;
mod reading;
mod refused;
mod rights;
mod sources;
mod statuses;
mod without_ids;

use stripe_double::Checkout;

use crate::harness::Shop;

/// An invoice over 125 whose webhook was lost; gives its id.
fn lost(shop: &mut Shop, number: &str) -> String {
    let session = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    sent(shop, number, &session.session_id())
}

/// An invoice over 125 that stores this session; gives its id.
fn sent(shop: &mut Shop, number: &str, session: &str) -> String {
    let inserted = shop.rows(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, balance_due, stripe_session_id)
        values ('{number}', 'Ada', 'Sent', 125, 125, '{session}') returning id::text"
    ));
    inserted[0].get(0)
}

/// `status amount_paid balance_due` of an invoice.
fn invoice(shop: &mut Shop, id: &str) -> String {
    shop.text(&format!(
        "select concat_ws(' ', invoice_status, trim_scale(amount_paid), trim_scale(balance_due))
        from invoices where id = '{id}'"
    ))
    .expect("the invoice is there")
}

/// One number, such as a count.
fn count(shop: &mut Shop, from: &str) -> i64 {
    shop.rows(&format!("select count(*) from {from}"))[0].get(0)
}

//! Views in place of the application's tables: one or both, updated by PostgreSQL or by triggers.

mod doctor;
mod locks;
mod rights;
mod shapes;
mod without_ids;

use stripe_double::Checkout;

use crate::harness::Shop;

/// The default tables in the schema `kept`, and what makes views of them.
fn shop(views: &str) -> Shop {
    let tables = crate::harness::DEFAULT_TABLES;
    Shop::with_tables(&format!(
        "{tables}
        create schema kept;
        alter table invoices set schema kept;
        alter table payments set schema kept;
        {views}"
    ))
}

/// Views that PostgreSQL updates by itself.
const PLAIN: &str = "
    create view invoices as select * from kept.invoices;
    create view payments as select * from kept.payments;";

/// Makes the settings be checked anew.
const CHECK: &str = "update invoice_sync.settings set time_zone = 'UTC'";

/// An invoice over 125 whose webhook was lost; gives its id.
fn lost(shop: &mut Shop, number: &str) -> String {
    let paid = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    let session = paid.session_id();
    let inserted = shop.rows(&format!(
        "insert into kept.invoices (invoice_number, customer, invoice_status, total_amount, balance_due, stripe_session_id)
        values ('{number}', 'Ada', 'Sent', 125, 125, '{session}') returning id::text"
    ));
    inserted[0].get(0)
}

/// Status, amount paid and the payments of an invoice, as the tables behind the views have them.
fn books(shop: &mut Shop, id: &str) -> String {
    shop.text(&format!(
        "select concat_ws(' ', i.invoice_status, trim_scale(i.amount_paid), (
            select string_agg(concat_ws(' ', p.payment_status, trim_scale(p.total_amount)), ', ' order by p.total_amount)
            from kept.payments p where p.invoice_id = i.id))
        from kept.invoices i where i.id = '{id}'"
    ))
    .expect("the invoice is there")
}

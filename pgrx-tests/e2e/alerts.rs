//! Alerts about issues: each is sent once, by mail and on a channel.

mod changed;
mod channel;
mod crash;
mod delivery;
mod digest;

use serde_json::Value;

use crate::harness::Shop;

/// The key that every stand-in knows.
const RESEND_KEY: &str = "re_double";

/// A shop whose alerts are mailed to two people.
pub fn shop() -> Shop {
    let mut shop = Shop::open();
    shop.use_secret("resend_api_key", RESEND_KEY);
    let base = shop.stripe.url();
    shop.configure("resend_api_base", &base);
    address(&mut shop);
    shop
}

fn address(shop: &mut Shop) {
    shop.execute(
        "update invoice_sync.settings set alert_sender = 'Books <books@example.com>',
            alert_recipients = '{ann@example.com,Bob <bob@example.com>}'",
    );
}

/// An invoice that is marked as paid, and no payment is recorded: a warning.
fn paid_without_payment(shop: &mut Shop, number: &str) {
    shop.db
        .execute(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
            values ($1, 'Customer', 'Paid', 100, 100)",
            &[&number],
        )
        .expect("the invoice is inserted");
}

/// Somebody records the payment.
fn record_payment(shop: &mut Shop, number: &str) {
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 100 from invoices where invoice_number = '{number}'"
    ));
}

fn send(shop: &mut Shop) -> Value {
    shop.json("invoice_sync.send_alerts()")
}

/// So much time passes, for the outbox.
fn pass(shop: &mut Shop, time: &str) {
    shop.execute(&format!(
        "update invoice_sync.alert set created_at = created_at - interval '{time}',
            sent_at = sent_at - interval '{time}', next_attempt_at = next_attempt_at - interval '{time}'"
    ));
}

fn subjects(shop: &Shop) -> Vec<String> {
    let mails = shop.stripe.emails();
    let subject = |mail: &Value| mail["subject"].as_str().unwrap_or_default().to_owned();
    mails.iter().map(subject).collect()
}

/// `state attempts occasions` of every alert, the oldest first.
fn outbox(shop: &mut Shop) -> Vec<String> {
    shop.texts(
        "select format('%s %s %s', state, attempts, occasions) from invoice_sync.alerts order by id",
    )
    .into_iter()
    .flatten()
    .collect()
}

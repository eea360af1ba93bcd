//! Notifications on the channel `invoice_sync_issues`.

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::{Value, json};

use super::{outbox, paid_without_payment, pass, record_payment};
use crate::harness::Shop;

/// One who listens.
struct Listener(Client);

impl Listener {
    fn of(shop: &Shop) -> Self {
        let mut session = shop.connect();
        session
            .batch_execute("listen invoice_sync_issues")
            .expect("it listens");
        Self(session)
    }

    /// All that was reported since the last call: commits are notified in their order,
    /// so what comes before a word of our own is all.
    fn heard(&mut self, shop: &mut Shop) -> Vec<Value> {
        shop.execute("notify invoice_sync_issues, 'that is all'");
        let mut heard = Vec::new();
        let mut notifications = self.0.notifications();
        let mut reported = notifications.blocking_iter();
        while let Some(notification) = reported.next().expect("the session lives") {
            if notification.payload() == "that is all" {
                break;
            }
            heard.push(serde_json::from_str(notification.payload()).expect("it is JSON"));
        }
        heard
    }
}

#[test]
fn listeners_are_notified_with_neither_key_nor_address() {
    let mut shop = Shop::open();
    let mut listener = Listener::of(&shop);
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    shop.sweep();
    let heard = listener.heard(&mut shop);
    let id = shop.text("select id from invoices");
    let summary = shop.text("select summary from invoice_sync.issue");
    assert_eq!(
        heard,
        [json!({
            "alert": 1, "run": 1, "new": 1, "changed": 0, "reminder": 0, "resolved": 0,
            "issues": [{
                "id": 1, "occasion": "new", "severity": "warning", "kind": "paid_without_payment",
                "invoice_id": id, "invoice_number": "INV-1", "object": null, "summary": summary,
            }],
            "issues_left_out": 0,
        })]
    );
    assert_eq!(outbox(&mut shop), ["unaddressed 0 {new}"]);
    assert_eq!(shop.stripe.count_of("/emails"), 0);
}

#[test]
fn listeners_are_notified_of_reminders_and_of_the_end() {
    let mut shop = Shop::open();
    shop.execute("update invoice_sync.settings set alert_when_resolved = true");
    let mut listener = Listener::of(&shop);
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    pass(&mut shop, "4 days");
    shop.sweep();
    record_payment(&mut shop, "INV-1");
    shop.sweep();
    let heard: Vec<_> = listener
        .heard(&mut shop)
        .iter()
        .map(|reported| reported["issues"][0]["occasion"].clone())
        .collect();
    assert_eq!(heard, ["new", "reminder", "resolved"]);
}

#[test]
fn a_long_list_is_cut_and_the_rest_counted() {
    let mut shop = Shop::open();
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        select 'INV-' || n, 'Customer', 'Paid', 100, 100 from generate_series(1, 200) n",
    );
    let mut listener = Listener::of(&shop);
    shop.sweep();
    let heard = listener.heard(&mut shop);
    assert_eq!(heard.len(), 1);
    let listed = heard[0]["issues"].as_array().expect("a list").len();
    assert!(listed > 0 && listed < 200, "{listed}");
    assert_eq!(heard[0]["new"], 200);
    assert_eq!(heard[0]["issues_left_out"], 200 - listed);
}

#[test]
fn a_sweep_that_is_rolled_back_notifies_nobody() {
    let mut shop = super::shop();
    let mut listener = Listener::of(&shop);
    paid_without_payment(&mut shop, "INV-1");
    shop.execute("begin; select invoice_sync.sweep(); select invoice_sync.sweep(); rollback");
    assert_eq!(listener.heard(&mut shop), Vec::<Value>::new());
    assert_eq!(outbox(&mut shop), Vec::<String>::new());
    super::send(&mut shop);
    assert_eq!(shop.stripe.count_of("/emails"), 0);
}

#[test]
fn the_channel_says_as_much_as_the_setting_allows() {
    let mut shop = Shop::open();
    let mut listener = Listener::of(&shop);
    shop.execute("update invoice_sync.settings set alert_notify = 'ids'");
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    let heard = listener.heard(&mut shop);
    assert_eq!(
        heard[0]["issues"],
        json!([{ "id": 1, "occasion": "new", "severity": "warning", "kind": "paid_without_payment" }])
    );
    shop.execute("update invoice_sync.settings set alert_notify = 'off'");
    paid_without_payment(&mut shop, "INV-2");
    shop.sweep();
    assert_eq!(listener.heard(&mut shop), [json!(null); 0]);
    assert_eq!(outbox(&mut shop).len(), 2, "the outbox has it all the same");
}

//! Events of unknown mode or account are kept, and are not booked by their own content.

use serde_json::json;

use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::{KEY, Shop};

/// A shop that acts on what events say, and one completed session's event.
fn shop_without_fetching() -> (Shop, serde_json::Value) {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = false");
    Sale::named(&mut shop, "INV-1");
    let mut event = shop.stripe.events().into_iter();
    let event = event.find(|event| event["type"] == "checkout.session.completed");
    (shop, event.expect("a session was completed"))
}

fn assert_kept(shop: &mut Shop, event: &serde_json::Value) {
    let answer = deliver(&mut shop.db, &event.to_string()).expect("stored");
    assert_eq!(answer["result"], json!("stored, to be processed later"));
    assert_eq!(
        shop.text("select state from invoice_sync.event"),
        Some("pending".into())
    );
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
}

#[test]
fn an_event_waits_while_the_keys_mode_is_not_known() {
    for reference in ["file:/no/such/file", "vault:no_such_secret", ""] {
        let (mut shop, event) = shop_without_fetching();
        shop.configure("stripe_api_key", reference);
        assert_kept(&mut shop, &event);

        shop.use_key(KEY);
        shop.execute("update invoice_sync.event set next_attempt_at = now()");
        assert_eq!(shop.sweep()["fixed"], json!(1), "{reference}");
    }
}

#[test]
fn with_an_account_an_event_that_names_none_is_not_believed() {
    let (mut shop, mut event) = shop_without_fetching();
    shop.configure("stripe_account", "acct_ours");
    assert_kept(&mut shop, &event);
    shop.execute("delete from invoice_sync.event");

    event["account"] = json!("acct_ours");
    let answer = deliver(&mut shop.db, &event.to_string()).expect("stored");
    assert_eq!(answer["result"], json!("processed"));
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
}

//! Signs and delivers webhooks as Stripe does.

use hmac::{Hmac, KeyInit, Mac};
use postgres::Client;
use serde_json::Value;
use sha2::Sha256;

use super::{Shop, SqlError};

/// The endpoint's secret in all tests.
pub const SECRET: &str = "whsec_f3b0c44298fc1c149afbf4c8996fb924";

/// Returns the signature header `t=…,v1=…` of a body, as Stripe sends it.
pub fn signature(secret: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(format!("{timestamp}.{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={timestamp},v1={hex}")
}

/// Returns seconds since 1970.
pub fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_secs()
        .try_into()
        .expect("and before the end of time")
}

/// Delivers a signed body through `handle_webhook(text, text)`.
pub fn deliver(client: &mut Client, body: &str) -> Result<Value, SqlError> {
    deliver_signed(client, body, &signature(SECRET, now(), body))
}

pub fn deliver_signed(client: &mut Client, body: &str, signature: &str) -> Result<Value, SqlError> {
    client
        .query_one(
            "select invoice_sync.handle_webhook($1::text, $2::text)",
            &[&body, &signature],
        )
        .map(|row| row.get(0))
        .map_err(|error| SqlError::from(&error))
}

impl Shop {
    /// Creates a shop with a webhook secret.
    pub fn with_webhooks() -> Self {
        let mut shop = Self::open();
        shop.use_secret("stripe_webhook_secret", SECRET);
        shop
    }

    /// Delivers all events of these types that Stripe has, in order.
    pub fn deliver_all(&mut self, types: &[&str]) {
        for event in self.stripe.events() {
            if types.contains(&event["type"].as_str().unwrap_or_default()) {
                deliver(&mut self.db, &event.to_string())
                    .unwrap_or_else(|error| panic!("{}: {error:?}", event["type"]));
            }
        }
    }
}

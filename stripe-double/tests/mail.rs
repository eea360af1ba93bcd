//! Resend's endpoint.

mod common;

use common::{get, post, start};
use serde_json::{Value, json};
use stripe_double::{Action, Fault};

#[test]
fn a_mail_is_sent_once_for_an_idempotency_key() {
    let double = start();
    let mail =
        json!({ "from": "a@example.com", "to": ["b@example.com"], "subject": "s", "text": "t" });
    let key = ("authorization", "Bearer re_double");
    let send = |headers: &[(&str, &str)], mail: &Value| post(&double, "/emails", headers, mail);
    let first = send(&[key, ("idempotency-key", "k1")], &mail);
    assert_eq!(first.status, 200);
    let again = send(&[key, ("idempotency-key", "k1")], &mail);
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(double.emails().len(), 1, "the second was the first");
    let mut other = mail.clone();
    other["subject"] = "another".into();
    let refused = send(&[key, ("idempotency-key", "k1")], &other);
    assert_eq!(
        (refused.status, &refused.body["name"]),
        (409, &json!("invalid_idempotent_request"))
    );
    assert_eq!(send(&[key], &other).status, 200);
    assert_eq!(double.emails()[1]["subject"], "another");
    assert_eq!(
        get(&double, "/_double/emails").body["data"][0]["idempotency_key"],
        "k1"
    );
}

#[test]
fn mail_errors_have_resends_shape() {
    let double = start();
    let mail = json!({ "from": "a@example.com", "subject": "s", "text": "t" });
    let key = ("authorization", "Bearer re_double");
    let refused = post(&double, "/emails", &[], &mail);
    assert_eq!(
        (refused.status, &refused.body["name"]),
        (401, &json!("missing_api_key"))
    );
    let refused = post(&double, "/emails", &[key], &mail);
    assert_eq!(
        (refused.status, &refused.body["statusCode"]),
        (422, &json!(422))
    );
    assert_eq!(refused.body["message"], "Missing `to` field.");
    double.fault(
        Fault::new(Action::RateLimited)
            .on_path("/emails")
            .retry_after(1),
    );
    let refused = post(&double, "/emails", &[key], &mail);
    assert_eq!(
        (refused.status, &refused.body["name"]),
        (429, &json!("rate_limit_exceeded"))
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(double.emails().is_empty());
}

//! Addresses, and links to the admin page.

use serde_json::{Value, json};

use super::AlertSettings;
use crate::pg::Problem;

pub(crate) fn row() -> Value {
    json!({
        "alert_sender": "Books <books@example.com>",
        "alert_recipients": ["ann@example.com"],
        "alert_notify": "full",
        "admin_page_url": null,
        "time_zone": "UTC",
    })
}

fn with(field: &str, value: Value) -> Result<AlertSettings, Problem> {
    let mut row = row();
    row[field] = value;
    AlertSettings::from_json(row)
}

#[test]
fn addresses_are_accepted_with_and_without_a_name() {
    for address in [
        "books@example.com",
        "Books <books@example.com>",
        "Bücher & Co <a.b+c@mail.example.com>",
        "<books@example.com>",
    ] {
        assert!(with("alert_sender", json!(address)).is_ok(), "{address}");
        assert!(
            with("alert_recipients", json!([address])).is_ok(),
            "{address}"
        );
    }
}

#[test]
fn an_invalid_address_is_refused_with_its_setting() {
    for address in [
        "",
        "books",
        "@example.com",
        "books@",
        "a@b@c",
        "two words@example.com",
        "a@example.com, b@example.com",
        "Books <books@example.com",
        "Books <books>",
        "a@example.com\nBcc: b@example.com",
        "Books\r\nBcc: b <a@example.com>",
    ] {
        for (setting, value) in [
            ("alert_sender", json!(address)),
            ("alert_recipients", json!(["ann@example.com", address])),
        ] {
            let problem = with(setting, value).expect_err(address);
            assert_eq!(problem.sqlstate_text(), "22023", "{address:?}");
            assert!(problem.message().starts_with(setting), "{problem:?}");
        }
    }
    let many = vec!["ann@example.com"; 51];
    assert!(with("alert_recipients", json!(many)).is_err());
}

#[test]
fn only_http_and_https_urls_are_links() {
    for url in [
        "javascript:alert(1)",
        "ftp://example.com",
        "HTTPS//example.com",
        "https://",
        "https:///x",
        "https://example.com/a b",
        "https://example.com/\"onload",
        "example.com",
        "",
    ] {
        let problem = with("admin_page_url", json!(url)).expect_err(url);
        assert_eq!(problem.sqlstate_text(), "22023", "{url}");
    }
}

#[test]
fn a_link_names_the_issue() {
    let link = |page: &str, invoice| {
        with("admin_page_url", json!(page))
            .expect("it is a URL")
            .link(7, invoice)
    };
    let page = "https://books.example.com/i";
    assert_eq!(
        link(page, Some("a")).as_deref(),
        Some("https://books.example.com/i#issue-7")
    );
    assert_eq!(
        link(
            "http://localhost/{invoice_id}?issue={issue_id}",
            Some("a/b {issue_id}\"")
        )
        .as_deref(),
        Some("http://localhost/a%2Fb%20%7Bissue_id%7D%22?issue=7")
    );
    assert_eq!(
        link("https://x/#top", None).as_deref(),
        Some("https://x/#top")
    );
    assert_eq!(
        link("https://x/{issue_id}", None).as_deref(),
        Some("https://x/7")
    );
    assert_eq!(link("https://x/{invoice_id}", None), None);
    assert_eq!(
        with("admin_page_url", Value::Null)
            .expect("none")
            .link(7, None),
        None
    );
}

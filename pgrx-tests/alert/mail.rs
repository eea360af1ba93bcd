//! The text of mails.

use serde_json::{Value, json};

use super::super::settings::AlertSettings;
use super::{Entry, Mail, compose};

fn entry(issue: i64, occasion: &str, severity: &str, number: &str) -> Entry {
    serde_json::from_value(json!({
        "issue": issue, "occasion": occasion, "severity": severity, "kind": "paid_without_payment",
        "invoice": "42", "number": number, "object": null,
        "summary": format!("Invoice {number} is marked Paid, but no payment is recorded."),
        "evidence": { "total": "100.00 USD", "stripe_ids": ["cs_1"] }, "since": "2026-11-23 14:05",
    }))
    .expect("it is an entry")
}

fn settings(admin_page_url: Option<&str>) -> AlertSettings {
    AlertSettings::from_json(json!({
        "alert_sender": "books@example.com",
        "alert_recipients": ["ann@example.com"],
        "alert_notify": "full",
        "admin_page_url": admin_page_url,
        "time_zone": "Europe/Vienna",
    }))
    .expect("they are good")
}

fn mail(entries: &[Entry]) -> Mail {
    compose(
        entries,
        &settings(Some("https://books.example.com/{invoice_id}")),
        "shop",
    )
}

#[test]
fn the_subject_counts_the_issues_by_occasion() {
    let subject = |listed: &[(&str, &str)]| {
        let entries: Vec<Entry> = listed
            .iter()
            .map(|(occasion, severity)| entry(1, occasion, severity, "INV-1"))
            .collect();
        mail(&entries).subject
    };
    assert_eq!(
        subject(&[("new", "warning"), ("new", "critical"), ("new", "warning")]),
        "3 new issues in your books: 1 critical, 2 warnings (shop)"
    );
    assert_eq!(
        subject(&[("new", "notice")]),
        "1 new issue in your books: 1 notice (shop)"
    );
    assert_eq!(
        subject(&[("reminder", "warning"), ("reminder", "warning")]),
        "Reminder: 2 issues still open in your books: 2 warnings (shop)"
    );
    assert_eq!(
        subject(&[("resolved", "warning")]),
        "1 issue resolved in your books (shop)"
    );
    assert_eq!(
        subject(&[
            ("new", "critical"),
            ("reminder", "warning"),
            ("resolved", "notice")
        ]),
        "1 new issue in your books, 1 still open, 1 resolved: 1 critical, 1 warning (shop)"
    );
}

#[test]
fn html_and_plain_text_have_the_same_content() {
    let mail = mail(&[entry(7, "new", "warning", "INV-1")]);
    for form in [&mail.html, &mail.text] {
        for expected in [
            "1 new issue in your books: 1 warning",
            "Invoice INV-1",
            "is marked Paid, but no payment is recorded.",
            "Total 100.00 USD",
            "Issue 7, paid without payment, since 2026-11-23 14:05 Europe/Vienna",
            "https://books.example.com/42",
        ] {
            assert!(form.contains(expected), "{expected}: {form}");
        }
    }
}

#[test]
fn issues_are_grouped_by_occasion_and_severity() {
    let text = mail(&[
        entry(4, "new", "critical", "INV-A"),
        entry(3, "new", "warning", "INV-B"),
        entry(5, "new", "warning", "INV-C"),
        entry(2, "reminder", "critical", "INV-D"),
        entry(1, "resolved", "notice", "INV-E"),
    ])
    .text;
    let in_order = [
        "\nCRITICAL\n",
        "* Invoice INV-A",
        "\nWARNINGS\n",
        "* Invoice INV-B",
        "* Invoice INV-C",
        "\nCRITICAL, STILL OPEN\n",
        "* Invoice INV-D",
        "\nNOTICES, RESOLVED\n",
        "* Invoice INV-E",
    ];
    let places: Vec<_> = in_order.iter().map(|title| text.find(title)).collect();
    assert!(
        places.is_sorted() && places[0].is_some(),
        "{places:?} {text}"
    );
}

#[test]
fn texts_of_issues_are_never_markup() {
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=y>";
    let mut entry = entry(1, "new", "critical", evil);
    entry.invoice = Some(evil.to_owned());
    entry.kind = evil.to_owned();
    entry.since = evil.to_owned();
    entry.evidence = json!({ "total": evil });
    let settings = settings(Some("https://books.example.com/{invoice_id}"));
    let html = compose(&[entry.clone()], &settings, evil).html;
    let harmless = compose(
        &[self::entry(1, "new", "critical", "INV-1")],
        &settings,
        "shop",
    )
    .html;
    for dangerous in ["<script", "<img", "onerror=y>\""] {
        assert!(!html.contains(dangerous), "{dangerous}: {html}");
    }
    let tags = |html: &str| html.matches('<').count();
    assert_eq!(tags(&html), tags(&harmless), "no value adds a tag");
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{html}"
    );
}

#[test]
fn a_subject_is_one_short_line() {
    let entries = [entry(1, "new", "critical", "INV-1")];
    let subject = compose(&entries, &settings(None), "shop\r\nBcc: x@example.com").subject;
    assert!(!subject.contains(char::is_control), "{subject:?}");
    let long = compose(&entries, &settings(None), &"s".repeat(500)).subject;
    assert_eq!(long.chars().count(), 160);
    assert!(long.ends_with('…'), "{long}");
}

#[test]
fn texts_of_issues_add_no_lines_to_the_plain_text() {
    let text = mail(&[entry(1, "new", "critical", "INV-1\n\n* Invoice INV-2")]).text;
    assert!(!text.contains("\n* Invoice INV-2"), "{text}");
}

#[test]
fn fifty_issues_are_described_and_the_rest_counted() {
    let entries: Vec<Entry> = (0..57)
        .map(|n| entry(n, "new", "warning", &format!("INV-{n}.")))
        .collect();
    let mail = mail(&entries);
    assert_eq!(
        mail.subject,
        "57 new issues in your books: 57 warnings (shop)"
    );
    assert_eq!(mail.text.matches("* Invoice").count(), 50);
    assert!(mail.text.contains("… and 7 more"), "{}", mail.text);
    assert!(mail.html.contains("… and 7 more"), "{}", mail.html);
}

#[test]
fn an_issue_about_all_invoices_has_no_number() {
    let mut entry = entry(1, "new", "critical", "");
    (entry.invoice, entry.number, entry.evidence) = (None, None, Value::Null);
    let text = compose(&[entry], &settings(None), "shop").text;
    assert!(text.contains("* All invoices"), "{text}");
    assert!(!text.contains("http"), "no page, no link: {text}");
}

#[test]
fn the_html_loads_nothing_from_the_network() {
    let html = mail(&[entry(1, "new", "critical", "INV-1")]).html;
    for fetched in ["<img", "<script", "<link", "url(", "@import", "src="] {
        assert!(!html.contains(fetched), "{fetched}: {html}");
    }
}

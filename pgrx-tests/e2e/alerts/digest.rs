//! Which issues an alert contains, who receives it, and how often.

use serde_json::json;

use super::{address, outbox, paid_without_payment, pass, record_payment, send, shop, subjects};
use crate::harness::Shop;
use crate::harness::sale::Sale;

#[test]
fn ten_sweeps_over_seven_issues_send_one_mail() {
    let mut shop = shop();
    for n in 1..=7 {
        paid_without_payment(&mut shop, &format!("INV-{n}"));
    }
    for _ in 0..10 {
        shop.sweep();
    }
    let mails = shop.stripe.emails();
    assert_eq!(mails.len(), 1, "{:?}", subjects(&shop));
    let mail = &mails[0];
    let subject = format!("7 new issues in your books: 7 warnings ({})", shop.name());
    assert_eq!(mail["subject"], subject);
    assert_eq!(mail["from"], "Books <books@example.com>");
    assert_eq!(
        mail["to"],
        json!(["ann@example.com", "Bob <bob@example.com>"])
    );
    for n in 1..=7 {
        for form in ["html", "text"] {
            let reported = mail[form].as_str().unwrap_or_default();
            assert!(
                reported.contains(&format!("Invoice INV-{n}")),
                "{n}: {reported}"
            );
        }
    }
    assert_eq!(outbox(&mut shop), ["sent 1 {new}"]);
    assert_eq!(
        shop.text("select issues from invoice_sync.alerts"),
        Some("{1,2,3,4,5,6,7}".into())
    );
}

#[test]
fn a_sweep_in_transactions_of_its_own_sends_what_it_committed() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(shop.stripe.emails().len(), 1, "in the same call");
    for _ in 0..3 {
        shop.execute("call invoice_sync.run_sweep()");
    }
    assert_eq!(shop.stripe.emails().len(), 1, "{:?}", subjects(&shop));
    assert_eq!(outbox(&mut shop), ["sent 1 {new}"]);
}

#[test]
fn an_issue_that_comes_later_is_reported_alone() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    paid_without_payment(&mut shop, "INV-2");
    shop.sweep();
    send(&mut shop);
    let mails = shop.stripe.emails();
    assert_eq!(mails.len(), 2, "{:?}", subjects(&shop));
    let second = mails[1]["text"].as_str().expect("text");
    assert!(
        second.contains("INV-2") && !second.contains("INV-1"),
        "{second}"
    );
}

#[test]
fn an_invoice_number_that_is_a_script_arrives_escaped() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "<script>alert(1)</script>");
    shop.sweep();
    send(&mut shop);
    let mails = shop.stripe.emails();
    let html = mails[0]["html"].as_str().expect("html");
    assert!(!html.contains("<script"), "{html}");
    assert!(
        html.contains("Invoice &lt;script&gt;alert(1)&lt;/script&gt;"),
        "{html}"
    );
}

#[test]
fn what_is_below_the_minimum_is_not_reported() {
    let mut shop = shop();
    shop.execute("update invoice_sync.settings set alert_minimum_severity = 'critical'");
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(shop.open_issues().len(), 1);
    assert_eq!(outbox(&mut shop), Vec::<String>::new());

    shop.execute("update invoice_sync.settings set alert_minimum_severity = 'warning'");
    shop.sweep();
    assert_eq!(
        outbox(&mut shop),
        ["waiting 0 {new}"],
        "once it is worth telling"
    );
}

#[test]
fn people_are_reminded_after_the_time_and_again() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    send(&mut shop);
    for (time, reported) in [
        ("2 days", 1),
        ("1 day 1 minute", 2),
        ("2 days", 2),
        ("2 days", 3),
    ] {
        pass(&mut shop, time);
        shop.sweep();
        send(&mut shop);
        assert_eq!(
            shop.stripe.emails().len(),
            reported,
            "after {time}: {:?}",
            subjects(&shop)
        );
    }
    assert!(
        subjects(&shop)[2].starts_with("Reminder: 1 issue still open in your books: 1 warning"),
        "{:?}",
        subjects(&shop)
    );
}

#[test]
fn nobody_is_reminded_where_there_is_no_time_or_somebody_took_note() {
    for silencing in [
        "update invoice_sync.settings set alert_reminder_after = null",
        "select invoice_sync.acknowledge_issue(id, 'seen') from invoice_sync.issue",
        "select invoice_sync.snooze_issue(id, now() + interval '1 year') from invoice_sync.issue",
    ] {
        let mut shop = shop();
        paid_without_payment(&mut shop, "INV-1");
        shop.sweep();
        send(&mut shop);
        shop.execute(silencing);
        pass(&mut shop, "30 days");
        shop.sweep();
        send(&mut shop);
        assert_eq!(shop.stripe.emails().len(), 1, "{silencing}");
    }
}

#[test]
fn that_an_issue_is_resolved_is_reported_once_and_only_if_wanted() {
    for (wanted, reported) in [(false, 1), (true, 2)] {
        let mut shop = shop();
        shop.execute(&format!(
            "update invoice_sync.settings set alert_when_resolved = {wanted}"
        ));
        paid_without_payment(&mut shop, "INV-1");
        shop.sweep();
        record_payment(&mut shop, "INV-1");
        for _ in 0..3 {
            shop.sweep();
        }
        assert_eq!(shop.open_issues(), Vec::<String>::new());
        assert_eq!(
            shop.stripe.emails().len(),
            reported,
            "{:?}",
            subjects(&shop)
        );
    }
}

#[test]
fn what_was_not_reported_is_not_reported_as_resolved() {
    let mut shop = shop();
    shop.execute(
        "update invoice_sync.settings set alert_when_resolved = true, alert_minimum_severity = 'critical'",
    );
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    shop.execute("update invoice_sync.settings set alert_minimum_severity = 'notice'");
    record_payment(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(outbox(&mut shop), Vec::<String>::new());
}

#[test]
fn the_button_reports_what_it_opened_and_of_nothing_else() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    paid_without_payment(&mut shop, "INV-2");
    shop.execute("update invoice_sync.settings set alert_minimum_severity = 'critical'");
    shop.sweep();
    shop.execute("update invoice_sync.settings set alert_minimum_severity = 'warning'");
    paid_without_payment(&mut shop, "INV-3");
    let id = shop
        .text("select id from invoices where invoice_number = 'INV-3'")
        .expect("it is there");
    shop.sync(&id);
    assert_eq!(
        shop.text("select issues from invoice_sync.alerts"),
        Some("{3}".into())
    );
}

#[test]
fn what_a_webhook_opens_the_next_sweep_reports() {
    let mut shop = Shop::with_webhooks();
    address(&mut shop);
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("update invoices set currency = 'eur'");
    shop.deliver_all(&["checkout.session.completed"]);
    assert_eq!(
        shop.open_issues(),
        ["currency_mismatch INV-1"],
        "{}",
        sale.intent
    );
    assert_eq!(outbox(&mut shop), Vec::<String>::new());
    shop.sweep();
    assert_eq!(outbox(&mut shop), ["waiting 0 {new}"]);
}

#[test]
fn without_an_address_alerts_stay_in_the_outbox_until_there_is_one() {
    let mut shop = shop();
    shop.execute("update invoice_sync.settings set alert_sender = null, alert_recipients = '{}'");
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    shop.sweep();
    assert_eq!(outbox(&mut shop), ["unaddressed 0 {new}"]);
    assert!(shop.stripe.emails().is_empty());

    address(&mut shop);
    shop.sweep();
    send(&mut shop);
    assert_eq!(outbox(&mut shop), ["replaced 0 {new}", "sent 1 {reminder}"]);
    assert_eq!(shop.stripe.emails().len(), 1);
}

#[test]
fn a_reminder_takes_the_place_of_what_was_never_sent() {
    let mut shop = Shop::open();
    address(&mut shop);
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    pass(&mut shop, "4 days");
    paid_without_payment(&mut shop, "INV-2");
    shop.sweep();
    assert_eq!(
        outbox(&mut shop),
        ["replaced 0 {new}", "waiting 0 {new,reminder}"]
    );

    shop.use_secret("resend_api_key", super::RESEND_KEY);
    let base = shop.stripe.url();
    shop.configure("resend_api_base", &base);
    send(&mut shop);
    assert_eq!(shop.stripe.emails().len(), 1, "{:?}", subjects(&shop));
}

#[test]
fn settings_by_which_no_mail_can_be_sent_are_refused() {
    let mut shop = Shop::open();
    for (assignment, sqlstate, named) in [
        ("alert_sender = 'books'", "22023", "alert_sender"),
        (
            "alert_recipients = '{ann@example.com,bob}'",
            "22023",
            "alert_recipients",
        ),
        (
            "alert_recipients = array['a@b.c' || chr(10) || 'Bcc: d@e.f']",
            "22023",
            "alert_recipients",
        ),
        (
            "admin_page_url = 'javascript:alert(1)'",
            "22023",
            "admin_page_url",
        ),
        (
            "alert_minimum_severity = 'urgent'",
            "23514",
            "alert_minimum_severity",
        ),
        (
            "alert_reminder_after = '0'",
            "23514",
            "alert_reminder_after",
        ),
    ] {
        let error = shop.error(&format!("update invoice_sync.settings set {assignment}"));
        assert_eq!(error.sqlstate, sqlstate, "{assignment}: {error:?}");
        assert!(error.message.contains(named), "{assignment}: {error:?}");
    }
}

#[test]
fn a_link_leads_to_the_admin_page() {
    let mut shop = shop();
    shop.execute(
        "update invoice_sync.settings set admin_page_url = 'https://books.example.com/invoices/{invoice_id}'",
    );
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    let id = shop.text("select id from invoices").expect("it is there");
    let link = format!("href=\"https://books.example.com/invoices/{id}\"");
    let html = shop
        .text("select html from invoice_sync.alert")
        .expect("it is there");
    assert!(html.contains(&link), "{link}: {html}");
}

#[test]
fn a_dry_run_notifies_nobody() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    shop.json("invoice_sync.sweep(dry_run => true)");
    assert_eq!(outbox(&mut shop), ["waiting 0 {new}"]);
    assert!(shop.stripe.emails().is_empty());
}

#[test]
fn the_new_and_the_severe_come_first() {
    let mut shop = shop();
    shop.not_at_rest("in the end, Stripe cannot be reached");
    paid_without_payment(&mut shop, "INV-OLD");
    shop.sweep();
    send(&mut shop);
    pass(&mut shop, "4 days");
    paid_without_payment(&mut shop, "INV-NEW");
    shop.execute("update invoice_sync.issue set severity = 'critical'");
    // Stripe cannot be reached: critical, and opened after the others.
    shop.configure("stripe_api_base", "http://127.0.0.1:1");
    Sale::unbooked(&mut shop, "INV-SOLD");
    shop.sweep();
    let text = shop
        .text("select body from invoice_sync.alert order by id desc limit 1")
        .expect("it is there");
    let places = ["* All invoices", "* Invoice INV-NEW", "* Invoice INV-OLD"]
        .map(|reported| text.find(reported));
    assert!(
        places.is_sorted() && places[0].is_some(),
        "{places:?} {text}"
    );
}

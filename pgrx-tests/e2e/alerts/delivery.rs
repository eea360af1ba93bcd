//! Delivery of mails: each arrives once, also after errors of Resend.

use stripe_double::{Action, Fault};

use super::{outbox, paid_without_payment, pass, send, shop, subjects};
use crate::harness::Shop;
use crate::harness::server::{attempt, attempt_json};

/// A shop with one alert that is due.
fn shop_with_alert() -> Shop {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(outbox(&mut shop), ["waiting 0 {new}"]);
    shop
}

fn fail(shop: &Shop, action: Action) {
    shop.stripe
        .fault(Fault::new(action).on_path("/emails").always());
}

/// Whole minutes until the next try, as the view tells.
fn minutes_to_wait(shop: &mut Shop) -> i32 {
    shop.text(
        "select round(extract(epoch from next_attempt_at - now()) / 60) from invoice_sync.alerts",
    )
    .and_then(|minutes| minutes.parse().ok())
    .expect("there is an alert")
}

#[test]
fn one_mail_arrives_though_resend_fails_for_five_of_ten_sweeps() {
    let mut shop = shop();
    for n in 1..=7 {
        paid_without_payment(&mut shop, &format!("INV-{n}"));
    }
    shop.sweep();
    fail(&shop, Action::Status(500));
    for attempt in 1..=5 {
        shop.sweep();
        assert_eq!(minutes_to_wait(&mut shop), 1 << (attempt - 1));
        assert_eq!(outbox(&mut shop), [format!("failing {attempt} {{new}}")]);
        pass(&mut shop, "1 hour");
    }
    let error = shop.text("select last_error from invoice_sync.alerts");
    assert!(
        error.as_ref().is_some_and(|error| error.contains("500")),
        "{error:?}"
    );
    assert!(shop.stripe.emails().is_empty());
    shop.stripe.clear_faults();
    for _ in 0..4 {
        shop.sweep();
    }
    assert_eq!(shop.stripe.emails().len(), 1, "{:?}", subjects(&shop));
    assert_eq!(outbox(&mut shop), ["sent 6 {new}"]);
    let requests = shop.stripe.requests();
    let mut keys: Vec<_> = requests
        .iter()
        .filter(|seen| seen.path == "/emails")
        .map(|seen| (seen.header("idempotency-key"), &seen.body))
        .collect();
    assert_eq!(keys.len(), 6);
    keys.dedup();
    assert_eq!(keys.len(), 1, "always the same key with the same contents");
}

#[test]
fn it_is_not_tried_before_its_time() {
    let mut shop = shop_with_alert();
    fail(&shop, Action::Reset);
    let first = send(&mut shop);
    assert_eq!(
        (&first["failed"], &first["waiting"]),
        (&1.into(), &1.into()),
        "{first}"
    );
    let asked = shop.stripe.count_of("/emails");
    let second = send(&mut shop);
    assert_eq!(
        (&second["failed"], &second["waiting"]),
        (&0.into(), &1.into()),
        "{second}"
    );
    assert_eq!(shop.stripe.count_of("/emails"), asked);
}

#[test]
fn what_resend_says_about_waiting_is_kept_to() {
    let mut shop = shop_with_alert();
    shop.stripe.fault(
        Fault::new(Action::RateLimited)
            .on_path("/emails")
            .retry_after(1800),
    );
    send(&mut shop);
    assert_eq!(minutes_to_wait(&mut shop), 30);
    pass(&mut shop, "31 minutes");
    send(&mut shop);
    assert_eq!(outbox(&mut shop), ["sent 2 {new}"]);
}

#[test]
fn what_needs_a_person_is_tried_every_hour_and_seen() {
    let mut shop = shop_with_alert();
    shop.use_secret("resend_api_key", "re_nobodys");
    send(&mut shop);
    assert_eq!(minutes_to_wait(&mut shop), 60);
    let error = shop.text("select last_error from invoice_sync.alerts");
    assert_eq!(
        error.as_deref(),
        Some("Resend rejected the mail (403, invalid_api_key): API key is invalid")
    );
    shop.use_secret("resend_api_key", super::RESEND_KEY);
    pass(&mut shop, "1 hour");
    send(&mut shop);
    assert_eq!(outbox(&mut shop), ["sent 2 {new}"]);
}

#[test]
fn an_answer_that_is_not_resends_is_no_success() {
    let mut shop = shop_with_alert();
    for action in [
        Action::Html(200),
        Action::InvalidJson,
        Action::OversizedBody(5_000_000),
        Action::Redirect("http://127.0.0.1:1".into()),
    ] {
        shop.stripe.clear_faults();
        fail(&shop, action.clone());
        send(&mut shop);
        assert!(outbox(&mut shop)[0].starts_with("failing"), "{action:?}");
        pass(&mut shop, "1 day");
    }
}

#[test]
fn a_lost_answer_makes_no_second_mail() {
    let mut shop = shop_with_alert();
    shop.stripe
        .fault(Fault::new(Action::TruncatedBody).on_path("/emails"));
    send(&mut shop);
    assert_eq!(shop.stripe.emails().len(), 1, "Resend took it");
    assert_eq!(outbox(&mut shop), ["failing 1 {new}"]);
    pass(&mut shop, "1 hour");
    send(&mut shop);
    assert_eq!(outbox(&mut shop), ["sent 2 {new}"]);
    assert_eq!(shop.stripe.emails().len(), 1);
}

#[test]
fn when_the_first_fails_as_all_would_the_others_are_not_tried() {
    let mut shop = shop_with_alert();
    for n in 2..=3 {
        paid_without_payment(&mut shop, &format!("INV-{n}"));
        shop.execute("update invoice_sync.alert set next_attempt_at = 'infinity'");
        shop.sweep();
    }
    shop.execute("update invoice_sync.alert set next_attempt_at = now()");
    fail(&shop, Action::Status(503));
    send(&mut shop);
    assert_eq!(shop.stripe.count_of("/emails"), 1);
    assert_eq!(
        outbox(&mut shop),
        ["failing 1 {new}", "waiting 0 {new}", "waiting 0 {new}"]
    );
    shop.stripe.clear_faults();
    pass(&mut shop, "1 hour");
    send(&mut shop);
    assert_eq!(shop.stripe.emails().len(), 3);
}

#[test]
fn two_senders_do_not_send_the_same() {
    let mut shop = shop_with_alert();
    let mut other = shop.connect();
    attempt(&mut other, "begin; select invoice_sync.send_alerts()").expect("it sends");
    let second = send(&mut shop);
    assert_eq!(second["sent"], 0, "{second}");
    assert_eq!(shop.stripe.count_of("/emails"), 1);
    attempt(&mut other, "commit").expect("it commits");
    assert_eq!(outbox(&mut shop), ["sent 1 {new}"]);
}

#[test]
fn without_a_key_nothing_is_sent_and_all_stays() {
    let mut shop = shop_with_alert();
    shop.configure("resend_api_key", "");
    let reported = send(&mut shop);
    assert_eq!(
        (&reported["sent"], &reported["waiting"]),
        (&0.into(), &1.into()),
        "{reported}"
    );
    assert!(
        reported["message"]
            .as_str()
            .is_some_and(|text| text.contains("No e-mail key")),
        "{reported}"
    );
    shop.sweep();
    assert_eq!(outbox(&mut shop), ["waiting 0 {new}"]);
    assert_eq!(shop.stripe.count_of("/emails"), 0);
}

#[test]
fn a_key_that_cannot_be_read_is_an_error_here_and_no_end_of_a_sweep() {
    let mut shop = shop_with_alert();
    shop.configure("resend_api_key", "file:/no/such/file");
    assert_eq!(
        shop.error("select invoice_sync.send_alerts()").sqlstate,
        "58P01"
    );
    assert_eq!(shop.sweep()["success"], true);
    assert_eq!(outbox(&mut shop), ["waiting 0 {new}"]);
}

#[test]
fn waiting_for_resend_ends_with_the_statement() {
    let shop = shop_with_alert();
    fail(&shop, Action::Hang);
    let mut session = shop.connect();
    attempt(&mut session, "set statement_timeout = '300ms'").expect("it is set");
    let error = attempt_json(&mut session, "invoice_sync.send_alerts()").expect_err("it ends");
    assert_eq!(error.sqlstate, "57014", "{error:?}");
}

//! Alerts about issues that became more severe, addresses that change, and alerts that cannot be written.

use stripe_double::{Action, Dispute, Fault, Refund};

use super::{outbox, paid_without_payment, send, shop, subjects};
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// A sale that is booked.
fn booked(shop: &mut Shop) -> Sale {
    let sale = Sale::unbooked(shop, "INV-1");
    shop.sweep();
    sale
}

/// Two sweeps: the second sends what the first has written, and tells nothing more.
fn sweep(shop: &mut Shop) {
    shop.make_all_due();
    shop.sweep();
    shop.sweep();
    send(shop);
}

fn open_issue(shop: &mut Shop) -> i64 {
    shop.rows("select id from invoice_sync.open_issues")[0].get(0)
}

#[test]
fn a_dispute_that_is_lost_is_reported_although_it_was_acknowledged() {
    let mut shop = shop();
    let sale = booked(&mut shop);
    let purchase = shop.stripe.purchase(sale.session);
    let dispute = purchase.dispute(Dispute::new("needs_response"));
    sweep(&mut shop);
    let issue = open_issue(&mut shop);
    shop.execute(&format!("select invoice_sync.acknowledge_issue({issue})"));
    shop.stripe.update_dispute(&dispute, "lost");

    sweep(&mut shop);
    sweep(&mut shop);

    let mails = shop.stripe.emails();
    assert_eq!(mails.len(), 2, "{:?}", subjects(&shop));
    let text = mails[1]["text"].as_str().unwrap_or_default();
    assert!(
        text.contains("changed") && text.contains("was lost"),
        "{text}"
    );
    assert_eq!(outbox(&mut shop), ["sent 1 {new}", "sent 1 {changed}"]);
}

#[test]
fn a_refund_that_grows_is_reported_again_once() {
    let mut shop = shop();
    let sale = booked(&mut shop);
    let purchase = shop.stripe.purchase(sale.session);
    purchase.refund(Refund::of(1_000));
    sweep(&mut shop);
    purchase.refund(Refund::of(8_000));

    sweep(&mut shop);
    sweep(&mut shop);

    let mails = shop.stripe.emails();
    assert_eq!(mails.len(), 2, "{:?}", subjects(&shop));
    let text = mails[1]["text"].as_str().unwrap_or_default();
    assert!(text.contains("90.00 USD"), "{text}");
}

#[test]
fn an_inquiry_that_becomes_a_dispute_is_reported_at_once_even_if_it_was_put_off() {
    let mut shop = shop();
    shop.execute(
        "update invoice_sync.settings set alert_minimum_severity = 'notice', alert_reminder_after = null",
    );
    let sale = booked(&mut shop);
    let purchase = shop.stripe.purchase(sale.session);
    let dispute = purchase.dispute(Dispute::new("warning_needs_response"));
    sweep(&mut shop);
    let issue = open_issue(&mut shop);
    shop.execute(&format!(
        "select invoice_sync.snooze_issue({issue}, now() + interval '1 day')"
    ));
    shop.stripe.update_dispute(&dispute, "needs_response");

    sweep(&mut shop);

    assert_eq!(outbox(&mut shop), ["sent 1 {new}", "sent 1 {changed}"]);
}

#[test]
fn money_that_an_undone_repair_keeps_from_the_books_is_reported() {
    let mut shop = shop();
    booked(&mut shop);
    shop.execute("select invoice_sync.undo(max(id)) from invoice_sync.run");
    sweep(&mut shop);
    assert_eq!(outbox(&mut shop), [""; 0], "the undo alone is no news");
    let later = shop
        .stripe
        .checkout(stripe_double::Checkout::new(2_500, "usd"))
        .pay();
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{}'",
        later.intent_id()
    ));

    sweep(&mut shop);

    assert_eq!(outbox(&mut shop), ["sent 1 {new}"]);
    let text = shop.stripe.emails()[0]["text"].to_string();
    assert!(
        text.contains("Money received since then is not booked"),
        "{text}"
    );
}

#[test]
fn an_alert_to_a_wrong_address_goes_to_the_right_one_as_soon_as_it_is_named() {
    let mut shop = shop();
    shop.execute("update invoice_sync.settings set alert_reminder_after = null");
    paid_without_payment(&mut shop, "INV-1");
    shop.sweep();
    shop.stripe
        .fault(Fault::new(Action::Status(422)).on_path("/emails").always());
    send(&mut shop);
    assert_eq!(outbox(&mut shop), ["failing 1 {new}"]);
    shop.stripe.clear_faults();
    shop.execute(
        "update invoice_sync.settings set alert_sender = 'right@shop.at', alert_recipients = '{ann@shop.at}'",
    );

    send(&mut shop);

    let mails = shop.stripe.emails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0]["from"], "right@shop.at");
    assert_eq!(mails[0]["to"], serde_json::json!(["ann@shop.at"]));
    assert_eq!(outbox(&mut shop), ["sent 2 {new}"]);
    let requests = shop.stripe.requests();
    let mut keys: Vec<_> = requests
        .iter()
        .filter(|seen| seen.path == "/emails")
        .map(|seen| seen.header("idempotency-key"))
        .collect();
    keys.dedup();
    assert_eq!(keys.len(), 2, "another mail has another key: {keys:?}");
}

#[test]
fn a_digest_that_fails_takes_back_no_repair_and_is_made_up_for() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    Sale::unbooked(&mut shop, "INV-2");
    shop.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no room'; end $$;
        create trigger refuse before insert on invoice_sync.alert_issue for each row execute function refuse()",
    );
    assert_eq!(shop.sweep()["fixed"], serde_json::json!(1));
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
    assert_eq!(outbox(&mut shop), [""; 0]);
    shop.execute("drop trigger refuse on invoice_sync.alert_issue");
    shop.sweep();
    assert_eq!(outbox(&mut shop), ["waiting 0 {new}"]);
}

#[test]
fn what_another_run_reported_at_the_same_moment_is_not_reported_twice() {
    let mut shop = shop();
    paid_without_payment(&mut shop, "INV-1");
    // As if another run had committed its telling between our look and our writing.
    shop.execute(
        "create sequence tries;
        create function race() returns trigger language plpgsql as $$
        begin
            if nextval('public.tries') = 1 then raise unique_violation; end if;
            return new;
        end $$;
        create trigger race before insert on invoice_sync.alert_issue for each row execute function race()",
    );
    shop.sweep();
    assert_eq!(
        outbox(&mut shop),
        ["waiting 0 {new}"],
        "it was looked at again"
    );
}

#[test]
fn that_something_is_resolved_is_not_lost_with_the_alert_that_said_so() {
    let mut shop = shop();
    shop.execute("update invoice_sync.settings set alert_when_resolved = true");
    paid_without_payment(&mut shop, "INV-1");
    paid_without_payment(&mut shop, "INV-2");
    shop.sweep();
    send(&mut shop);
    super::record_payment(&mut shop, "INV-1");
    super::pass(&mut shop, "4 days");
    shop.stripe
        .fault(Fault::new(Action::Status(500)).on_path("/emails").always());
    shop.sweep();
    shop.sweep();
    super::pass(&mut shop, "4 days");
    shop.stripe.clear_faults();
    shop.sweep();
    shop.sweep();
    let reported: Vec<String> = shop
        .stripe
        .emails()
        .iter()
        .map(|mail| mail["text"].to_string())
        .collect();
    assert!(
        reported
            .iter()
            .any(|text| text.contains("resolved") && text.contains("INV-1")),
        "{reported:#?}"
    );
}

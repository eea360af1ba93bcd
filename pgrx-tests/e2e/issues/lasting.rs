//! A fact that lasts is one issue, reported once, in two days of hourly sweeps.

use stripe_double::Checkout;

use super::look;
use crate::alerts::shop;
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// `kind state reported` of every issue that there ever was.
fn history(shop: &mut Shop) -> Vec<String> {
    shop.texts(
        "select format('%s %s %s', x.kind, x.state,
            (select count(*) from invoice_sync.alert_issue t where t.issue_id = x.id))
        from invoice_sync.issue x order by x.kind, x.id",
    )
    .into_iter()
    .flatten()
    .collect()
}

/// A shop whose people are reminded every day.
fn shop_with_reminders() -> Shop {
    let mut shop = shop();
    shop.execute("update invoice_sync.settings set alert_reminder_after = '1 day'");
    shop
}

/// A sweep, and its number.
fn last_run(shop: &mut Shop) -> String {
    sweep(shop);
    let run = shop.text("select max(id) from invoice_sync.run");
    run.expect("it is written down")
}

fn sweep(shop: &mut Shop) {
    shop.execute("call invoice_sync.run_sweep()");
}

/// Two days pass, a sweep each hour. Gives how many mails were sent of what they found.
fn two_days(shop: &mut Shop) -> usize {
    shop.json("invoice_sync.send_alerts()");
    let before = shop.stripe.emails().len();
    for _ in 0..48 {
        shop.age(60 * 60);
        sweep(shop);
    }
    shop.stripe.emails().len() - before
}

fn refuse(shop: &mut Shop, intent: &str) {
    shop.execute(&format!(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'closed'; end $$;
        create trigger refuse before insert on payments for each row
            when (new.stripe_payment_intent = '{intent}') execute function refuse()"
    ));
}

/// Another payment for the invoice, which its metadata names.
fn another(shop: &Shop, number: &str) -> String {
    let named = Checkout::new(10_000, "usd").metadata("invoice_id", number);
    shop.stripe.checkout(named).pay().intent_id()
}

#[test]
fn too_much_by_the_rows_stays_one_issue_while_more_of_it_was_undone() {
    let mut shop = shop_with_reminders();
    Sale::unbooked(&mut shop, "INV-1");
    sweep(&mut shop);
    shop.execute(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 50 from invoices",
    );
    another(&shop, "INV-1");
    let booked = last_run(&mut shop);
    shop.json(&format!("invoice_sync.undo({booked})"));
    // Less of it after the undo, and a reminder a day later.
    assert_eq!(two_days(&mut shop), 2);
    assert_eq!(
        history(&mut shop),
        ["overpaid open 3", "repair_undone open 0"]
    );
}

#[test]
fn a_refusal_is_one_issue_while_other_payments_come() {
    let mut shop = shop_with_reminders();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    refuse(&mut shop, &sale.intent);
    sweep(&mut shop);
    another(&shop, "INV-1");
    // The event is tried for hours before it is reported; and each is reminded of every day.
    assert_eq!(two_days(&mut shop), 4);
    assert_eq!(
        history(&mut shop),
        ["apply_failed open 3", "event_failing open 2"]
    );
    shop.execute("drop trigger refuse on payments");
    look(&mut shop);
    let wanted = [
        "apply_failed resolved 3",
        "event_failing resolved 2",
        "overpaid open 1",
    ];
    assert_eq!(history(&mut shop), wanted);
}

#[test]
fn an_undone_repair_stays_undone_whatever_is_in_its_way_for_a_while() {
    let mut shop = shop_with_reminders();
    Sale::unbooked(&mut shop, "INV-1");
    let run = last_run(&mut shop);
    shop.json(&format!("invoice_sync.undo({run})"));
    look(&mut shop);
    // Cash of the same amount: the payment might be this one, and is not wanted now.
    shop.execute(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 100 from invoices",
    );
    look(&mut shop);
    shop.execute("delete from payments");
    shop.execute("update invoices set invoice_status = 'Sent', amount_paid = 0, balance_due = 100");
    assert_eq!(two_days(&mut shop), 0);
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    let undone = history(&mut shop);
    let undone: Vec<_> = undone
        .iter()
        .filter(|it| it.starts_with("repair"))
        .collect();
    assert_eq!(undone, ["repair_undone open 0"]);
}

#[test]
fn money_without_an_invoice_and_what_an_invoice_refers_to_wrongly_are_reminded_of_once_a_day() {
    let mut shop = shop_with_reminders();
    let named = Checkout::new(10_000, "usd").metadata("invoice_id", "INV-2");
    let session = shop.stripe.checkout(named).pay().session_id();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Ada', 'Sent', 100, '{session}')"
    ));
    sweep(&mut shop);
    assert_eq!(two_days(&mut shop), 2);
    assert_eq!(history(&mut shop), ["unlinked_payment open 3"]);
    shop.execute("update invoices set stripe_session_id = null");
    // New, and a reminder of it: the sweep after an hour hands it over.
    assert_eq!(two_days(&mut shop), 2);
    let wanted = ["unlinked_payment resolved 3", "unlinked_payment open 2"];
    assert_eq!(history(&mut shop), wanted);
}

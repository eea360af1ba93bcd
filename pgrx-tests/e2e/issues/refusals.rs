//! Calls of `resolve_issue` that are refused.

use serde_json::json;
use stripe_double::Checkout;

use super::stories::story;
use super::{latest, look, the};
use crate::harness::{Shop, SqlError};

pub fn raised(kind: &str) -> (Shop, i64) {
    let mut shop = Shop::open();
    (story(kind).begins)(&mut shop);
    look(&mut shop);
    let issue = the(&mut shop, kind);
    (shop, issue)
}

pub fn refused(shop: &mut Shop, call: &str) -> SqlError {
    let before = shop.dump();
    let error = shop.error(&format!("select invoice_sync.resolve_issue({call})"));
    let after = shop.dump();
    // Numbers of runs are not given back.
    let without_numbers = |dump: &str| -> Vec<String> {
        let lines = dump
            .lines()
            .filter(|line| !line.contains("pg_catalog.setval"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(without_numbers(&after), without_numbers(&before), "{call}");
    error
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let (mut shop, issue) = raised("overpaid");
    let error = refused(&mut shop, &format!("{issue}, 'revert_to_unpaid'"));
    assert_eq!(error.sqlstate, "22023");
    assert_eq!(error.hint, "Allowed actions: accept_amount.");
    assert_eq!(refused(&mut shop, "4711, 'ignore'").sqlstate, "P0002");
    assert_eq!(refused(&mut shop, "null, 'ignore'").sqlstate, "22004");
    assert_eq!(
        refused(&mut shop, &format!("{issue}, null")).sqlstate,
        "22023"
    );

    let (mut shop, issue) = raised("stripe_unreachable");
    shop.not_at_rest("Stripe cannot be reached");
    let error = refused(&mut shop, &format!("{issue}, 'ignore'"));
    assert_eq!(error.sqlstate, "22023");
    assert!(error.hint.contains("acknowledged and snoozed"), "{error:?}");
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let (mut shop, issue) = raised("paid_without_payment");
    for arguments in [
        "{}",
        "null",
        r#"{"status": "Paid"}"#,
        r#"{"status": "Partial"}"#,
        r#"{"status": 7}"#,
    ] {
        let call = format!("{issue}, 'revert_to_unpaid', null, '{arguments}'");
        assert_eq!(refused(&mut shop, &call).sqlstate, "22023", "{arguments}");
    }
    shop.execute(
        "create domain word as text check (value in ('Paid', 'Sent', 'Draft', 'Partial', 'Cancelled'));
        alter table invoices alter invoice_status drop default, alter invoice_status type word",
    );
    let call = format!("{issue}, 'revert_to_unpaid', null, '{{\"status\": \"Snet\"}}'");
    let error = refused(&mut shop, &call);
    assert_eq!(error.sqlstate, "22023");
    assert!(error.detail.contains("word"), "{error:?}");

    let (mut shop, issue) = raised("unlinked_payment");
    for (arguments, sqlstate) in [
        ("{}", "22023"),
        (
            r#"{"invoice_id": "00000000-0000-0000-0000-000000000000"}"#,
            "P0002",
        ),
        (r#"{"invoice_id": "INV-1"}"#, "22P02"),
    ] {
        let call = format!("{issue}, 'link_payment', null, '{arguments}'");
        assert_eq!(refused(&mut shop, &call).sqlstate, sqlstate, "{arguments}");
    }
}

#[test]
fn facts_that_have_changed_are_refused_and_reported() {
    for (kind, call, meanwhile) in [
        (
            "paid_without_payment",
            r#"'revert_to_unpaid', null, '{"status": "Sent", "new_word": true}'"#,
            "insert into payments (invoice_id, payment_name, payment_status, total_amount)
            select id, 'cash', 'Paid', 100 from invoices",
        ),
        (
            "paid_without_payment",
            "'accept_paid_elsewhere'",
            "update invoices set total_amount = 120",
        ),
        (
            "amount_mismatch",
            "'follow_payments'",
            "update payments set total_amount = 70",
        ),
        (
            "amount_mismatch",
            "'accept_amount'",
            "update payments set total_amount = 70",
        ),
        ("overpaid", "'accept_amount'", "delete from payments"),
        ("possible_duplicate", "'link_row'", "delete from payments"),
        (
            "possible_duplicate",
            "'book_anyway'",
            "update payments set total_amount = 50",
        ),
    ] {
        let (mut shop, issue) = raised(kind);
        shop.execute(meanwhile);
        for dry_run in [true, false] {
            let error = refused(&mut shop, &format!("{issue}, {call}, dry_run => {dry_run}"));
            assert_eq!(
                (error.sqlstate.as_str(), error.message.as_str()),
                ("55000", "the facts of the issue have changed"),
                "{kind}: {call}"
            );
            assert!(error.detail.starts_with("The issue says: "), "{error:?}");
        }
    }
}

#[test]
fn money_that_came_to_stripe_meanwhile_stops_setting_an_invoice_back() {
    let mut shop = Shop::open();
    let session = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    let id = session.session_id();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due, stripe_session_id)
        values ('INV-1', 'Ada', 'Paid', 100, 100, 0, '{id}')"
    ));
    look(&mut shop);
    let issue = the(&mut shop, "paid_without_payment");
    session.pay();
    let error = refused(
        &mut shop,
        &format!(
            "{issue}, 'revert_to_unpaid', null, '{{\"status\": \"Sent\", \"new_word\": true}}'"
        ),
    );
    assert_eq!(error.message, "the facts of the issue have changed");
}

#[test]
fn a_status_that_the_payments_contradict_is_refused() {
    let (mut shop, issue) = raised("amount_mismatch");
    let error = refused(
        &mut shop,
        &format!("{issue}, 'follow_payments', null, '{{\"status\": \"Paid\"}}'"),
    );
    assert_eq!(error.sqlstate, "22023");
    let (mut shop, issue) = raised("partially_refunded");
    shop.execute(
        "create function stay() returns trigger language plpgsql as $$ begin new.amount_paid := old.amount_paid; return new; end $$;
        create trigger stay before update on invoices for each row execute function stay()",
    );
    let error = refused(&mut shop, &format!("{issue}, 'mark_refunded'"));
    assert_eq!(
        error.message,
        "a trigger in your database changed what was written"
    );
}

#[test]
fn a_resolved_issue_is_not_resolved_again() {
    let (mut shop, issue) = raised("overpaid");
    shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'accept_amount')"
    ));
    let error = refused(&mut shop, &format!("{issue}, 'accept_amount'"));
    assert_eq!(error.sqlstate, "55000");
    assert_eq!(
        error.detail,
        "postgres resolved it with the action accept_amount."
    );
}

#[test]
fn other_facts_are_a_new_issue() {
    let (mut shop, issue) = raised("overpaid");
    shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'accept_amount')"
    ));
    assert_eq!(look(&mut shop)["issues"], json!(0));
    shop.execute("update payments set total_amount = 140");
    look(&mut shop);
    let news = the(&mut shop, "overpaid");
    assert_ne!(news, issue);
    shop.execute("update payments set total_amount = 130");
    look(&mut shop);
    let over = latest(&mut shop, "overpaid").expect("it is on record");
    assert_eq!(
        (over.id, over.state.as_str()),
        (news, "resolved"),
        "what was accepted holds"
    );
}

#[test]
fn another_plan_than_the_one_given_up_is_asked_about_and_not_carried_out() {
    let (mut shop, issue) = raised("repair_undone");
    shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'keep_as_is')"
    ));
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
    let other = shop
        .stripe
        .checkout(Checkout::new(2_500, "usd"))
        .pay()
        .intent_id();
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{other}'"
    ));
    look(&mut shop);
    assert_ne!(the(&mut shop, "repair_undone"), issue);
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
}

#[test]
fn a_decision_is_undone_like_a_repair() {
    let (mut shop, issue) = raised("paid_without_payment");
    let tables = ["public.invoices", "public.payments"];
    let before = shop.dump_of(&tables);
    let done = shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'revert_to_unpaid', null, '{{\"status\": \"Sent\", \"new_word\": true}}')"
    ));
    assert_ne!(shop.dump_of(&tables), before);
    let undone = shop.json(&format!("invoice_sync.undo({})", done["runId"]));
    assert_eq!(undone["undone"], json!(1), "{undone}");
    assert_eq!(shop.dump_of(&tables), before);
    look(&mut shop);
    let again = the(&mut shop, "paid_without_payment");

    let accepted = shop.json(&format!(
        "invoice_sync.resolve_issue({again}, 'accept_paid_elsewhere')"
    ));
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
    let undone = shop.json(&format!("invoice_sync.undo({})", accepted["runId"]));
    assert_eq!(
        undone["message"],
        json!("Restored 0 invoices. Revoked 1 decisions.")
    );
    look(&mut shop);
    assert_eq!(shop.open_issues(), ["paid_without_payment INV-1"]);
}

#[test]
fn money_for_an_invoice_that_does_not_exist_is_linked_to_one_that_does() {
    let mut shop = Shop::open();
    let named =
        Checkout::new(10_000, "usd").metadata("invoice_id", "00000000-0000-0000-0000-000000000000");
    shop.stripe.checkout(named).pay();
    shop.sweep();
    shop.execute("update invoice_sync.event set received_at = received_at - interval '2 hours', next_attempt_at = now()");
    shop.sweep();
    let issue = the(&mut shop, "unlinked_payment");
    shop.execute("insert into invoices (invoice_number, customer, invoice_status, total_amount) values ('INV-1', 'Ada', 'Sent', 100)");
    let invoice = shop.text("select id from invoices").expect("the invoice");

    let done = shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'link_payment', null, '{{\"invoice_id\": \"{invoice}\"}}')"
    ));

    assert_eq!(done["resolved"], json!(true), "{done}");
    let state = "select concat_ws(' ', invoice_status, trim_scale(amount_paid), (select count(*) from payments)) from invoices";
    assert_eq!(shop.text(state), Some("Paid 100 1".into()));
    for _ in 0..2 {
        shop.sync(&invoice);
        look(&mut shop);
        assert_eq!(shop.open_issues(), [""; 0]);
        assert_eq!(shop.text(state), Some("Paid 100 1".into()));
    }
}

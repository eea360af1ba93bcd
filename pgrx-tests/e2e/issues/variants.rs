//! Actions on less common forms of issues, and facts that changed since a person saw them.

use serde_json::json;
use stripe_double::{Checkout, Dispute};

use super::refusals::{raised, refused};
use super::{look, the};
use crate::harness::Shop;
use crate::harness::sale::Sale;

#[test]
fn what_the_person_has_not_seen_is_not_decided_on() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    let dispute = shop
        .stripe
        .purchase(sale.session)
        .dispute(Dispute::new("needs_response"));
    look(&mut shop);
    let issue = the(&mut shop, "disputed");
    let evidence = "select evidence from invoice_sync.open_issues";
    let seen = shop.text(evidence).expect("it is open");
    shop.stripe.update_dispute(&dispute, "lost");
    look(&mut shop);

    let error = refused(
        &mut shop,
        &format!("{issue}, 'ignore', null, jsonb_build_object('seen', '{seen}'::jsonb)"),
    );

    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("55000", "the facts of the issue have changed")
    );
    assert!(error.detail.contains("was lost"), "{error:?}");
    let seen = shop.text(evidence).expect("it is open");
    let done = shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'ignore', null, jsonb_build_object('seen', '{seen}'::jsonb))"
    ));
    assert_eq!(done["resolved"], json!(true));
}

#[test]
fn another_sum_than_the_issue_states_is_not_linked() {
    let mut shop = Shop::open();
    let other = Checkout::new(10_000, "usd").metadata("invoice_id", "no such");
    let paid = shop.stripe.checkout(other).pay();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Ada', 'Sent', 100, '{}')",
        paid.session_id()
    ));
    look(&mut shop);
    let issue = the(&mut shop, "unlinked_payment");
    let invoice = shop.text("select id from invoices").expect("the invoice");
    shop.stripe.set(&paid.intent_id(), "amount_received", 9_000);
    let error = refused(
        &mut shop,
        &format!("{issue}, 'link_payment', null, '{{\"invoice_id\": \"{invoice}\"}}'"),
    );
    assert_eq!(error.message, "the facts of the issue have changed");
    assert!(error.detail.contains("90.00 USD"), "{error:?}");
}

#[test]
fn a_dispute_that_is_not_decided_is_not_marked_as_refunded() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    let purchase = shop.stripe.purchase(sale.session);
    purchase.dispute(Dispute::new("needs_response"));
    look(&mut shop);
    let issue = the(&mut shop, "disputed");
    let error = refused(
        &mut shop,
        &format!("{issue}, 'mark_refunded', null, '{{\"status\": \"Sent\", \"new_word\": true}}'"),
    );
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("55000", "the dispute is not decided")
    );
}

#[test]
fn what_the_next_sweep_would_change_back_is_refused() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    shop.execute("update invoices set amount_paid = 150");
    look(&mut shop);
    let issue = the(&mut shop, "amount_mismatch");
    let error = refused(
        &mut shop,
        &format!(
            "{issue}, 'follow_payments', null, '{{\"status\": \"Sent\", \"new_word\": true}}'"
        ),
    );
    assert_eq!(
        error.message, "the next sweep would change it back",
        "{error:?}"
    );
}

#[test]
fn a_repair_that_fails_again_leaves_its_issue_open() {
    let (mut shop, issue) = raised("apply_failed");
    let before = shop.dump_of(&["public.invoices", "public.payments"]);

    let done = shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'repair_again')"
    ));

    assert_eq!(
        (&done["resolved"], &done["changes"]),
        (&json!(false), &json!([])),
        "{done}"
    );
    let message = done["message"].as_str().unwrap_or_default();
    assert!(message.contains("is not resolved"), "{message}");
    assert_eq!(the(&mut shop, "apply_failed"), issue);
    assert_eq!(
        shop.dump_of(&["public.invoices", "public.payments"]),
        before
    );
}

#[test]
fn an_undone_repair_that_fails_when_it_is_made_again_stays_undone() {
    let (mut shop, issue) = raised("repair_undone");
    shop.execute(
        "create function meddle() returns trigger language plpgsql as $$ begin raise exception 'closed'; end $$;
        create trigger meddle before insert on payments for each row execute function meddle()",
    );
    let error = refused(&mut shop, &format!("{issue}, 'repair_again'"));
    assert_eq!(error.message, "the repair could not be made");
    assert!(error.detail.contains("closed"), "{error:?}");
    assert_eq!(the(&mut shop, "repair_undone"), issue);
}

#[test]
fn money_of_a_cancelled_invoice_is_in_its_books_and_not_linked_to_another() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    shop.execute("update invoices set invoice_status = 'Cancelled'");
    look(&mut shop);
    let issue = the(&mut shop, "unlinked_payment");
    shop.execute("insert into invoices (invoice_number, customer, invoice_status, total_amount) values ('INV-2', 'Ada', 'Sent', 100)");
    let other = shop
        .text("select id from invoices where invoice_number = 'INV-2'")
        .expect("the other");
    let error = refused(
        &mut shop,
        &format!("{issue}, 'link_payment', null, '{{\"invoice_id\": \"{other}\"}}'"),
    );
    assert_eq!(
        error.message,
        "the payment cannot be recorded for that invoice"
    );
    let done = shop.json(&format!("invoice_sync.resolve_issue({issue}, 'ignore')"));
    assert_eq!(done["resolved"], json!(true));
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn money_that_is_in_another_invoices_books_stays_there() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-2', 'Ada', 'Sent', 100, '{}')",
        sale.session
    ));
    look(&mut shop);
    let issue = the(&mut shop, "unlinked_payment");
    let second = shop
        .text("select id from invoices where invoice_number = 'INV-2'")
        .expect("it is there");
    let error = refused(
        &mut shop,
        &format!("{issue}, 'link_payment', null, '{{\"invoice_id\": \"{second}\"}}'"),
    );
    assert_eq!(
        error.message,
        "the payment cannot be recorded for that invoice"
    );
    assert!(error.detail.contains("INV-1"), "{error:?}");
    let done = shop.json(&format!("invoice_sync.resolve_issue({issue}, 'ignore')"));
    assert_eq!(done["resolved"], json!(true));
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn a_row_that_says_another_sum_than_stripe_can_be_accepted_or_followed() {
    for (action, leaves) in [
        ("accept_amount", "Paid 100 0"),
        ("follow_payments", "Partial 90 10"),
    ] {
        let mut shop = Shop::open();
        let sale = Sale::unbooked(&mut shop, "INV-1");
        shop.sweep();
        shop.execute("update payments set total_amount = 90");
        shop.sync(&sale.invoice);
        let issue: i64 = shop.rows(
            "select id from invoice_sync.open_issues where kind = 'amount_mismatch' and object is not null",
        )[0]
        .get(0);
        let done = shop.json(&format!("invoice_sync.resolve_issue({issue}, '{action}')"));
        assert_eq!(done["success"], json!(true), "{done}");
        let state = "select concat_ws(' ', invoice_status, trim_scale(amount_paid), trim_scale(balance_due)) from invoices";
        assert_eq!(shop.text(state).as_deref(), Some(leaves), "{action}");
        look(&mut shop);
        assert_eq!(shop.text(state).as_deref(), Some(leaves), "{action}");
    }
}

#[test]
fn a_word_that_nothing_in_the_database_knows_is_no_status() {
    let (mut shop, issue) = raised("paid_without_payment");
    let call =
        |word: &str| format!("{issue}, 'revert_to_unpaid', null, '{{\"status\": \"{word}\"}}'");
    let error = refused(&mut shop, &call("Snet"));
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("22023", "no invoice has the status \"Snet\"")
    );
    assert!(error.hint.contains("new_word"), "{error:?}");
    let dry = |shop: &mut Shop, word: &str| {
        let preview = shop.json(&format!(
            "invoice_sync.resolve_issue({}, dry_run => true)",
            call(word)
        ));
        assert_eq!(
            preview["changes"][0]["after"]["invoice_status"],
            json!(word)
        );
    };
    // The column's default, a constraint, another invoice.
    dry(&mut shop, "Draft");
    shop.execute("alter table invoices add check (invoice_status <> 'Posted' or total_amount > 0)");
    dry(&mut shop, "Posted");
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount)
        values ('INV-2', 'Ada', 'Viewed', 5)",
    );
    dry(&mut shop, "Viewed");
}

//! Triggers that move an invoice to another status than the one that was written or left: an issue that stays until
//! somebody decides.

use serde_json::json;

use super::{count, invoice, lost};
use crate::harness::Shop;

/// A trigger that sets the status of an invoice to a word when its payment is written.
fn payments_set(word: &str) -> String {
    format!(
        "create function follow() returns trigger language plpgsql as $$
        begin
            update invoices set invoice_status = '{word}', amount_paid = new.total_amount, balance_due = 0
            where id = new.invoice_id;
            return new;
        end $$;
        create trigger follow after insert or update on payments for each row execute function follow();"
    )
}

/// The one open issue's id, and what moved.
fn moved(shop: &mut Shop) -> (i64, String) {
    let rows = shop.rows(
        "select id, concat_ws(' ', evidence #>> '{moved,from}', evidence #>> '{moved,to}')
        from invoice_sync.open_issues where kind = 'overridden_by_trigger'",
    );
    assert_eq!(rows.len(), 1, "{:?}", shop.open_issues());
    (rows[0].get(0), rows[0].get(1))
}

#[test]
fn a_cancelled_invoice_that_a_trigger_pays_is_an_issue_until_somebody_decides() {
    let mut shop = Shop::open();
    shop.execute(&payments_set("Paid"));
    let first = lost(&mut shop, "INV-1");
    let second = lost(&mut shop, "INV-2");
    shop.execute("update invoices set invoice_status = 'Cancelled'");

    shop.sweep();

    let both = ["overridden_by_trigger INV-1", "overridden_by_trigger INV-2"];
    assert_eq!(invoice(&mut shop, &first), "Paid 125 0");
    assert_eq!(shop.open_issues(), both);
    shop.sweep();
    shop.sync(&first);
    shop.make_all_due();
    shop.sweep();
    assert_eq!(shop.open_issues(), both, "a later look does not end it");
    shop.execute("update invoices set invoice_status = 'Delivered' where invoice_number = 'INV-2'");
    shop.sync(&second);
    assert_eq!(
        shop.open_issues().len(),
        2,
        "nor does what follows from paid"
    );

    let issue = "(select id from invoice_sync.open_issues where invoice_number = 'INV-1')";
    let report = shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'set_status', arguments => '{{\"status\": \"Cancelled\"}}')"
    ));
    assert_eq!(report["resolved"], json!(true), "{report}");
    assert_eq!(invoice(&mut shop, &first), "Cancelled 125 0");
    let (issue, words) = moved(&mut shop);
    assert_eq!(words, "Cancelled Paid");
    let report = shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'keep_as_is')"
    ));
    assert_eq!(report["resolved"], json!(true), "{report}");
    shop.sync(&first);
    shop.sync(&second);
    // A cancelled invoice with money is a case of its own.
    assert_eq!(shop.open_issues(), ["unlinked_payment INV-1"]);
}

#[test]
fn an_invoice_that_a_trigger_closes_when_it_is_paid_is_an_issue() {
    let mut shop = Shop::open();
    shop.execute(
        "create function archive() returns trigger language plpgsql as $$
        begin
            if new.invoice_status = 'Paid' then new.invoice_status := 'Cancelled'; end if;
            return new;
        end $$;
        create trigger archive before update on invoices for each row execute function archive();",
    );
    let id = lost(&mut shop, "INV-1");

    shop.sweep();

    assert_eq!(invoice(&mut shop, &id), "Cancelled 125 0");
    assert!(
        shop.open_issues()
            .contains(&"overridden_by_trigger INV-1".to_owned())
    );
    assert_eq!(moved(&mut shop).1, "Sent Cancelled");
    // As it was, it is no longer moved.
    shop.execute("drop trigger archive on invoices; update invoices set invoice_status = 'Sent'");
    shop.sync(&id);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn undoing_the_run_ends_the_issue_about_the_status() {
    let mut shop = Shop::open();
    shop.execute(&payments_set("Paid"));
    let id = lost(&mut shop, "INV-1");
    shop.execute("update invoices set invoice_status = 'Cancelled'");
    let run = shop.sweep()["runId"].clone();

    let report = shop.json(&format!("invoice_sync.undo({run})"));

    assert_eq!(report["left"], json!([]), "{report}");
    assert_eq!(invoice(&mut shop, &id), "Cancelled 0 125");
    shop.sync(&id);
    let ended = "invoice_sync.issue where kind = 'overridden_by_trigger' and state = 'resolved'";
    assert_eq!(count(&mut shop, ended), 1);
}

#[test]
fn a_payment_that_a_person_books_moves_no_status_unseen() {
    let mut shop = Shop::open();
    let id = lost(&mut shop, "INV-1");
    shop.execute(
        "update invoices set invoice_status = 'Cancelled';
        insert into payments (invoice_id, payment_name, total_amount, payment_status)
        select id, 'Card', 125, 'Paid' from invoices",
    );
    shop.sweep();
    assert!(
        shop.open_issues()
            .contains(&"possible_duplicate INV-1".to_owned())
    );
    shop.execute(&payments_set("Paid"));

    let issue = "(select id from invoice_sync.open_issues where kind = 'possible_duplicate')";
    let report = shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'book_anyway')"
    ));

    assert_eq!(report["resolved"], json!(true), "{report}");
    assert_eq!(invoice(&mut shop, &id).split(' ').next(), Some("Paid"));
    assert_eq!(moved(&mut shop).1, "Cancelled Paid");
}

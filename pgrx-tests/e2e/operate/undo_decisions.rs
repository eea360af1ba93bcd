//! `undo` of people's decisions, and of several repairs of one invoice.

use serde_json::{Value, json};
use stripe_double::Checkout;

use super::{all_are_due, last_run, undo_last};
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// The number of the only open issue of that kind about `object`, or about any.
fn open_issue(shop: &mut Shop, kind: &str, object: Option<&str>) -> i64 {
    let rows = shop.rows(&format!(
        "select id from invoice_sync.open_issues where kind = '{kind}'
        and object is not distinct from coalesce({}, object)",
        object.map_or("null".to_owned(), |object| format!("'{object}'"))
    ));
    assert_eq!(rows.len(), 1, "open issues {kind} {object:?}");
    rows[0].get(0)
}

fn resolve(shop: &mut Shop, issue: i64, action: &str) -> Value {
    shop.json(&format!("invoice_sync.resolve_issue({issue}, '{action}')"))
}

/// The ids of Stripe's payments that are in the books.
fn booked(shop: &mut Shop) -> Vec<String> {
    let rows = shop.texts("select stripe_payment_intent from payments order by created_at, id");
    rows.into_iter().flatten().collect()
}

/// However often it is looked at, by the button and by a sweep, nothing is written.
fn nothing_is_written(shop: &mut Shop) {
    let tables = ["public.invoices", "public.payments"];
    let before = shop.dump_of(&tables);
    let invoices = shop.texts("select id from invoices");
    for _ in 0..2 {
        all_are_due(shop);
        let report = shop.sweep();
        assert_eq!(report["fixed"], json!(0), "{report}");
        for invoice in invoices.iter().flatten() {
            assert_eq!(shop.sync(invoice)["fixed"], json!(0));
        }
        assert_eq!(shop.dump_of(&tables), before);
    }
}

/// An invoice over 100 whose deposit of 40 and balance of 60 two sweeps booked:
/// the two payment intents.
fn deposit_and_balance(shop: &mut Shop) -> [String; 2] {
    let deposit = shop.stripe.checkout(Checkout::new(4_000, "usd")).pay();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Ada', 'Sent', 100, '{}')",
        deposit.session_id()
    ));
    assert_eq!(shop.sweep()["fixed"], json!(1));
    let balance = shop.stripe.checkout(Checkout::new(6_000, "usd")).pay();
    shop.execute(&format!(
        "update invoices set stripe_session_id = '{}'",
        balance.session_id()
    ));
    assert_eq!(shop.sweep()["fixed"], json!(1));
    [deposit.intent_id(), balance.intent_id()]
}

/// The same, both undone: the runs that undid the deposit and the balance.
fn both_undone(shop: &mut Shop) -> ([String; 2], [i64; 2]) {
    let intents = deposit_and_balance(shop);
    let runs = shop.rows("select id from invoice_sync.run where kind = 'sweep' order by id");
    let sweeps: Vec<i64> = runs.iter().map(|row| row.get(0)).collect();
    let mut undos = [0, 0];
    for at in [1, 0] {
        let undone = shop.json(&format!("invoice_sync.undo({})", sweeps[at]));
        assert_eq!(undone["undone"], json!(1), "{undone}");
        undos[at] = last_run(shop, "undo");
    }
    all_are_due(shop);
    assert_eq!(shop.sweep()["fixed"], json!(0));
    assert_eq!(
        shop.open_issues(),
        ["repair_undone INV-1", "repair_undone INV-1"],
        "one for each repair"
    );
    (intents, undos)
}

#[test]
fn undoing_a_repair_that_was_made_again_holds_it_back_once_more() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    undo_last(&mut shop, "sweep");
    let issue = open_issue(&mut shop, "repair_undone", None);
    assert_eq!(
        resolve(&mut shop, issue, "repair_again")["resolved"],
        json!(true)
    );

    let undone = undo_last(&mut shop, "resolve_issue");

    assert_eq!(undone["undone"], json!(1), "{undone}");
    assert_eq!(booked(&mut shop), [""; 0]);
    nothing_is_written(&mut shop);
    assert_eq!(shop.open_issues(), ["repair_undone INV-1"]);
    let again = open_issue(&mut shop, "repair_undone", None);
    assert_eq!(again, issue, "it is open again");
    assert_eq!(
        resolve(&mut shop, issue, "repair_again")["resolved"],
        json!(true)
    );
    assert_eq!(booked(&mut shop).len(), 1);
}

#[test]
fn undoing_a_decision_holds_back_what_the_machine_booked_on_that_occasion() {
    let mut shop = Shop::open();
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
        values ('INV-1', 'Ada', 'Paid', 100, 100, 0)",
    );
    shop.sweep();
    let issue = open_issue(&mut shop, "paid_without_payment", None);
    let paid = shop.stripe.checkout(Checkout::new(3_000, "usd"));
    let paid = paid.pay();
    // It is reported under this invoice, and what it got meanwhile comes along.
    shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'revert_to_unpaid', arguments => '{{\"status\": \"Sent\", \"new_word\": true}}')"
    ));
    shop.execute(&format!(
        "update invoices set stripe_session_id = '{}'",
        paid.session_id()
    ));
    shop.sweep();
    undo_last(&mut shop, "sweep");
    let held = open_issue(&mut shop, "repair_undone", None);
    resolve(&mut shop, held, "repair_again");
    undo_last(&mut shop, "resolve_issue");
    nothing_is_written(&mut shop);
}

#[test]
fn undoing_a_link_brings_the_money_back_into_view() {
    let mut shop = Shop::open();
    let named =
        Checkout::new(10_000, "usd").metadata("invoice_id", "00000000-0000-0000-0000-000000000000");
    let paid = shop.stripe.checkout(named).pay();
    shop.sweep();
    shop.execute("update invoice_sync.event set received_at = received_at - interval '2 hours', next_attempt_at = now()");
    shop.sweep();
    let issue = open_issue(&mut shop, "unlinked_payment", None);
    shop.execute("insert into invoices (invoice_number, customer, invoice_status, total_amount) values ('INV-1', 'Ada', 'Sent', 100)");
    let invoice = shop.text("select id from invoices").expect("the invoice");
    let link = format!(
        "invoice_sync.resolve_issue({issue}, 'link_payment', null, '{{\"invoice_id\": \"{invoice}\"}}')"
    );
    shop.json(&link);
    assert_eq!(booked(&mut shop), [paid.intent_id()]);

    undo_last(&mut shop, "resolve_issue");

    assert_eq!(booked(&mut shop), [""; 0]);
    assert_eq!(shop.open_issues(), ["unlinked_payment -"]);
    nothing_is_written(&mut shop);
    assert_eq!(open_issue(&mut shop, "unlinked_payment", None), issue);
    // And it can be linked once more.
    let linked = shop.json(&link);
    assert_eq!(linked["resolved"], json!(true), "{linked}");
    assert_eq!(booked(&mut shop), [paid.intent_id()]);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn undoing_an_undo_releases_its_own_repair_alone() {
    let mut shop = Shop::open();
    let ([deposit, balance], [undo_of_deposit, _]) = both_undone(&mut shop);

    let undone = shop.json(&format!("invoice_sync.undo({undo_of_deposit})"));

    assert_eq!(undone["undone"], json!(1), "{undone}");
    nothing_is_written(&mut shop);
    assert_eq!(booked(&mut shop), [deposit]);
    open_issue(&mut shop, "repair_undone", Some(&balance));
    assert_eq!(shop.open_issues(), ["repair_undone INV-1"]);
}

#[test]
fn one_of_two_undone_repairs_is_made_again_and_the_other_stays_undone() {
    let mut shop = Shop::open();
    let ([deposit, balance], _) = both_undone(&mut shop);
    let issue = open_issue(&mut shop, "repair_undone", Some(&deposit));

    let done = resolve(&mut shop, issue, "repair_again");

    assert_eq!(done["resolved"], json!(true), "{done}");
    assert_ne!(done["changes"], json!([]), "something was written");
    let message = done["message"].as_str().unwrap_or_default();
    assert!(
        message.contains(&deposit) && !message.contains(&balance),
        "{message}"
    );
    assert_eq!(booked(&mut shop), std::slice::from_ref(&deposit));
    nothing_is_written(&mut shop);
    let other = open_issue(&mut shop, "repair_undone", Some(&balance));

    resolve(&mut shop, other, "keep_as_is");

    nothing_is_written(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
    assert_eq!(booked(&mut shop), [deposit]);
}

#[test]
fn what_is_kept_undone_does_not_hinder_the_other_repair() {
    let mut shop = Shop::open();
    let ([deposit, balance], _) = both_undone(&mut shop);
    let other = open_issue(&mut shop, "repair_undone", Some(&balance));
    resolve(&mut shop, other, "keep_as_is");
    let issue = open_issue(&mut shop, "repair_undone", Some(&deposit));

    resolve(&mut shop, issue, "repair_again");

    assert_eq!(booked(&mut shop), [deposit]);
    nothing_is_written(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn what_else_is_wrong_is_the_same_with_and_without_an_answer_about_what_is_kept_undone() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    undo_last(&mut shop, "sweep");
    let issue = open_issue(&mut shop, "repair_undone", None);
    resolve(&mut shop, issue, "keep_as_is");
    nothing_is_written(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);

    shop.execute(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'cash', 'Paid', 30 from invoices",
    );

    shop.sweep();
    let issues = "select concat_ws(' ', id, state, summary) from invoice_sync.issue order by id";
    assert_eq!(shop.open_issues(), ["repair_undone INV-1"]);
    let reported = shop.texts(issues);
    for _ in 0..2 {
        shop.sync(&sale.invoice);
        assert_eq!(shop.texts(issues), reported, "Stripe was asked");
        shop.sweep();
        assert_eq!(shop.texts(issues), reported, "nothing was asked");
    }

    shop.execute(
        "update invoices set invoice_status = 'Partial', amount_paid = 30, balance_due = 70",
    );

    nothing_is_written(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn undoing_the_undo_of_an_undo_takes_the_repair_out_again_and_holds_it_back() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    let sweep = last_run(&mut shop, "sweep");
    undo_last(&mut shop, "sweep");
    undo_last(&mut shop, "undo");
    assert_eq!(booked(&mut shop).len(), 1);

    undo_last(&mut shop, "undo");

    assert_eq!(booked(&mut shop), [""; 0]);
    nothing_is_written(&mut shop);
    assert_eq!(shop.open_issues(), ["repair_undone INV-1"]);
    let again = shop.json(&format!("invoice_sync.undo({sweep})"));
    assert_eq!(
        (&again["undone"], &again["left"]),
        (&json!(0), &json!([])),
        "it is undone: {again}"
    );
}

#[test]
fn money_that_came_since_is_not_repaired_again_unseen() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    undo_last(&mut shop, "sweep");
    let issue = open_issue(&mut shop, "repair_undone", None);
    let later = shop.stripe.checkout(Checkout::new(2_500, "usd")).pay();
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{}'",
        later.intent_id()
    ));

    let error = shop.error(&format!(
        "select invoice_sync.resolve_issue({issue}, 'repair_again')"
    ));

    assert_eq!(
        error.message, "the facts of the issue have changed",
        "{error:?}"
    );
    assert!(error.detail.contains(&later.intent_id()), "{error:?}");
    // Once the issue tells of it, it is a warning, and the person has seen it.
    shop.sync(&sale.invoice);
    assert_eq!(
        shop.text("select severity from invoice_sync.open_issues"),
        Some("warning".into())
    );
    shop.sync(&sale.invoice);
    assert_eq!(
        shop.text("select severity from invoice_sync.open_issues"),
        Some("warning".into()),
        "and stays one"
    );
    resolve(&mut shop, issue, "repair_again");
    assert_eq!(booked(&mut shop).len(), 2);
}

#[test]
fn money_that_came_since_and_that_the_invoice_does_not_store_is_repaired_again_with_it() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    undo_last(&mut shop, "sweep");
    let later = Checkout::new(2_500, "usd").metadata("invoice_id", &*sale.invoice);
    let later = shop.stripe.checkout(later).pay();
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(booked(&mut shop), [""; 0], "it is held back, too");

    let issue = open_issue(&mut shop, "repair_undone", None);
    resolve(&mut shop, issue, "repair_again");

    let mut both = [sale.intent.clone(), later.intent_id()];
    let mut found = booked(&mut shop);
    both.sort();
    found.sort();
    assert_eq!(found, both);
}

#[test]
fn a_decision_that_wrote_nothing_is_to_be_made_again_once_it_is_taken_back() {
    let mut shop = Shop::open();
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-1', 'Ada', 'Paid', 100, 100)",
    );
    shop.sweep();
    let issue = open_issue(&mut shop, "paid_without_payment", None);
    resolve(&mut shop, issue, "accept_paid_elsewhere");
    let decided = last_run(&mut shop, "resolve_issue");
    shop.sweep();
    assert_eq!(shop.open_issues(), Vec::<String>::new(), "it is settled");

    let undone = shop.json(&format!("invoice_sync.undo({decided})"));
    assert_eq!(
        undone["message"],
        "Restored 0 invoices. Revoked 1 decisions."
    );
    for _ in 0..2 {
        shop.sweep();
        assert_eq!(shop.open_issues(), ["paid_without_payment INV-1"]);
    }
}

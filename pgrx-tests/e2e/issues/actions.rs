//! Each action of each kind of issue.

use serde_json::{Value, json};

use super::stories::story;
use super::{latest, look, the};
use crate::harness::Shop;

/// What an action makes of its kind's story.
struct ActionCase {
    kind: &'static str,
    action: &'static str,
    arguments: &'static str,
    /// What happened before, in the application.
    first: &'static str,
    /// `status paid/balance` of the invoice and `status amount` of its payments
    /// afterwards; nothing: all is as it was.
    leaves: Option<&'static str>,
}

const fn case(kind: &'static str, action: &'static str) -> ActionCase {
    ActionCase {
        kind,
        action,
        arguments: "{}",
        first: "",
        leaves: None,
    }
}

impl ActionCase {
    const fn with(mut self, arguments: &'static str) -> Self {
        self.arguments = arguments;
        self
    }

    const fn after(mut self, statement: &'static str) -> Self {
        self.first = statement;
        self
    }

    const fn leaves(mut self, books: &'static str) -> Self {
        self.leaves = Some(books);
        self
    }
}

const ACTIONS: [ActionCase; 31] = [
    case("paid_without_payment", "accept_paid_elsewhere"),
    case("paid_without_payment", "revert_to_unpaid")
        .with(r#"{"status": "Sent", "new_word": true}"#)
        .leaves("Sent 0/100"),
    case("paid_without_payment", "set_status")
        .with(r#"{"status": "Cancelled"}"#)
        .leaves("Cancelled 100/0"),
    case("amount_mismatch", "accept_amount"),
    case("amount_mismatch", "follow_payments").leaves("Partial 60/40, Paid 60"),
    case("amount_mismatch", "set_status")
        .with(r#"{"status": "Cancelled"}"#)
        .leaves("Cancelled 100/0, Paid 60"),
    case("overpaid", "accept_amount"),
    case("possible_duplicate", "link_row").leaves("Paid 100/0, Paid 100"),
    case("possible_duplicate", "book_anyway").leaves("Paid 200/0, Paid 100, Paid 100"),
    case("possible_duplicate", "ignore"),
    case("refunded", "mark_refunded")
        .with(r#"{"status": "Sent", "new_word": true}"#)
        .leaves("Sent 0/100, Refunded 100"),
    case("refunded", "ignore"),
    case("partially_refunded", "mark_refunded").leaves("Partial 60/40, Paid 100"),
    case("partially_refunded", "ignore"),
    case("disputed", "mark_refunded")
        .with(r#"{"status": "Overdue", "new_word": true}"#)
        .leaves("Overdue 0/100, Disputed 100"),
    case("disputed", "ignore"),
    case("unlinked_payment", "link_payment")
        .with("its own")
        .leaves("Paid 100/0, Paid 100"),
    case("unlinked_payment", "ignore"),
    case("apply_failed", "repair_again")
        .after("drop trigger meddle on payments")
        .leaves("Paid 100/0, Paid 100"),
    case("apply_failed", "ignore"),
    case("overridden_by_trigger", "repair_again")
        .after("drop trigger meddle on invoices")
        .leaves("Paid 100/0, Paid 100"),
    case("overridden_by_trigger", "set_status")
        .after("drop trigger meddle on invoices")
        .with(r#"{"status": "Cancelled"}"#)
        .leaves("Cancelled 100/0, Paid 100"),
    case("overridden_by_trigger", "keep_as_is"),
    case("repair_undone", "repair_again").leaves("Paid 100/0, Paid 100"),
    case("repair_undone", "keep_as_is"),
    case("currency_mismatch", "ignore"),
    case("duplicate_payment", "ignore"),
    case("stripe_object_missing", "ignore"),
    case("livemode_mismatch", "ignore"),
    case("unknown_status", "ignore"),
    case("event_failing", "ignore"),
];

/// The invoice and its payments, in a line.
fn books(shop: &mut Shop) -> String {
    shop.text(
        "select concat_ws(', ',
            format('%s %s/%s', invoice_status, trim_scale(amount_paid), trim_scale(balance_due)),
            (select string_agg(format('%s %s', payment_status, trim_scale(total_amount)), ', ' order by total_amount)
             from payments where invoice_id = i.id))
        from invoices i where invoice_number <> 'other' order by invoice_number limit 1",
    )
    .unwrap_or_default()
}

/// The database; the numbers that a dry run takes are not given back.
fn without_numbers(shop: &Shop) -> Vec<String> {
    let dump = shop.dump();
    let lines = dump
        .lines()
        .filter(|line| !line.contains("pg_catalog.setval"));
    lines.map(str::to_owned).collect()
}

/// What an answer says of each change, without what is another thing each time.
fn outlines(answer: &Value) -> Vec<Value> {
    let amounts = |row: &Value| {
        json!([
            row["amount_paid"],
            row["total_amount"],
            row["invoice_status"]
        ])
    };
    let changes = answer["changes"].as_array().expect("a list").iter();
    changes
        .map(|c| {
            json!([
                c["table"],
                c["action"],
                amounts(&c["before"]),
                amounts(&c["after"])
            ])
        })
        .collect()
}

fn take(case: &ActionCase) {
    let name = format!("{} of {}", case.action, case.kind);
    let mut shop = Shop::open();
    (story(case.kind).begins)(&mut shop);
    look(&mut shop);
    let issue = the(&mut shop, case.kind);
    shop.execute(case.first);
    let arguments = match case.arguments {
        "its own" => shop
            .json("jsonb_build_object('invoice_id', id) from invoices")
            .to_string(),
        given => given.to_owned(),
    };
    let call = |dry_run: bool| {
        format!(
            "invoice_sync.resolve_issue({issue}, '{}', 'as agreed with Ada', '{arguments}', {dry_run})",
            case.action
        )
    };
    let (before, dump) = (books(&mut shop), without_numbers(&shop));

    let preview = shop.json(&call(true));

    assert_eq!(
        without_numbers(&shop),
        dump,
        "{name}: a dry run writes nothing"
    );
    assert_eq!(preview["resolved"], json!(false), "{name}: {preview}");
    let says_nothing = preview["message"]
        == json!("Nothing was written. The action would make these changes: nothing was changed.");
    assert_eq!(says_nothing, case.leaves.is_none(), "{name}: {preview}");

    let done = shop.json(&call(false));

    assert_eq!(done["resolved"], json!(true), "{name}: {done}");
    assert_eq!(books(&mut shop), case.leaves.unwrap_or(&before), "{name}");
    assert_eq!(
        outlines(&preview),
        outlines(&done),
        "{name}: the dry run said so"
    );
    let changed = done["changes"].as_array().map_or(0, Vec::len);
    assert_eq!(changed > 0, case.leaves.is_some(), "{name}: {done}");
    let ledger = shop.json(&format!(
        "jsonb_build_object(
            'issue', (select jsonb_build_array(state, resolution, resolved_by, note)
                      from invoice_sync.issue where id = {issue}),
            'run', (select jsonb_build_array(kind, role, success) from invoice_sync.run where id = {run}),
            'changes', (select count(*) from invoice_sync.full_change where run_id = {run}),
            'signed', (select count(*) from invoice_sync.full_change where run_id = {run}
                       and evidence @> '{{\"issue\": {issue}, \"action\": \"{}\", \"note\": \"as agreed with Ada\"}}'))",
        case.action,
        run = done["runId"],
    ));
    let wanted = json!({
        "issue": ["resolved", case.action, "postgres", "as agreed with Ada"],
        "run": ["resolve_issue", "postgres", true],
        "changes": changed,
        "signed": changed,
    });
    assert_eq!(ledger, wanted, "{name}");

    // Decided once, it does not come back, and the books stay.
    for _ in 0..2 {
        look(&mut shop);
        let again = latest(&mut shop, case.kind).expect("it is on record");
        assert_eq!(
            (again.id, again.state.as_str()),
            (issue, "resolved"),
            "{name}"
        );
        assert_eq!(books(&mut shop), case.leaves.unwrap_or(&before), "{name}");
    }
}

#[test]
fn each_action_of_each_kind_is_shown_taken_recorded_and_final() {
    let mut shop = Shop::open();
    let offered = shop.texts(
        "select concat_ws(' ', kind, action) from invoice_sync.issue_kinds()
        where action is not null order by 1",
    );
    let mut preview: Vec<String> = ACTIONS
        .iter()
        .map(|case| format!("{} {}", case.kind, case.action))
        .collect();
    preview.push("webhooks_failing ignore".to_owned());
    preview.sort();
    let offered: Vec<String> = offered.into_iter().flatten().collect();
    assert_eq!(offered, preview, "an action without a test");
    for case in &ACTIONS {
        take(case);
    }
}

#[test]
fn webhooks_that_are_given_up_are_not_reported_until_one_comes() {
    let mut shop = Shop::open();
    (story("webhooks_failing").begins)(&mut shop);
    look(&mut shop);
    let issue = the(&mut shop, "webhooks_failing");
    shop.json(&format!("invoice_sync.resolve_issue({issue}, 'ignore')"));
    shop.execute(
        "insert into invoice_sync.event
        select (jsonb_populate_record(e, jsonb_build_object('id', id || '_later'))).*
        from invoice_sync.event e where webhook_at is null limit 1",
    );
    look(&mut shop);
    assert_eq!(shop.open_issues(), [""; 0], "another event lost is no news");
    shop.execute("update invoice_sync.event set webhook_at = webhook_at + interval '1 hour'");
    look(&mut shop);
    assert_eq!(
        shop.open_issues(),
        ["webhooks_failing -"],
        "they came, and stopped again"
    );
}

#[test]
fn an_event_that_fails_later_is_reported_although_an_earlier_one_of_the_payment_was_given_up() {
    let mut shop = Shop::open();
    (story("event_failing").begins)(&mut shop);
    let issue = the(&mut shop, "event_failing");
    shop.json(&format!("invoice_sync.resolve_issue({issue}, 'ignore')"));
    look(&mut shop);
    assert_eq!(shop.open_issues(), ["apply_failed INV-1"], "it is given up");

    shop.execute(
        "insert into invoice_sync.event
        select (jsonb_populate_record(e, jsonb_build_object('id', id || '_later', 'type', 'charge.dispute.created'))).*
        from invoice_sync.event e where state = 'pending' limit 1",
    );
    look(&mut shop);

    assert_eq!(
        shop.open_issues(),
        ["apply_failed INV-1", "event_failing -"],
        "there is news"
    );
}

//! Each action of each kind, taken once.

use serde_json::{Value, json};

use super::stories::story;
use super::{latest, look, the};
use crate::harness::Shop;

/// What an action makes of its kind's story.
struct Deed {
    kind: &'static str,
    action: &'static str,
    arguments: &'static str,
    /// What happened before, in the application.
    first: &'static str,
    /// `status paid/balance` of the invoice and `status amount` of its payments
    /// afterwards; nothing: all is as it was.
    leaves: Option<&'static str>,
}

const fn deed(kind: &'static str, action: &'static str) -> Deed {
    Deed {
        kind,
        action,
        arguments: "{}",
        first: "",
        leaves: None,
    }
}

impl Deed {
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

const DEEDS: [Deed; 30] = [
    deed("paid_without_payment", "accept_paid_elsewhere"),
    deed("paid_without_payment", "revert_to_unpaid")
        .with(r#"{"status": "Sent", "new_word": true}"#)
        .leaves("Sent 0/100"),
    deed("paid_without_payment", "set_status")
        .with(r#"{"status": "Cancelled"}"#)
        .leaves("Cancelled 100/0"),
    deed("amount_mismatch", "accept_amount"),
    deed("amount_mismatch", "follow_payments").leaves("Partial 60/40, Paid 60"),
    deed("amount_mismatch", "set_status")
        .with(r#"{"status": "Cancelled"}"#)
        .leaves("Cancelled 100/0, Paid 60"),
    deed("overpaid", "accept_amount"),
    deed("possible_duplicate", "link_row").leaves("Paid 100/0, Paid 100"),
    deed("possible_duplicate", "book_anyway").leaves("Paid 200/0, Paid 100, Paid 100"),
    deed("possible_duplicate", "ignore"),
    deed("refunded", "mark_refunded")
        .with(r#"{"status": "Sent", "new_word": true}"#)
        .leaves("Sent 0/100, Refunded 100"),
    deed("refunded", "ignore"),
    deed("partially_refunded", "mark_refunded").leaves("Partial 60/40, Paid 100"),
    deed("partially_refunded", "ignore"),
    deed("disputed", "mark_refunded")
        .with(r#"{"status": "Overdue", "new_word": true}"#)
        .leaves("Overdue 0/100, Disputed 100"),
    deed("disputed", "ignore"),
    deed("unlinked_payment", "link_payment")
        .with("its own")
        .leaves("Paid 100/0, Paid 100"),
    deed("unlinked_payment", "ignore"),
    deed("apply_failed", "repair_again")
        .after("drop trigger meddle on payments")
        .leaves("Paid 100/0, Paid 100"),
    deed("apply_failed", "ignore"),
    deed("overridden_by_trigger", "repair_again")
        .after("drop trigger meddle on invoices")
        .leaves("Paid 100/0, Paid 100"),
    deed("overridden_by_trigger", "keep_as_is"),
    deed("repair_undone", "repair_again").leaves("Paid 100/0, Paid 100"),
    deed("repair_undone", "keep_as_is"),
    deed("currency_mismatch", "ignore"),
    deed("duplicate_payment", "ignore"),
    deed("stripe_object_missing", "ignore"),
    deed("livemode_mismatch", "ignore"),
    deed("unknown_status", "ignore"),
    deed("event_failing", "ignore"),
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

fn take(deed: &Deed) {
    let name = format!("{} of {}", deed.action, deed.kind);
    let mut shop = Shop::open();
    (story(deed.kind).begins)(&mut shop);
    look(&mut shop);
    let issue = the(&mut shop, deed.kind);
    shop.execute(deed.first);
    let arguments = match deed.arguments {
        "its own" => shop
            .json("jsonb_build_object('invoice_id', id) from invoices")
            .to_string(),
        given => given.to_owned(),
    };
    let call = |dry_run: bool| {
        format!(
            "invoice_sync.resolve_issue({issue}, '{}', 'as agreed with Ada', '{arguments}', {dry_run})",
            deed.action
        )
    };
    let (before, dump) = (books(&mut shop), without_numbers(&shop));

    let told = shop.json(&call(true));

    assert_eq!(
        without_numbers(&shop),
        dump,
        "{name}: a dry run writes nothing"
    );
    assert_eq!(told["resolved"], json!(false), "{name}: {told}");
    let says_nothing = told["message"]
        == json!("Nothing was written. The action would make these changes: nothing was changed.");
    assert_eq!(says_nothing, deed.leaves.is_none(), "{name}: {told}");

    let done = shop.json(&call(false));

    assert_eq!(done["resolved"], json!(true), "{name}: {done}");
    assert_eq!(books(&mut shop), deed.leaves.unwrap_or(&before), "{name}");
    assert_eq!(
        outlines(&told),
        outlines(&done),
        "{name}: the dry run said so"
    );
    let changed = done["changes"].as_array().map_or(0, Vec::len);
    assert_eq!(changed > 0, deed.leaves.is_some(), "{name}: {done}");
    let ledger = shop.json(&format!(
        "jsonb_build_object(
            'issue', (select jsonb_build_array(state, resolution, resolved_by, note)
                      from invoice_sync.issue where id = {issue}),
            'run', (select jsonb_build_array(kind, role, success) from invoice_sync.run where id = {run}),
            'changes', (select count(*) from invoice_sync.change where run_id = {run}),
            'signed', (select count(*) from invoice_sync.change where run_id = {run}
                       and evidence @> '{{\"issue\": {issue}, \"action\": \"{}\", \"note\": \"as agreed with Ada\"}}'))",
        deed.action,
        run = done["runId"],
    ));
    let wanted = json!({
        "issue": ["resolved", deed.action, "postgres", "as agreed with Ada"],
        "run": ["resolve_issue", "postgres", true],
        "changes": changed,
        "signed": changed,
    });
    assert_eq!(ledger, wanted, "{name}");

    // Decided once, it does not come back, and the books stay.
    for _ in 0..2 {
        look(&mut shop);
        let again = latest(&mut shop, deed.kind).expect("it is on record");
        assert_eq!(
            (again.id, again.state.as_str()),
            (issue, "resolved"),
            "{name}"
        );
        assert_eq!(books(&mut shop), deed.leaves.unwrap_or(&before), "{name}");
    }
}

#[test]
fn each_action_of_each_kind_is_shown_taken_recorded_and_final() {
    let mut shop = Shop::open();
    let offered = shop.texts(
        "select concat_ws(' ', kind, action) from invoice_sync.issue_kinds()
        where action is not null order by 1",
    );
    let mut told: Vec<String> = DEEDS
        .iter()
        .map(|deed| format!("{} {}", deed.kind, deed.action))
        .collect();
    told.push("webhooks_failing ignore".to_owned());
    told.sort();
    let offered: Vec<String> = offered.into_iter().flatten().collect();
    assert_eq!(offered, told, "an action without a test");
    for deed in &DEEDS {
        take(deed);
    }
}

#[test]
fn webhooks_that_are_given_up_are_not_told_of_until_one_comes() {
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
fn an_event_that_fails_later_is_told_although_an_earlier_one_of_the_payment_was_given_up() {
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

//! Acknowledging and snoozing issues, and the actions in `open_issues`.

use serde_json::json;

use super::stories::story;
use super::{look, the};
use crate::harness::Shop;
use crate::harness::server::attempt;

#[test]
fn an_issue_is_acknowledged_and_snoozed_and_stays_open() {
    let mut shop = Shop::open();
    (story("overpaid").begins)(&mut shop);
    look(&mut shop);
    let issue = the(&mut shop, "overpaid");

    shop.execute(&format!(
        "select invoice_sync.acknowledge_issue({issue}, 'Ada calls the customer');
        select invoice_sync.snooze_issue({issue}, '2099-01-01 12:00:00.5+00')"
    ));
    look(&mut shop);

    let answer = shop.json(
        "jsonb_build_object('state', state, 'by', acknowledged_by, 'at', acknowledged_at = acknowledged_at,
            'until', snoozed_until, 'note', note, 'seen', times_seen, 'actions', actions)
        from invoice_sync.open_issues",
    );
    assert_eq!(
        answer,
        json!({
            "state": "acknowledged", "by": "postgres", "at": true, "until": "2099-01-01T12:00:00.5+00:00",
            "note": "Ada calls the customer", "seen": 2, "actions": ["accept_amount"],
        })
    );
    shop.execute(&format!("select invoice_sync.snooze_issue({issue}, null)"));
    assert_eq!(
        shop.text("select snoozed_until from invoice_sync.open_issues"),
        None
    );
    let sentence = shop.text(&format!(
        "select description from invoice_sync.issue_actions({issue})"
    ));
    assert!(sentence.is_some_and(|text| text.starts_with("The amounts are correct")));
}

#[test]
fn what_is_not_there_or_over_cannot_be_acknowledged_or_snoozed() {
    let mut shop = Shop::open();
    (story("overpaid").begins)(&mut shop);
    look(&mut shop);
    let issue = the(&mut shop, "overpaid");
    shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'accept_amount')"
    ));
    for (number, sqlstate) in [(issue, "55000"), (4711, "P0002")] {
        for call in [
            format!("acknowledge_issue({number})"),
            format!("snooze_issue({number}, now())"),
        ] {
            let error = shop.error(&format!("select invoice_sync.{call}"));
            assert_eq!(error.sqlstate, sqlstate, "{call}");
        }
    }
}

#[test]
fn operators_decide_readers_only_look() {
    let mut shop = Shop::open();
    (story("overpaid").begins)(&mut shop);
    look(&mut shop);
    let issue = the(&mut shop, "overpaid");
    let role = format!("{}_role", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}', 'read')"
    ));
    let calls = [
        format!("select invoice_sync.acknowledge_issue({issue})"),
        format!("select invoice_sync.snooze_issue({issue}, now())"),
        format!("select invoice_sync.resolve_issue({issue}, 'accept_amount', dry_run => true)"),
        format!("select invoice_sync.resolve_issue({issue}, 'accept_amount')"),
        "select invoice_sync.undo(max(id)) from invoice_sync.recent_runs".to_owned(),
    ];
    let mut session = shop.connect_as(&role);
    for call in &calls {
        let error = attempt(&mut session, call).expect_err(call);
        assert_eq!(error.sqlstate, "42501", "{call}");
    }
    attempt(&mut session, "select actions from invoice_sync.open_issues")
        .expect("readers see them");

    shop.execute(&format!("select invoice_sync.grant_access('{role}')"));
    for call in &calls {
        attempt(&mut session, call).expect(call);
    }
    let roles = shop.json(&format!(
        "jsonb_build_array(acknowledged_by = '{role}', state = 'open',
            (select array_agg(distinct role) = '{{{role}}}' from invoice_sync.run where kind in ('resolve_issue', 'undo')))
        from invoice_sync.issue"
    ));
    assert_eq!(roles, json!([true, true, true]));
    shop.execute(&format!(
        "select invoice_sync.revoke_access('{role}'); drop role {role}"
    ));
}

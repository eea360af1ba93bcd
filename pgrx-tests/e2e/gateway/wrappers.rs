//! Wrappers in another schema, for gateways that cannot expose the extension's schema.

use serde_json::{Value, json};

use crate::harness::Shop;
use crate::harness::gateway::{Caller, WebShop};
use crate::harness::sale::Sale;
use crate::harness::sender::{SECRET, now, signature};

fn shop_with_an_api() -> (Shop, Sale) {
    let mut shop = Shop::with_webhooks();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("create schema api; grant usage on schema api to public; select invoice_sync.create_api('api')");
    (shop, sale)
}

#[test]
fn a_gateway_that_exposes_another_schema_serves_them() {
    let (shop, sale) = shop_with_an_api();
    let mut web = WebShop::exposing(shop, "api");

    let arguments = json!({ "invoice_id": sale.invoice });
    let answer = web.call(Caller::Admin, "sync_invoice", &arguments);
    assert_eq!(
        (answer.status, &answer.json()["fixed"]),
        (200, &json!(1)),
        "{answer:?}"
    );
    assert_eq!(
        web.shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );

    for view in [
        "status",
        "open_issues",
        "recent_runs",
        "changes",
        "settings",
        "metrics",
        "currencies",
    ] {
        let answer = web.read(Caller::Admin, view);
        assert_eq!(answer.status, 200, "{view}: {answer:?}");
        assert_eq!(web.read(Caller::Customer, view).status, 403, "{view}");
        assert_eq!(web.read(Caller::Stranger, view).status, 401, "{view}");
    }
    let runs: Value = web.read(Caller::Admin, "recent_runs").json();
    assert_eq!(runs[0]["booked"][0]["payments"], json!(1), "{runs:#}");

    let run = runs[0]["id"].clone();
    let undone = web.call(Caller::Admin, "undo", &json!({ "run_id": run }));
    assert_eq!(undone.status, 200, "{undone:?}");
    assert_eq!(
        web.shop.text("select count(*) from payments"),
        Some("0".into())
    );
    let issue = web.read(Caller::Admin, "open_issues").json()[0]["id"].clone();
    let actions = web.call(Caller::Admin, "issue_actions", &json!({ "id": issue }));
    assert_eq!(actions.json()[0]["action"], "repair_again", "{actions:?}");
    let again = json!({ "id": issue, "action": "repair_again" });
    assert_eq!(
        web.call(Caller::Customer, "resolve_issue", &again).status,
        403
    );
    assert_eq!(web.call(Caller::Admin, "resolve_issue", &again).status, 200);
    assert_eq!(
        web.call(Caller::Admin, "resolve_issue", &again).status,
        409,
        "it is resolved"
    );
    assert_eq!(
        web.shop.text("select count(*) from payments"),
        Some("1".into())
    );

    let body = json!({ "id": "evt_1", "object": "event", "type": "other", "created": now(),
        "livemode": false, "data": { "object": { "id": "x", "object": "x" } } })
    .to_string();
    let delivered = web.post_event(&body, &signature(SECRET, now(), &body));
    assert_eq!(delivered.status, 200, "{delivered:?}");
}

#[test]
fn an_amount_that_was_booked_is_reported_in_major_units() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sync(&sale.invoice);
    let booked = shop.text("select booked from invoice_sync.recent_runs order by id desc limit 1");
    let total = shop.text("select round(total_amount, 2) from invoices");
    let booked: Value = serde_json::from_str(&booked.expect("there is a run")).expect("JSON");
    assert_eq!(
        booked,
        json!([{ "currency": "usd", "payments": 1, "amount": total }])
    );

    let run = shop
        .text("select max(id) from invoice_sync.recent_runs")
        .expect("one");
    shop.json(&format!("invoice_sync.undo({run})"));
    let booked = shop.text(&format!(
        "select booked from invoice_sync.recent_runs where id = {run}"
    ));
    assert_eq!(
        booked.as_deref(),
        Some("[]"),
        "what was undone does not count"
    );
}

#[test]
fn they_can_be_made_anew_removed_and_go_with_the_extension() {
    let (mut shop, _) = shop_with_an_api();
    let objects = "select count(*)::text || ' ' || (select count(*) from pg_class where relnamespace = 'api'::regnamespace)
        from pg_proc where pronamespace = 'api'::regnamespace";
    let made = shop.text(objects);
    shop.execute("create function api.mine() returns int language sql as 'select 1'; create view api.own as select 1 as one");

    shop.execute("select invoice_sync.create_api('api'), invoice_sync.drop_api('api')");
    assert_eq!(
        shop.text(objects),
        Some("1 1".into()),
        "what is not ours stays"
    );

    shop.execute(
        "drop function api.mine(); drop view api.own; select invoice_sync.create_api('api')",
    );
    assert_eq!(shop.text(objects), made);
    let silent = shop.texts(
        "select proname from pg_proc where pronamespace = 'api'::regnamespace and obj_description(oid, 'pg_proc') is null
        union all
        select relname from pg_class where relnamespace = 'api'::regnamespace and obj_description(oid, 'pg_class') is null",
    );
    assert_eq!(
        silent,
        Vec::<Option<String>>::new(),
        "they say what they are"
    );

    shop.not_at_rest("the extension is dropped");
    shop.execute("drop extension invoice_sync cascade");
    assert_eq!(shop.text(objects), Some("0 0".into()));
}

#[test]
fn what_is_there_already_is_not_replaced() {
    let mut shop = Shop::open();
    shop.execute("create schema api; create function api.undo(run_id bigint, dry_run boolean) returns int language sql as 'select 1'");
    let error = shop.error("select invoice_sync.create_api('api')");
    assert_eq!(error.sqlstate, "42723", "{error:?}");
    assert_eq!(shop.text("select api.undo(1, true)"), Some("1".into()));
    let error = shop.error("select invoice_sync.create_api('invoice_sync')");
    assert_eq!(error.sqlstate, "22023", "{error:?}");
}

//! Which deliveries are accepted, and what happens to them.

use std::time::Duration;

use serde_json::json;
use stripe_double::Checkout;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::sender::{SECRET, deliver, deliver_signed, now, signature};

/// The completed session's event, as Stripe would post it.
fn completed(shop: &Shop) -> String {
    shop.stripe
        .events()
        .into_iter()
        .find(|event| event["type"] == "checkout.session.completed")
        .expect("a session was completed")
        .to_string()
}

#[test]
fn a_delivered_payment_is_booked_at_once_and_the_same_again_changes_nothing() {
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-1");
    let body = completed(&shop);

    let answer = deliver(&mut shop.db, &body).expect("accepted");

    assert_eq!(answer["result"], json!("processed"));
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
    let before = shop.dump();
    let again = deliver(&mut shop.db, &body).expect("accepted again");
    assert_eq!(again["result"], json!("seen before"));
    assert_eq!(shop.dump(), before, "a replay changes nothing");
}

/// Gateways and roles have limits of their own, such as that of anon in Supabase.
#[test]
fn a_delivery_ends_in_order_before_a_statement_timeout_that_is_shorter_than_its_budget() {
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-1");
    let body = completed(&shop);
    shop.stripe.set_latency(Duration::from_secs(10));
    shop.execute("set statement_timeout = '1500ms'");

    let answer = deliver(&mut shop.db, &body).expect("it is accepted");

    assert_eq!(answer["result"], json!("stored, to be processed later"));
    shop.execute("reset statement_timeout");
    shop.stripe.set_latency(Duration::ZERO);
    shop.sweep();
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
}

#[test]
fn the_cause_of_a_webhooks_change_is_written_down() {
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-1");
    let body = completed(&shop);
    deliver(&mut shop.db, &body).expect("accepted");
    assert_eq!(
        shop.texts("select distinct cause from invoice_sync.changes"),
        [Some("webhook".to_owned())]
    );
}

#[test]
fn a_stranger_is_refused_and_learns_nothing() {
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-1");
    let body = completed(&shop);
    let genuine = signature(SECRET, now(), &body);
    let forged = [
        signature("whsec_another", now(), &body),
        signature(SECRET, now() - 301, &body),
        signature(SECRET, now() + 400, &body),
        genuine.replace("v1=", "v0="),
        genuine.replace("t=", "x="),
        String::new(),
    ];
    for header in forged {
        let error = deliver_signed(&mut shop.db, &body, &header).expect_err(&header);
        assert_eq!(error.sqlstate, "22023", "{header}");
        assert_eq!(error.message, "the signature was not accepted", "{header}");
        assert_eq!(
            (error.detail.as_str(), error.hint.as_str()),
            ("", ""),
            "{header}"
        );
    }
    let changed = body.replace("\"livemode\"", "\"livemode \"");
    assert!(deliver_signed(&mut shop.db, &changed, &genuine).is_err());
    assert_eq!(
        shop.text("select count(*) from invoice_sync.event"),
        Some("0".into())
    );
}

#[test]
fn without_a_secret_every_call_is_refused() {
    let mut shop = Shop::open();
    for secret in [SECRET, ""] {
        let error = deliver_signed(&mut shop.db, "{}", &signature(secret, now(), "{}"))
            .expect_err("no secret is set");
        assert_eq!(error.sqlstate, "55000");
    }
}

#[test]
fn while_a_secret_is_rolled_both_are_good() {
    let mut shop = Shop::open();
    shop.use_secret("stripe_webhook_secret", &format!("whsec_new,{SECRET}"));
    Sale::unbooked(&mut shop, "INV-1");
    let body = completed(&shop);
    for secret in ["whsec_new", SECRET] {
        let header = signature(secret, now(), &body);
        deliver_signed(&mut shop.db, &body, &header).expect(secret);
    }
}

#[test]
fn the_form_for_a_gateway_reads_the_header_and_keeps_the_body_byte_for_byte() {
    let mut shop = Shop::with_webhooks();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.stripe.set(
        &sale.session,
        "customer_email",
        "zoë  \u{1F600}@example.com",
    );
    // Odd white space, a key twice: what jsonb would not keep.
    let body = completed(&shop)
        .replacen("{", "{ \n\t \"id\" : \"evt_first\",", 1)
        .replacen("\"object\"", "  \"object\"", 1);
    let role = format!("anon_of_{}", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}', 'webhook')"
    ));
    let mut anon = shop.connect_as(&role);
    let headers = json!({ "stripe-signature": signature(SECRET, now(), &body) }).to_string();
    let mut request = anon.transaction().expect("begins");
    request
        .execute(
            "select set_config('request.headers', $1, true)",
            &[&headers],
        )
        .expect("the gateway sets it");
    let literal = body.replace('\'', "''");
    request
        .batch_execute(&format!(
            "select invoice_sync.handle_webhook('{literal}'::json)"
        ))
        .unwrap_or_else(|error| panic!("{error:?}"));
    request.commit().expect("commits");
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
    drop(anon);
    shop.execute(&format!(
        "select invoice_sync.revoke_access('{role}'); drop role {role}"
    ));
}

#[test]
fn an_event_that_comes_before_its_invoice_is_kept_and_picked_up_by_a_sweep() {
    let mut shop = Shop::with_webhooks();
    let id = "7d8e6b50-0000-4000-8000-000000000001";
    shop.stripe
        .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", id))
        .pay();
    let body = completed(&shop);

    let answer = deliver(&mut shop.db, &body).expect("stored");
    assert_eq!(answer["result"], json!("stored, to be processed later"));
    assert_eq!(
        shop.text("select state from invoice_sync.event where type = 'checkout.session.completed'"),
        Some("pending".into())
    );

    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due)
        values ('{id}', 'INV-9', 'Late', 'Sent', 100, 100);
        update invoice_sync.event set next_attempt_at = now()"
    ));
    let report = shop.sweep();
    assert_eq!(report["fixed"], json!(1), "{report}");
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
}

#[test]
fn without_fetching_no_request_is_made_and_the_payment_is_booked_all_the_same() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = false");
    Sale::named(&mut shop, "INV-1");
    let body = completed(&shop);
    deliver(&mut shop.db, &body).expect("accepted");
    assert_eq!(shop.stripe.requests().len(), 0);
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
    assert_eq!(
        shop.text("select stripe_payment_intent like 'pi_%' from payments"),
        Some("true".into())
    );
}

#[test]
fn without_fetching_a_session_that_names_no_invoice_waits_because_its_intent_may_name_another() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = false");
    let checkout = Checkout::new(10_000, "usd").intent_metadata("invoice_id", "INV-1");
    let paid = shop.stripe.checkout(checkout).pay();
    for (number, session) in [("INV-1", None), ("INV-2", Some(paid.session_id()))] {
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
            values ('{number}', 'Ann', 'Sent', 100, nullif('{}', ''))",
            session.unwrap_or_default()
        ));
    }
    let body = completed(&shop);
    let answer = deliver(&mut shop.db, &body).expect("accepted");
    assert_eq!(answer["result"], json!("stored, to be processed later"));
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    shop.execute("update invoice_sync.event set next_attempt_at = now()");
    shop.sweep();
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    assert_eq!(shop.open_issues(), ["unlinked_payment INV-2"]);
}

#[test]
fn when_stripe_cannot_be_asked_the_event_is_stored_and_acted_on_later() {
    let mut shop = Shop::with_webhooks();
    shop.execute("update invoice_sync.settings set webhook_budget_ms = 300");
    Sale::unbooked(&mut shop, "INV-1");
    shop.stripe
        .fault(stripe_double::Fault::new(stripe_double::Action::Hang).times(1));
    let body = completed(&shop);
    let answer = deliver(&mut shop.db, &body).expect("Stripe learns that it is stored");
    assert_eq!(answer["result"], json!("stored, to be processed later"));
    shop.execute("update invoice_sync.event set next_attempt_at = now()");
    assert_eq!(shop.sweep()["fixed"], json!(1));
}

#[test]
fn a_failed_event_is_processed_when_it_comes_again() {
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin raise 'not today'; end $$;
        create trigger refuse before insert on payments for each row execute function refuse()",
    );
    let body = completed(&shop);
    let answer = deliver(&mut shop.db, &body).expect("it is stored");
    assert_eq!(answer["result"], json!("stored, to be processed later"));
    assert_eq!(shop.open_issues(), ["apply_failed INV-1"]);
    shop.execute("drop trigger refuse on payments");
    let answer = deliver(&mut shop.db, &body).expect("Stripe delivers again");
    assert_eq!(answer["result"], json!("processed"));
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn an_intent_that_comes_before_its_session_does_not_make_a_second_row() {
    let mut shop = Shop::with_webhooks();
    let id = "7d8e6b50-0000-4000-8000-000000000003";
    let named = Checkout::new(10_000, "usd").intent_metadata("invoice_id", id);
    let paid = shop.stripe.checkout(named).pay();
    shop.execute(&format!(
        "insert into invoices (id, invoice_number, customer, invoice_status, total_amount)
        values ('{id}', 'INV-3', 'Ann', 'Sent', 100);
        insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        values ('{id}', 'Checkout', 'Pending', 100, '{}')",
        paid.session_id()
    ));
    shop.deliver_all(&["payment_intent.succeeded"]);
    shop.deliver_all(&["checkout.session.completed"]);
    assert_eq!(
        shop.texts("select payment_name || ' ' || payment_status from payments"),
        [Some("Checkout Paid".to_owned())]
    );
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn events_of_other_modes_accounts_and_types_are_kept_and_ignored() {
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-1");
    let genuine: serde_json::Value = serde_json::from_str(&completed(&shop)).expect("is JSON");
    for (id, field, value) in [
        ("evt_live", "livemode", json!(true)),
        ("evt_connect", "account", json!("acct_other")),
        ("evt_type", "type", json!("customer.created")),
    ] {
        let mut event = genuine.clone();
        event["id"] = json!(id);
        event[field] = value;
        let answer = deliver(&mut shop.db, &event.to_string()).expect(id);
        assert_eq!(answer["result"], json!("ignored"), "{id}");
    }
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    assert_eq!(
        shop.text("select count(*) from invoice_sync.event"),
        Some("3".into())
    );
}

#[test]
fn an_account_that_the_settings_do_not_name_is_told_of_once_and_taken_up_when_named() {
    let mut shop = Shop::with_webhooks();
    let sold = shop
        .stripe
        .checkout(Checkout::new(10_000, "usd").account("acct_other"))
        .pay();
    let invoice = format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Ann', 'Sent', 100, '{}')",
        sold.session_id()
    );
    shop.execute(&invoice);
    let mut events = shop.stripe.events();
    let genuine: serde_json::Value = serde_json::from_str(&completed(&shop)).expect("is JSON");
    let mut third = genuine.clone();
    third["id"] = json!("evt_third");
    third["account"] = json!("acct_third");
    events.push(third);
    for event in &events {
        let answer = deliver(&mut shop.db, &event.to_string()).expect("it is stored");
        assert_eq!(answer["result"], json!("ignored"));
    }
    let told = "select concat_ws(' ', kind, object, evidence ->> 'setting') from invoice_sync.open_issues order by 1";
    assert_eq!(
        shop.texts(told),
        [
            Some("event_failing acct_other invoice_sync.stripe_account".to_owned()),
            Some("event_failing acct_third invoice_sync.stripe_account".to_owned()),
        ]
    );
    // Another mode's events are nobody's here.
    let mut live = genuine.clone();
    live["id"] = json!("evt_live");
    live["livemode"] = json!(true);
    live["account"] = json!("acct_live");
    deliver(&mut shop.db, &live.to_string()).expect("it is stored");
    assert_eq!(shop.texts(told).len(), 2);
    let third = "(select id from invoice_sync.open_issues where object = 'acct_third')";
    shop.execute(&format!(
        "select invoice_sync.resolve_issue({third}, 'ignore', 'not ours')"
    ));
    let mut again = events[events.len() - 1].clone();
    again["id"] = json!("evt_again");
    deliver(&mut shop.db, &again.to_string()).expect("it is stored");
    assert_eq!(shop.texts(told).len(), 1, "a person has decided");

    shop.configure("stripe_account", "acct_other");
    shop.sweep();

    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

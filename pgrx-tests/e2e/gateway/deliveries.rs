//! Webhooks that Stripe posts to the database's REST endpoint.

use serde_json::{Value, json};

use crate::harness::Shop;
use crate::harness::gateway::{Answer, Caller, WebShop};
use crate::harness::sale::Sale;
use crate::harness::sender::{SECRET, now, signature};
use crate::harness::server::Server;

/// A shop on the web, and the event of its only sale.
fn shop_with_a_sale() -> (WebShop, String) {
    let mut shop = Shop::with_webhooks();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.stripe
        .set(&sale.session, "customer_email", "zoë \u{1F600}@example.com");
    shop.stripe
        .emit("checkout.session.completed", &sale.session);
    let body = shop
        .stripe
        .events()
        .into_iter()
        .rfind(|event| event["type"] == "checkout.session.completed")
        .expect("a session was completed")
        .to_string();
    (WebShop::open(shop), with_odd_white_space(&body))
}

/// What no parser would write again the same: white space, a key that comes twice.
fn with_odd_white_space(body: &str) -> String {
    let odd = body
        .replacen('{', "\n{ \n\t \"id\" : \"evt_first\",", 1)
        .replacen("\"object\"", "  \"object\"", 1);
    assert!(odd.contains("zoë \u{1F600}"), "{odd}");
    format!("{odd}\r\n ")
}

fn deliver(web: &WebShop, body: &str) -> Answer {
    web.post_event(body, &signature(SECRET, now(), body))
}

fn payments(web: &mut WebShop) -> Option<String> {
    web.shop.text("select count(*) from payments")
}

/// That Stripe is to try again, and that the caller learns no more than `message`.
fn assert_refused(answer: &Answer, code: &str, message: &str) {
    let expected = json!({ "code": code, "message": message, "details": null, "hint": null });
    assert_eq!(answer.json(), expected);
}

#[test]
fn a_delivery_books_the_payment_and_the_same_again_changes_nothing() {
    let (mut web, body) = shop_with_a_sale();

    let first = deliver(&web, &body);

    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.json()["result"], json!("processed"));
    assert_eq!(payments(&mut web), Some("1".into()));
    assert_eq!(
        web.shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );

    let before = web.shop.dump();
    let again = deliver(&web, &body);
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json()["result"], json!("seen before"));
    assert_eq!(web.shop.dump(), before, "a replay changes nothing");
}

#[test]
fn a_signature_that_does_not_fit_is_a_400_without_a_reason() {
    let (mut web, body) = shop_with_a_sale();
    let genuine = signature(SECRET, now(), &body);
    let one_byte_less = &body[..body.len() - 1];
    for (header, body) in [
        (signature("whsec_another", now(), &body), body.as_str()),
        (signature(SECRET, now() - 301, &body), &body),
        (String::from("nonsense"), &body),
        (genuine, one_byte_less),
    ] {
        let answer = web.post_event(body, &header);
        assert_eq!(answer.status, 400, "{header}: {answer:?}");
        assert_refused(&answer, "22023", "the signature was not accepted");
    }
    let unsigned = web.call(
        Caller::Stranger,
        "handle_webhook",
        &json!({ "id": "evt_1" }),
    );
    assert_eq!(unsigned.status, 400, "{unsigned:?}");
    assert_refused(&unsigned, "22023", "the signature was not accepted");
    assert_eq!(payments(&mut web), Some("0".into()));
}

#[test]
fn without_a_secret_it_is_a_500_so_that_stripe_comes_again() {
    let web = WebShop::open(Shop::open());
    let answer = deliver(&web, "{}");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_refused(&answer, "55000", "webhooks are not accepted here");
}

#[test]
fn an_event_that_cannot_be_stored_is_a_500_and_accepted_when_it_comes_again() {
    let (mut web, body) = shop_with_a_sale();
    web.shop.execute(
        "create function refuse() returns trigger language plpgsql
            as $$ begin raise exception 'the disk is full, says Zoë'; end $$;
        create trigger refuse before insert on invoice_sync.event
            for each row execute function refuse()",
    );

    let refused = deliver(&web, &body);

    assert_eq!(refused.status, 500, "{refused:?}");
    assert_refused(&refused, "58000", "the event could not be stored");
    assert_eq!(payments(&mut web), Some("0".into()), "nothing half done");
    let mark = format!("@{} ", web.shop.name());
    assert!(
        Server::main()
            .log_text()
            .lines()
            .any(|line| line.contains(&mark) && line.contains("the disk is full, says Zoë")),
        "the log says why"
    );

    web.shop
        .execute("drop trigger refuse on invoice_sync.event");
    let accepted = deliver(&web, &body);
    assert_eq!(accepted.json()["result"], json!("processed"));
    assert_eq!(payments(&mut web), Some("1".into()));
}

#[test]
fn an_event_that_could_be_stored_and_not_acted_on_is_a_200() {
    let (mut web, body) = shop_with_a_sale();
    web.shop.execute(
        "create function refuse() returns trigger language plpgsql
            as $$ begin raise exception 'no payments today'; end $$;
        create trigger refuse before insert on payments
            for each row execute function refuse()",
    );

    let answer = deliver(&web, &body);

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json()["result"],
        json!("stored, to be processed later")
    );
    web.shop.execute(
        "drop trigger refuse on payments;
        update invoice_sync.event set next_attempt_at = now()",
    );
    let report: Value = web.shop.sweep();
    assert_eq!(report["fixed"], json!(1), "{report:#}");
}

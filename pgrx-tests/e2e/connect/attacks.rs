//! Events, ids and metadata of one account that name an invoice of another: nothing is booked, an issue says why.

use serde_json::{Value, json};
use stripe_double::{Action, Fault, Intent, StripeInvoice};

use super::{
    ONE, TWO, books, checkout, deliver_by, deliver_event, event, invoice, own_endpoint, shop,
    unlinked,
};
use crate::harness::sender::{SECRET, deliver_signed, now, signature};
use crate::harness::{Shop, wait_until};

const SECRET_OF_ONE: &str = "whsec_of_account_one";

/// Creates a payment in account one that names an invoice of account two by metadata, and the invoice.
fn named_by_another(shop: &mut Shop) -> (String, String) {
    let id = invoice(shop, "INV-2", Some(TWO), None);
    let checkout = checkout().account(ONE).metadata("invoice_id", &id);
    let sold = shop.stripe.checkout(checkout).pay();
    (id, sold.session_id())
}

fn is_untouched(shop: &mut Shop) {
    assert_eq!(books(shop), ["INV-2 Sent 0.00"]);
    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
}

#[test]
fn metadata_books_nothing_for_an_invoice_of_another_account() {
    for fetch in [true, false] {
        let mut shop = shop();
        shop.execute(&format!(
            "update invoice_sync.settings set stripe_fetch_on_webhook = {fetch}"
        ));
        let (id, session) = named_by_another(&mut shop);
        let event = event(&shop, "checkout.session.completed", &session);
        deliver_event(&mut shop, &event);
        is_untouched(&mut shop);
        assert_eq!(unlinked(&mut shop).len(), 1, "{:?}", shop.open_issues());
        assert!(unlinked(&mut shop)[0].ends_with(&format!("acct_one [\"{id}\"]")));
        shop.sync(&id);
        shop.sweep();
        is_untouched(&mut shop);
        assert_eq!(shop.open_issues().len(), 1, "{:?}", shop.open_issues());
    }
}

#[test]
fn a_stored_id_of_another_accounts_payment_books_nothing() {
    let mut shop = shop();
    let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
    let id = invoice(&mut shop, "INV-2", Some(TWO), Some(&sold.session_id()));
    let event = event(&shop, "checkout.session.completed", &sold.session_id());
    deliver_event(&mut shop, &event);
    shop.sync(&id);
    shop.sweep();
    is_untouched(&mut shop);
    let kinds = shop.texts("select kind from invoice_sync.open_issues order by 1");
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    assert_eq!(kinds, ["stripe_object_missing", "unlinked_payment"]);
}

#[test]
fn an_id_with_the_name_of_another_account_before_it_is_no_id() {
    for account in [None, Some(TWO)] {
        let mut shop = shop();
        let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
        let planted = format!("{ONE}/{}", sold.session_id());
        let id = invoice(&mut shop, "INV-2", account, Some(&planted));
        let event = event(&shop, "checkout.session.completed", &sold.session_id());
        deliver_event(&mut shop, &event);
        shop.sync(&id);
        shop.sweep();
        is_untouched(&mut shop);
        assert!(
            !shop
                .stripe
                .requests()
                .iter()
                .any(|it| it.path.contains("acct_"))
        );
    }
}

/// Who has the secret of one account's endpoint signs what he likes.
#[test]
fn what_one_account_signs_is_about_that_account_only() {
    for fetch in [true, false] {
        let mut shop = shop();
        shop.execute(&format!(
            "update invoice_sync.settings set stripe_fetch_on_webhook = {fetch}"
        ));
        own_endpoint(&mut shop, ONE, SECRET_OF_ONE);
        let sold = shop.stripe.checkout(checkout().account(TWO)).pay();
        let id = invoice(&mut shop, "INV-2", Some(TWO), Some(&sold.session_id()));
        let genuine = event(&shop, "checkout.session.completed", &sold.session_id());
        // Two's own event; two's session with another amount, for one's and for nobody's account; and one of the platform's.
        for account in [json!(TWO), json!(ONE), Value::Null] {
            let mut forged = genuine.clone();
            forged["account"] = account;
            forged["data"]["object"]["amount_total"] = json!(1);
            forged["data"]["object"]["metadata"] = json!({ "invoice_id": id });
            deliver_by(&mut shop, SECRET_OF_ONE, &forged);
            is_untouched(&mut shop);
        }
        // The genuine event of the same id is not taken for one that was seen.
        shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = true");
        assert_eq!(deliver_event(&mut shop, &genuine), json!("processed"));
        assert_eq!(
            books(&mut shop),
            [format!("INV-2 Paid 100.00 {}", sold.intent_id())]
        );
    }
}

#[test]
fn a_row_of_one_accounts_invoice_takes_no_payment_from_another() {
    let mut shop = shop();
    let sold = shop.stripe.checkout(checkout().account(TWO)).pay();
    let intent = sold.intent_id();
    let mine = invoice(&mut shop, "INV-1", Some(ONE), None);
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
        values ('{mine}', 'Planted', 'Paid', 100, '{intent}')"
    ));
    let theirs = invoice(&mut shop, "INV-2", Some(TWO), Some(&sold.session_id()));
    shop.sync(&theirs);
    let books = books(&mut shop);
    assert_eq!(books[1], format!("INV-2 Paid 100.00 {intent}"), "{books:?}");
}

#[test]
fn a_wrong_secret_is_refused_whatever_it_signs() {
    let mut shop = shop();
    own_endpoint(&mut shop, ONE, SECRET_OF_ONE);
    let (_, session) = named_by_another(&mut shop);
    let body = event(&shop, "checkout.session.completed", &session).to_string();
    let signed = signature("whsec_of_nobody", now(), &body);
    let error = deliver_signed(&mut shop.db, &body, &signed).expect_err("it is refused");
    assert_eq!(error.sqlstate, "22023", "{error:?}");
    assert_eq!(
        shop.text("select count(*) from invoice_sync.event"),
        Some("0".into())
    );
    is_untouched(&mut shop);
}

#[test]
fn only_references_are_stored_and_only_the_owner_reads_them() {
    let mut shop = shop();
    for column in ["api_key", "webhook_secret"] {
        let error = shop.error(&format!(
            "update invoice_sync.stripe_account set {column} = 'sk_test_literal'"
        ));
        assert_eq!(error.sqlstate, "23514", "{error:?}");
    }
    shop.make_roles(&["invoice_admin"]);
    shop.execute("select invoice_sync.grant_access('invoice_admin')");
    let mut admin = shop.connect_as("invoice_admin");
    let refused = admin.query("select * from invoice_sync.stripe_account", &[]);
    assert!(refused.is_err(), "an operator reads no references");
}

const SECRET_OF_TWO: &str = "whsec_of_account_two";

/// A way in which money of account one names an invoice of account two. Returns the event that says so.
type Naming = fn(&mut Shop, &str) -> Value;

fn by_client_reference(shop: &mut Shop, id: &str) -> Value {
    shop.execute("update invoice_sync.settings set client_reference_names_invoice = true");
    let checkout = checkout().account(ONE).client_reference_id(id);
    let sold = shop.stripe.checkout(checkout).pay();
    event(shop, "checkout.session.completed", &sold.session_id())
}

fn by_intent_metadata(shop: &mut Shop, id: &str) -> Value {
    let intent = Intent::new(10_000, "usd")
        .account(ONE)
        .metadata("invoice_id", id);
    let sold = shop.stripe.intent(intent).pay();
    event(shop, "payment_intent.succeeded", &sold.intent_id())
}

fn by_stripe_invoice(shop: &mut Shop, bill: StripeInvoice) -> Value {
    let bill = shop.stripe.stripe_invoice(bill.account(ONE));
    bill.pay();
    event(shop, "invoice.paid", &bill.id())
}

fn by_metadata_of_a_stripe_invoice(shop: &mut Shop, id: &str) -> Value {
    let bill = StripeInvoice::new(10_000, "usd").metadata("invoice_id", id);
    by_stripe_invoice(shop, bill)
}

fn by_metadata_of_a_subscription(shop: &mut Shop, id: &str) -> Value {
    let bill = StripeInvoice::renewal(10_000, "usd").subscription_metadata("invoice_id", id);
    by_stripe_invoice(shop, bill)
}

/// The row of account two's invoice stores the id of account one's Stripe Invoice.
fn by_a_stored_stripe_invoice(shop: &mut Shop, id: &str) -> Value {
    let paid = by_stripe_invoice(shop, StripeInvoice::new(10_000, "usd"));
    let bill = paid["data"]["object"]["id"].as_str().expect("an id");
    shop.execute(&format!(
        "update invoices set stripe_session_id = '{bill}' where id = '{id}'"
    ));
    paid
}

const NAMINGS: [Naming; 5] = [
    by_client_reference,
    by_intent_metadata,
    by_metadata_of_a_stripe_invoice,
    by_metadata_of_a_subscription,
    by_a_stored_stripe_invoice,
];

#[test]
fn however_money_of_one_account_names_an_invoice_of_another_nothing_is_booked() {
    // By the platform's endpoint, that of account one, and none: then the feed brings it.
    for secret in [Some(SECRET), Some(SECRET_OF_ONE), None] {
        for naming in NAMINGS {
            let mut shop = shop();
            shop.skip_look_back();
            own_endpoint(&mut shop, ONE, SECRET_OF_ONE);
            let id = invoice(&mut shop, "INV-2", Some(TWO), None);
            let event = naming(&mut shop, &id);
            if let Some(secret) = secret {
                assert_eq!(deliver_by(&mut shop, secret, &event), json!("processed"));
            }
            shop.sweep();
            shop.sync(&id);
            is_untouched(&mut shop);
            let said = unlinked(&mut shop);
            assert_eq!(
                said.len(),
                1,
                "{secret:?} {event:#} {:?}",
                shop.open_issues()
            );
            assert!(
                said[0].contains(&format!("acct_one [\"{id}\"]")),
                "{said:?}"
            );
        }
    }
}

/// What account two's secret signs is about account two, which does not have that money.
#[test]
fn the_secret_of_another_account_or_of_nobody_brings_no_money() {
    for naming in NAMINGS {
        let mut shop = shop();
        own_endpoint(&mut shop, ONE, SECRET_OF_ONE);
        own_endpoint(&mut shop, TWO, SECRET_OF_TWO);
        let id = invoice(&mut shop, "INV-2", Some(TWO), None);
        let event = naming(&mut shop, &id);
        deliver_by(&mut shop, SECRET_OF_TWO, &event);
        let body = event.to_string();
        let signed = signature("whsec_of_nobody", now(), &body);
        let error = deliver_signed(&mut shop.db, &body, &signed).expect_err("it is refused");
        assert_eq!(error.sqlstate, "22023", "{error:?}");
        is_untouched(&mut shop);
        assert_eq!(
            shop.text("select count(*) from invoice_sync.event where id like 'acct_one/%'"),
            Some("0".into())
        );
    }
}

#[test]
fn a_person_cannot_link_money_of_one_account_to_an_invoice_of_another() {
    let mut shop = shop();
    let (id, session) = named_by_another(&mut shop);
    let event = event(&shop, "checkout.session.completed", &session);
    deliver_event(&mut shop, &event);
    let error = shop.error(&format!(
        "select invoice_sync.resolve_issue(id, 'link_payment', null, '{{\"invoice_id\": \"{id}\"}}')
        from invoice_sync.open_issues where kind = 'unlinked_payment'"
    ));
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    assert!(error.detail.contains("belongs to acct_two"), "{error:?}");
    is_untouched(&mut shop);
    assert_eq!(unlinked(&mut shop).len(), 1, "{:?}", shop.open_issues());
}

/// Anybody may send what is not signed: it costs few secrets, however many accounts there are.
#[test]
fn a_delivery_tries_few_secrets() {
    let mut shop = shop();
    own_endpoint(&mut shop, ONE, SECRET_OF_ONE);
    // Their secrets cannot be read, which the server's log would say once for each that is tried.
    shop.execute(
        "insert into invoice_sync.stripe_account (account, webhook_secret, since)
        select 'acct_other' || n, 'vault:nothing', now() - interval '1 day'
        from generate_series(1, 200) n",
    );
    let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
    invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
    let mut event = event(&shop, "checkout.session.completed", &sold.session_id());
    // The account that it states is tried first.
    assert_eq!(
        deliver_by(&mut shop, SECRET_OF_ONE, &event),
        json!("processed")
    );
    // Without it, only the first few are tried, and this is not one of them.
    event.as_object_mut().expect("an event").remove("account");
    let body = event.to_string();
    let signed = signature(SECRET_OF_ONE, now(), &body);
    let error = deliver_signed(&mut shop.db, &body, &signed).expect_err("it is refused");
    assert_eq!(error.sqlstate, "22023", "{error:?}");
    shop.execute(
        "update invoice_sync.stripe_account set since = now() - interval '2 days' where account = 'acct_one'",
    );
    assert_eq!(
        deliver_by(&mut shop, SECRET_OF_ONE, &event),
        json!("seen before")
    );
    let check = shop
        .text("select ok::text from invoice_sync.doctor() where \"check\" = 'account endpoints'");
    assert_eq!(check, Some("false".into()));
    shop.not_at_rest("there are accounts that Stripe does not know");
}

/// Between the question and the decision, the row may come to belong to another account.
#[test]
fn an_invoice_that_changes_its_account_while_stripe_is_asked_takes_nothing() {
    for call in ["invoice_sync.sync_invoice('{id}')", "invoice_sync.sweep()"] {
        let mut shop = shop();
        let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
        let id = invoice(&mut shop, "INV-2", Some(ONE), Some(&sold.session_id()));
        let answer = Fault::new(Action::Hold)
            .on_path("/v1/checkout/sessions")
            .times(1);
        shop.stripe.fault(answer);
        let mut asking = shop.connect();
        let statement = format!("select {}", call.replace("{id}", &id));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| asking.batch_execute(&statement));
            wait_until("Stripe is asked", || shop.stripe.held() == 1);
            shop.execute("update invoices set account = 'acct_two'");
            shop.stripe.release_held();
            asked.join().expect("it ends").expect("it is answered");
        });
        is_untouched(&mut shop);
    }
}

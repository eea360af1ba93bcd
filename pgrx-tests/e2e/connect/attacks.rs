//! Events, ids and metadata of one account that name an invoice of another: nothing is booked, an issue says why.

use serde_json::{Value, json};

use super::{
    ONE, TWO, books, checkout, deliver_by, deliver_event, event, invoice, own_endpoint, shop,
    unlinked,
};
use crate::harness::Shop;
use crate::harness::sender::{deliver_signed, now, signature};

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

//! Ids that are not Stripe's or not an invoice's, and who may ask.

use super::{about, asked, explain, only, remembered, values};
use crate::harness::Shop;
use crate::harness::sale::Sale;

#[test]
fn an_id_that_is_not_stripes_is_not_asked_about() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("update invoices set stripe_session_id = 'see e-mail'");
    for lines in [
        remembered(&mut shop, &sale.invoice),
        asked(&mut shop, &sale.invoice),
    ] {
        only(
            &about(&lines, "invoice", "checkout session"),
            &[
                "see e-mail | ",
                "it is not the id of a Stripe payment, so Stripe is not asked about it",
            ],
        );
        only(
            &about(&lines, "Stripe", "see e-mail"),
            &["not the id of a Stripe payment | "],
        );
        only(
            &about(&lines, "decision", "new issue stripe_object_missing"),
            &["which is not the id of a Stripe payment"],
        );
        assert_eq!(values(&lines, "would be done"), ["nothing"]);
    }
    assert_eq!(shop.stripe.requests().len(), 0);
}

#[test]
fn a_payment_link_is_one_and_is_not_asked_about() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("update invoices set stripe_session_id = 'plink_1MoC3ULkdIwHu7ix'");
    for lines in [
        remembered(&mut shop, &sale.invoice),
        asked(&mut shop, &sale.invoice),
    ] {
        only(
            &about(&lines, "Stripe", "plink_1MoC3ULkdIwHu7ix"),
            &["a payment link | Stripe is not asked about it"],
        );
        assert_eq!(values(&lines, "new issue stripe_object_missing"), [""; 0]);
    }
    assert_eq!(shop.stripe.requests().len(), 0);
}

#[test]
fn an_id_of_the_other_mode_or_account_is_named_as_such() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("update invoices set stripe_session_id = 'cs_live_a1b2'");
    for lines in [
        remembered(&mut shop, &sale.invoice),
        asked(&mut shop, &sale.invoice),
    ] {
        only(
            &about(&lines, "Stripe", "cs_live_a1b2"),
            &["of the other mode | the API key is of the other mode"],
        );
        assert_eq!(values(&lines, "new issue livemode_mismatch"), ["warning"]);
    }
    shop.execute("update invoices set stripe_session_id = 'cs_test_elsewhere'");
    let lines = asked(&mut shop, &sale.invoice);
    only(
        &about(&lines, "Stripe", "cs_test_elsewhere"),
        &["no such object | the account of the API key does not have it"],
    );
    assert_eq!(
        values(&lines, "new issue stripe_object_missing"),
        ["warning"]
    );
}

#[test]
fn an_unknown_invoice_and_what_is_no_id_are_errors() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    let mut error =
        |arguments: &str| shop.error(&format!("select invoice_sync.explain({arguments})"));

    let unknown = error("'7d8e6b50-0000-4000-8000-000000000001'");
    assert_eq!(unknown.sqlstate, "P0002");
    assert_eq!(
        unknown.message,
        "invoice \"7d8e6b50-0000-4000-8000-000000000001\" does not exist"
    );
    assert_eq!(
        unknown.detail,
        "Column \"id\" of table public.invoices does not contain it."
    );
    assert_eq!(
        unknown.hint,
        "Specify the invoice's primary key, not its number."
    );

    let number = error("'INV-1'");
    assert_eq!(number.sqlstate, "22P02");
    assert_eq!(
        number.message,
        "invalid input syntax for type uuid: \"INV-1\""
    );
    assert_eq!(
        number.detail,
        "The invoice's primary key, column \"id\" of table public.invoices, has the type uuid."
    );
    assert_eq!(number.hint, unknown.hint);

    assert_eq!(error("null::text").sqlstate, "22004");
}

#[test]
fn without_a_key_only_asking_is_refused() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.not_at_rest("it has no key");
    shop.configure("stripe_api_key", "");
    let lines = remembered(&mut shop, &sale.invoice);
    assert_eq!(values(&lines, "would be done"), ["nothing"]);
    let error = shop.error(&format!(
        "select invoice_sync.explain('{}', true)",
        sale.invoice
    ));
    assert_eq!(error.sqlstate, "55000");
}

#[test]
fn a_role_that_may_operate_needs_no_rights_on_the_tables_and_sees_no_secret() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.make_roles(&["reads_only", "operates"]);
    shop.execute(
        "select invoice_sync.grant_access('reads_only', 'read'), invoice_sync.grant_access('operates', 'operate');
        alter table invoices enable row level security; alter table invoices force row level security",
    );
    let call = format!("select invoice_sync.explain('{}')", sale.invoice);
    shop.execute("set role reads_only");
    assert_eq!(shop.error(&call).sqlstate, "42501");
    shop.execute("reset role; set role operates");
    let seen = shop.texts(&call.replace("')", "', true)"));
    shop.execute("reset role");
    let seen: Vec<String> = seen.into_iter().flatten().collect();
    assert!(
        seen.iter().any(|line| line.contains("100.00 USD")),
        "{seen:?}"
    );
    let secrets = [crate::harness::KEY, "stripe_api_key"];
    assert!(
        !seen
            .iter()
            .any(|line| secrets.iter().any(|secret| line.contains(secret))),
        "{seen:?}"
    );
    let lines = explain(&mut shop, &format!("'{}'", sale.invoice));
    assert_eq!(values(&lines, "next request"), ["the next sweep"]);
}

//! What operators are told of other accounts: by doctor, the views, alerts and explanations.

use serde_json::json;

use super::feeds::{DAY, lost_payment, pass};
use super::{ONE, TWO, checkout, invoice, name, shop};
use crate::harness::Shop;
use crate::harness::server::attempt;

/// Returns the checks of accounts that fail, with their details.
fn failing(shop: &mut Shop) -> Vec<(String, String)> {
    let rows = shop.rows(
        "select \"check\", detail from invoice_sync.doctor() where \"check\" like 'account%' and not ok order by 1",
    );
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Does what the hint of a check says.
fn mend(shop: &mut Shop, check: &str) {
    let hint = shop.text(&format!(
        "select hint from invoice_sync.doctor() where \"check\" = '{check}'"
    ));
    let hint = hint.expect("there is a hint");
    attempt(&mut shop.db, &hint).unwrap_or_else(|error| panic!("{hint}: {error:?}"));
}

#[test]
fn the_doctor_says_nothing_of_accounts_where_there_is_one() {
    let mut shop = Shop::open();
    let checks = "select count(*) from invoice_sync.doctor() where \"check\" like 'account%'";
    assert_eq!(shop.text(checks), Some("0".into()));
}

#[test]
fn the_doctor_names_accounts_without_a_column_and_without_a_name() {
    let mut shop = shop();
    assert_eq!(failing(&mut shop), []);
    shop.execute("update invoice_sync.settings set invoice_account_column = null");
    let found = failing(&mut shop);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "account column"));
    shop.execute("update invoice_sync.settings set invoice_account_column = 'account'");

    for account in ["acct_late", "not an account'; drop table payments"] {
        invoice(&mut shop, account, Some(account), None);
    }
    let found = failing(&mut shop);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "accounts named"));
    assert!(found[0].1.contains("acct_late"), "{found:?}");
    mend(&mut shop, "accounts named");
    shop.execute("delete from invoices where account like 'not%'");
    assert_eq!(failing(&mut shop), []);
}

#[test]
fn the_doctor_names_accounts_whose_secrets_cannot_be_read_and_no_path() {
    let mut shop = shop();
    for (column, check) in [
        ("api_key", "account keys"),
        ("webhook_secret", "account webhook secrets"),
    ] {
        shop.execute(&format!(
            "update invoice_sync.stripe_account set {column} = 'file:/nowhere/at_all' where account = '{TWO}'"
        ));
        let found = failing(&mut shop);
        assert_eq!((found.len(), found[0].0.as_str()), (1, check), "{found:?}");
        assert!(found[0].1.starts_with(TWO), "{found:?}");
        shop.make_roles(&["invoice_admin"]);
        shop.execute("select invoice_sync.grant_access('invoice_admin')");
        let rows = shop.connect_as("invoice_admin").query(
            "select coalesce(detail || hint, detail) from invoice_sync.doctor()",
            &[],
        );
        for row in rows.expect("an operator may") {
            assert!(!row.get::<_, String>(0).contains("/nowhere"), "{row:?}");
        }
        shop.execute(&format!(
            "update invoice_sync.stripe_account set {column} = null"
        ));
    }
}

#[test]
fn an_account_that_refuses_is_named_wherever_operators_look() {
    let mut shop = shop();
    shop.use_secret("resend_api_key", "re_double");
    let base = shop.stripe.url();
    shop.configure("resend_api_base", &base);
    shop.execute(
        "update invoice_sync.settings set alert_sender = 'books@shop.org', alert_recipients = '{you@shop.org}'",
    );
    shop.skip_look_back();
    shop.sweep();
    shop.stripe.revoke(ONE);
    pass(&mut shop, DAY);
    shop.execute("call invoice_sync.run_sweep()");
    let found = failing(&mut shop);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "accounts answer"));
    assert!(found[0].1.contains(ONE), "{found:?}");
    assert_eq!(
        shop.texts(
            "select account || ' ' || (refused is not null) from invoice_sync.account_health"
        ),
        [Some("acct_one true".into()), Some("acct_two false".into())]
    );
    let status = shop.text(
        "select concat_ws(' ', accounts, accounts_refused, summary) from invoice_sync.status",
    );
    let status = status.expect("a row");
    assert!(status.starts_with("2 1 "), "{status}");
    assert!(
        status.contains("1 of 2 other accounts cannot be asked."),
        "{status}"
    );
    assert_eq!(
        shop.texts(
            "select labels ->> 'state' || ' ' || value from invoice_sync.metrics
            where name = 'invoice_sync_other_accounts' order by 1",
        ),
        [Some("named 2".into()), Some("refused 1".into())]
    );
    let mail = shop.stripe.emails().pop().expect("an alert was sent");
    assert!(mail["text"].to_string().contains(ONE), "{mail:#}");
    shop.not_at_rest("the account stays revoked");
}

#[test]
fn an_account_without_webhooks_is_named() {
    let mut shop = shop();
    shop.skip_look_back();
    lost_payment(&mut shop, "INV-1", Some(ONE));
    shop.sweep();
    let found = failing(&mut shop);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "account webhooks"));
    assert!(found[0].1.contains(ONE), "{found:?}");
    assert_eq!(
        shop.texts("select distinct missed_by::text from invoice_sync.webhook_health"),
        [Some("{acct_one}".into())]
    );
}

#[test]
fn an_account_that_was_never_heard_of_is_named() {
    let mut shop = shop();
    name(&mut shop, "acct_silent");
    pass(&mut shop, 2 * DAY);
    let found = failing(&mut shop);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "accounts heard of"));
    assert!(found[0].1.contains("acct_silent"), "{found:?}");
    shop.stripe.restore("acct_silent");
    shop.sweep();
    assert_eq!(failing(&mut shop), []);
}

#[test]
fn an_explanation_says_which_account_the_invoice_belongs_to() {
    let mut shop = shop();
    let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
    for (number, account, session, why) in [
        ("INV-0", None, None, "it is the account of the key"),
        (
            "INV-1",
            Some(ONE),
            Some(sold.session_id()),
            "only payments of this account are booked",
        ),
        (
            "INV-2",
            Some(TWO),
            Some(sold.session_id()),
            "only payments of this account are booked",
        ),
        (
            "INV-3",
            Some("acct_nobody"),
            None,
            "it has no row in invoice_sync.stripe_account, so it is not asked",
        ),
    ] {
        let id = invoice(&mut shop, number, account, session.as_deref());
        let ask = account != Some("acct_nobody");
        let lines = shop.json(&format!(
            "jsonb_agg(e) from invoice_sync.explain('{id}', ask => {ask}) e"
        ));
        let lines = lines.as_array().expect("lines");
        let line = lines.iter().find(|line| line["what"] == "account");
        let line = line.expect("a line about the account");
        assert_eq!(line["value"], json!(account), "{line}");
        assert!(
            line["why"].as_str().is_some_and(|it| it.ends_with(why)),
            "{line}"
        );
        let missing = format!("the account {TWO} does not have it");
        let says_missing = lines.iter().any(|line| line["why"] == json!(missing));
        assert_eq!(says_missing, number == "INV-2", "{lines:#?}");
    }
    shop.not_at_rest("an account is not named");
}

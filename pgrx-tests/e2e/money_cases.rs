//! Cases of money: `sync_invoice` on each, on the default tables and on hostile ones, and on views of both.

mod amounts;
mod booked;
mod case;
pub mod hosts;
mod returned;
mod settled;
mod untouched;
mod views;
mod world;

use std::collections::BTreeMap;

use serde_json::json;
use stripe_double::Checkout;

use crate::harness::Shop;
use case::check;
use hosts::{DefaultTables, Host, HostileTables, bill};
use views::Views;

/// The cases as examples of docs/money.md: their rows, by their names.
pub fn examples() -> BTreeMap<&'static str, String> {
    cases()
        .iter()
        .map(|case| (case.name(), case.row()))
        .collect()
}

#[test]
fn money_is_booked_on_the_default_tables() {
    check(&DefaultTables, booked::cases());
}

#[test]
fn money_is_booked_on_hostile_tables() {
    check(&HostileTables, booked::cases());
}

#[test]
fn what_is_no_money_touches_nothing_on_the_default_tables() {
    check(&DefaultTables, untouched::cases());
}

#[test]
fn what_is_no_money_touches_nothing_on_hostile_tables() {
    check(&HostileTables, untouched::cases());
}

#[test]
fn refunds_and_disputes_are_reported_on_the_default_tables() {
    check(&DefaultTables, returned::cases());
}

#[test]
fn refunds_and_disputes_are_reported_on_hostile_tables() {
    check(&HostileTables, returned::cases());
}

#[test]
fn invoices_say_what_their_payments_say_on_the_default_tables() {
    check(&DefaultTables, settled::cases());
}

#[test]
fn invoices_say_what_their_payments_say_on_hostile_tables() {
    check(&HostileTables, settled::cases());
}

#[test]
fn gratuities_currencies_and_missing_columns_on_the_default_tables() {
    check(&DefaultTables, amounts::cases());
}

#[test]
fn gratuities_currencies_and_missing_columns_on_hostile_tables() {
    check(&HostileTables, amounts::cases());
}

/// All cases.
fn cases() -> Vec<case::Case> {
    [
        booked::cases(),
        untouched::cases(),
        returned::cases(),
        settled::cases(),
        amounts::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn views_of_the_default_tables_are_written_like_them() {
    check(&Views::of_default_tables(), cases());
}

#[test]
fn views_of_hostile_tables_are_written_like_them() {
    check(&Views::of_hostile_tables(), booked::cases());
}

#[test]
fn further_columns_are_filled_from_the_invoice_from_stripe_and_with_constants() {
    let host = HostileTables;
    let mut shop = Shop::with_tables(host.tables());
    shop.execute(host.settings());
    for (checkout, remark) in [
        (Checkout::new(100, "usd"), "by the machine"),
        (
            Checkout::new(100, "usd").description("Two chairs"),
            "Two chairs",
        ),
        (
            Checkout::new(100, "usd")
                .description("Two chairs")
                .metadata("remark", "it's for \"Ada\""),
            "it's for \"Ada\"",
        ),
    ] {
        let session = shop.stripe.checkout(checkout).pay().session_id();
        let bill = bill("Sent", "1").session(session);
        let id: String = shop.rows(&host.insert_invoice(&bill))[0].get(0);

        shop.sync(&id);

        let filled = shop.json(&format!(
            r#"jsonb_build_array("Org ""1""", "how", "remark", "made by", "gross")
            from "Billing Data"."group" where "for" = {id}"#
        ));
        assert_eq!(
            filled,
            json!([42, "card", remark, { "name": "invoice_sync" }, 100])
        );
    }
}

//! What happens to money, case by case: `sync_invoice` on each, on the default
//! tables and on hostile ones.

mod amounts;
mod booked;
mod case;
pub mod hosts;
mod returned;
mod settled;
mod untouched;
mod world;

use case::check;
use hosts::{DefaultTables, HostileTables};

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
fn refunds_and_disputes_are_told_on_the_default_tables() {
    check(&DefaultTables, returned::cases());
}

#[test]
fn refunds_and_disputes_are_told_on_hostile_tables() {
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

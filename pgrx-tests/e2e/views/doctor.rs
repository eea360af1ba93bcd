//! What `doctor()` says about views.

use super::{PLAIN, shop};
use crate::harness::Shop;

fn check(shop: &mut Shop, name: &str) -> (bool, String, String) {
    let rows = shop.rows(&format!(
        "select ok, detail, coalesce(hint, '') from invoice_sync.doctor() where \"check\" = '{name}'"
    ));
    let row = rows
        .first()
        .unwrap_or_else(|| panic!("there is no check {name}"));
    (row.get(0), row.get(1), row.get(2))
}

#[test]
fn it_says_what_is_locked_whose_rights_hold_and_how_changes_are_found() {
    let mut shop = shop(PLAIN);
    assert_eq!(
        check(&mut shop, "views"),
        (
            true,
            "public.invoices: rows are locked in kept.invoices by id; public.payments: rows are locked in kept.payments by id; statements run as the owner of the view; sweeps read all rows to find changes, in the order of the keys, and take up to 1 day for it".to_owned(),
            String::new()
        )
    );
    let mut other = Shop::open();
    assert!(
        other
            .rows("select from invoice_sync.doctor() where \"check\" = 'views'")
            .is_empty()
    );
}

#[test]
fn indexes_and_triggers_of_the_tables_behind_are_examined() {
    let mut shop = shop(PLAIN);
    shop.execute(
        "create function kept.nothing() returns trigger language plpgsql as 'begin return new; end';
        create trigger of_the_table before update on kept.invoices for each row execute function kept.nothing()",
    );
    let (_, detail, _) = check(&mut shop, "triggers");
    assert_eq!(
        detail,
        "these run with every repair: of_the_table on kept.invoices"
    );
    let (ok, detail, hint) = check(&mut shop, "indexes");
    assert!(!ok);
    assert_eq!(
        detail,
        "missing: kept.invoices (stripe_payment_intent), kept.invoices (stripe_session_id), kept.payments (stripe_payment_intent), kept.payments (stripe_session_id)"
    );
    for statement in hint.lines() {
        shop.execute(statement);
    }
    assert!(check(&mut shop, "indexes").0);
    let (_, _, advice) = check(&mut shop, "one row for one Stripe payment");
    assert!(
        advice.contains("on kept.payments (stripe_payment_intent)"),
        "{advice}"
    );
}

#[test]
fn policies_of_a_table_behind_may_hide_rows_from_the_views_owner() {
    let mut shop = shop(PLAIN);
    shop.make_roles(&["view_keeper"]);
    shop.execute(
        "grant usage on schema kept to view_keeper; grant all on all tables in schema kept to view_keeper;
        alter view payments owner to view_keeper;
        alter table kept.payments enable row level security",
    );
    let (ok, detail, hint) = check(&mut shop, "row level security");
    assert!(!ok, "{detail}");
    assert_eq!(
        detail,
        "enabled on kept.payments, and applies to view_keeper, the owner of the view public.payments: rows that it hides do not exist for this extension"
    );
    assert_eq!(hint, "alter view public.payments owner to postgres;");
    shop.execute(&hint);
    assert!(check(&mut shop, "row level security").0);
}

#[test]
fn a_payment_that_cannot_be_deleted_cannot_be_undone() {
    let mut shop = shop(
        "create view invoices as select * from kept.invoices;
        create view payments as select p.* from kept.payments p join kept.invoices i on i.id = p.invoice_id;
        create function nothing() returns trigger language plpgsql as 'begin return new; end';
        create trigger nothing instead of insert or update on payments for each row execute function nothing()",
    );
    let (ok, detail, _) = check(&mut shop, "views");
    assert!(ok);
    assert!(
        detail.contains(
            "no row of public.payments can be deleted, so that a new payment cannot be undone"
        ),
        "{detail}"
    );
}

//! Whose rights hold: those of the view's owner, whoever owns the tables behind it.

use super::{CHECK, PLAIN, books, lost, shop};

#[test]
fn statements_and_triggers_run_as_the_views_owner() {
    let mut shop = shop(PLAIN);
    shop.make_roles(&["view_keeper", "table_keeper"]);
    shop.execute(
        "create table kept.seen (who text);
        grant insert on kept.seen to public;
        create function kept.see() returns trigger language plpgsql as
            'begin insert into kept.seen values (current_user); return new; end';
        create trigger see before insert or update on kept.payments for each row execute function kept.see();
        alter table kept.invoices owner to table_keeper;
        alter table kept.payments owner to table_keeper;
        alter view invoices owner to view_keeper;
        alter view payments owner to view_keeper",
    );
    let id = lost(&mut shop, "INV-1");

    let refused = shop.error(CHECK);
    assert_eq!(refused.sqlstate, "42501");
    assert_eq!(refused.message, "permission denied for schema kept");

    shop.execute("grant usage on schema kept to view_keeper, table_keeper; grant select on all tables in schema kept to view_keeper");
    let refused = shop.error(CHECK);
    assert_eq!(refused.message, "permission denied for table invoices");
    assert_eq!(
        refused.detail,
        "Rows of the view public.invoices are locked in the table kept.invoices, as the view's owner. The setting invoices_table names it."
    );

    shop.execute("grant insert, update, delete on all tables in schema kept to view_keeper");
    shop.execute(CHECK);
    shop.sweep();
    assert_eq!(books(&mut shop, &id), "Paid 125 Paid 125");
    assert_eq!(
        shop.texts("select distinct who from kept.seen"),
        [Some("view_keeper".to_owned())]
    );
}

#[test]
fn what_a_views_function_plants_does_not_outlive_the_statement() {
    let mut shop = shop(PLAIN);
    shop.make_roles(&["view_keeper"]);
    shop.execute(
        "grant usage, create on schema kept to view_keeper; grant all on all tables in schema kept to view_keeper;
        create function kept.plant() returns text language plpgsql as $$
        begin
            perform set_config('search_path', 'kept', false);
            return current_user;
        end $$;
        alter function kept.plant() owner to view_keeper;
        drop view invoices;
        create view invoices as select i.*, kept.plant() as planted from kept.invoices i;
        alter view invoices owner to view_keeper",
    );
    let id = lost(&mut shop, "INV-1");
    let path = "select current_setting('search_path')";
    let before = shop.text(path);
    shop.sweep();
    assert_eq!(shop.text(path), before);
    assert_eq!(books(&mut shop, &id), "Paid 125 Paid 125");
    let planted = "select distinct planted from invoices";
    assert_eq!(
        shop.text(planted).as_deref(),
        Some("postgres"),
        "for its own callers"
    );
    let seen = shop.text(
        "select value #>> '{}' from invoice_sync.full_change c, jsonb_each(c.after) where key = 'planted' limit 1",
    );
    assert!(seen.is_none_or(|who| who == "view_keeper"));
}

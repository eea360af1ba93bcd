//! A condition is checked when it is set, and evaluated as the table's owner wherever it is used.

use crate::harness::Shop;
use crate::harness::sale::Sale;

#[test]
fn only_one_expression_over_the_rows_columns_is_accepted() {
    let mut shop = Shop::open();
    shop.execute(
        "create function public.mine() returns boolean language sql return true;
        create function public.lower(varchar) returns text language sql return 'planted';
        set search_path = public, pg_catalog",
    );
    let refused = [
        "",
        "no_such_column is null",
        "total_amount",
        "count(*) > 0",
        "true) or (true",
        "true; delete from invoices",
        "true); delete from invoices; select (true",
        "text ' ) and (true",
        "text $$ ) and (true",
        "true /* ) and (true",
        "true limit 1",
        "true union select",
        "i.total_amount > 0",
        "t.total_amount > 0",
        "total_amount > $1",
        "(total_amount, total_amount)",
        // Not PostgreSQL's, and without its schema.
        "mine()",
    ];
    for condition in refused {
        let error = shop.error(&format!(
            "update invoice_sync.settings set invoice_condition = $quoted${condition}$quoted$"
        ));
        assert_eq!(error.sqlstate, "22023", "{condition}: {error:?}");
        assert!(error.message.contains("invoice_condition"), "{error:?}");
    }
    for condition in [
        "total_amount > 0",
        "invoices.total_amount > 0 -- or not",
        "public.mine()",
        "exists (select from public.payments p where p.invoice_id = invoices.id) is not null",
    ] {
        shop.execute(&format!(
            "update invoice_sync.settings set invoice_condition = $quoted${condition}$quoted$"
        ));
        shop.sweep();
    }
}

/// A function in a condition runs with the rights of the table's owner, who may have fewer than whoever sweeps.
#[test]
fn a_condition_is_evaluated_as_the_tables_owner() {
    let mut shop = Shop::open();
    shop.give_tables_to("counting_invoices", "counting_payments");
    shop.execute(
        "create table seen (who name);
        grant insert, select on seen to public;
        create function public.note() returns boolean language plpgsql as $$
        begin
            insert into public.seen values (current_user);
            return true;
        end $$;
        update invoice_sync.settings set invoice_condition = 'public.note()', payment_condition = 'public.note()'",
    );
    Sale::unbooked(&mut shop, "INV-1");

    shop.sweep();
    shop.rows("select * from invoice_sync.paid_without_payment");
    shop.rows("select * from invoice_sync.doctor()");

    assert_eq!(
        shop.texts("select distinct who from seen order by 1"),
        ["counting_invoices", "counting_payments"].map(|who| Some(who.to_owned()))
    );
}

#[test]
fn an_index_of_the_rows_that_count_suffices_for_the_payments_of_an_invoice() {
    let mut shop = Shop::open();
    let missing = "select table_name || ' ' || column_name from invoice_sync.missing_indexes()
        where column_name = 'invoice_id'";
    shop.execute(
        "alter table payments add deleted_at timestamptz;
        do $$
        declare i regclass;
        begin
            for i in select indexrelid from pg_index where indrelid = 'payments'::regclass and not indisunique loop
                execute 'drop index ' || i;
            end loop;
        end $$;
        create index on payments (invoice_id) where deleted_at is null",
    );
    assert_eq!(shop.texts(missing).len(), 1);

    shop.execute("update invoice_sync.settings set payment_condition = 'deleted_at is null'");

    assert_eq!(shop.texts(missing), []);
    assert_eq!(
        shop.text("select detail from invoice_sync.doctor() as d where d.\"check\" = 'settings'")
            .as_deref(),
        Some(
            "invoices are in public.invoices, payments in public.payments (rows that count: deleted_at is null)"
        )
    );
}

#[test]
fn rows_deleted_by_a_mark_are_proposed_not_to_count() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table invoices add \"deletedAt\" timestamptz; alter table payments add is_deleted boolean;
        select invoice_sync.adopt_mapping()",
    );

    assert_eq!(
        shop.text("select concat_ws('; ', invoice_condition, payment_condition) from invoice_sync.settings")
            .as_deref(),
        Some("\"deletedAt\" is null; is_deleted is not true")
    );
}

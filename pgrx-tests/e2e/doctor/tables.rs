//! The checks of `doctor()` of the application's tables, the roles and the last runs.

use super::{Check, examine, find, look, mend};
use crate::harness::Shop;
use crate::harness::server::attempt;

fn columns(shop: &mut Shop) -> Vec<String> {
    let columns = shop.texts(
        "select format('%s %s', table_name, column_name) from invoice_sync.missing_indexes()",
    );
    columns.into_iter().flatten().collect()
}

#[test]
fn missing_indexes_are_reported_and_their_statements_make_them() {
    let mut shop = Shop::open();
    assert_eq!(
        columns(&mut shop),
        [
            "public.invoices stripe_payment_intent",
            "public.invoices stripe_session_id",
            "public.payments stripe_payment_intent",
            "public.payments stripe_session_id"
        ]
    );
    // A partial index serves where it leaves out nulls, and only then.
    shop.execute(
        "create index on payments (stripe_session_id) where stripe_session_id is not null;
        create index on payments (stripe_payment_intent) where payment_status = 'Paid'",
    );
    assert_eq!(columns(&mut shop).len(), 3);
    let indexes = look(&mut shop, "indexes");
    assert!(!indexes.ok);
    assert!(mend(&mut shop, &indexes).ok);
    assert_eq!(columns(&mut shop), Vec::<String>::new());
}

#[test]
fn a_number_that_is_no_text_wants_an_index_of_its_text() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table invoices alter invoice_number type integer using 0;
        alter table invoices drop constraint invoices_invoice_number_key;
        create index on invoices (invoice_number)",
    );
    let missing = "public.invoices invoice_number".to_owned();
    assert!(
        columns(&mut shop).contains(&missing),
        "an index of the number is of no use"
    );
    let indexes = look(&mut shop, "indexes");
    mend(&mut shop, &indexes);
    assert_eq!(columns(&mut shop), Vec::<String>::new());
}

#[test]
fn a_unique_index_is_advice_until_there_is_one() {
    let mut shop = Shop::open();
    let name = "one row for one Stripe payment";
    let advice = look(&mut shop, name);
    assert!(advice.ok && advice.hint.contains("unique"), "{advice:?}");
    let followed = mend(&mut shop, &advice);
    assert!(followed.ok && followed.hint.is_empty(), "{followed:?}");
}

#[test]
fn triggers_are_listed_and_bad_once_they_made_an_issue() {
    let mut shop = Shop::open();
    crate::harness::sale::Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "create function meddle() returns trigger language plpgsql as
            'begin new.invoice_status = ''Sent''; return new; end';
        create trigger meddling before update on invoices for each row execute function meddle()",
    );
    let triggers = look(&mut shop, "triggers");
    assert!(triggers.ok, "{triggers:?}");
    assert!(
        triggers.detail.contains("meddling on public.invoices"),
        "{triggers:?}"
    );
    shop.sweep();
    let triggers = look(&mut shop, "triggers");
    assert!(!triggers.ok, "{triggers:?}");
    assert!(
        triggers.detail.contains("1 overridden_by_trigger"),
        "{triggers:?}"
    );
}

#[test]
fn a_column_that_nothing_fills_is_named() {
    let mut shop = Shop::open();
    shop.execute("alter table payments add column tenant text not null");
    let columns = look(&mut shop, "columns of new payments");
    assert!(
        !columns.ok && columns.detail.contains("tenant"),
        "{columns:?}"
    );
    // Pasted as it is, the hint leaves nonsense behind: that is output as well.
    let pasted = mend(&mut shop, &columns);
    assert!(!pasted.ok && pasted.detail.contains("\"?\""), "{pasted:?}");
    shop.execute(&pasted.hint.replace('?', "main office"));
    assert!(look(&mut shop, "columns of new payments").ok);
}

#[test]
fn an_address_of_the_hints_is_no_address() {
    let mut shop = Shop::open();
    let pasted = mend_addresses(&mut shop);
    assert!(
        !pasted.ok && pasted.detail.contains("you@example.com"),
        "{pasted:?}"
    );
    shop.execute(&pasted.hint.replace("@example.com", "@our-shop.at"));
    assert!(look(&mut shop, "e-mail addresses").ok);
}

fn mend_addresses(shop: &mut Shop) -> super::Check {
    let missing = look(shop, "e-mail addresses");
    assert!(!missing.ok, "{missing:?}");
    mend(shop, &missing)
}

#[test]
fn for_an_owner_that_may_not_use_the_schema_of_the_table_the_hint_is_a_grant() {
    let mut shop = Shop::open();
    shop.not_at_rest("sweeps may not use the schema of the tables");
    let role = format!("{}_owner", shop.name());
    shop.execute(&format!(
        "create role {role}; create schema vault; alter table payments set schema vault;
        alter table vault.payments owner to {role};
        update invoice_sync.settings set payments_table = 'vault.payments'"
    ));
    let rights = look(&mut shop, "rights on the tables");
    assert_eq!(
        rights.hint,
        format!("grant usage on schema vault to {role};")
    );
    assert!(mend(&mut shop, &rights).ok);
    shop.execute(&format!(
        "drop table vault.payments; revoke all on schema vault from {role}; drop role {role}"
    ));
}

#[test]
fn for_owners_that_may_not_write_their_tables_the_hint_is_a_grant() {
    let mut shop = Shop::open();
    shop.not_at_rest("sweeps may not write the tables");
    let role = format!("{}_owner", shop.name());
    shop.execute(&format!(
        "create role {role}; alter table invoices owner to {role}; alter table payments owner to {role};
        alter table payments enable row level security; alter table payments force row level security;
        revoke insert on payments from {role}"
    ));
    let rights = look(&mut shop, "rights on the tables");
    assert!(!rights.ok, "{rights:?}");
    assert_eq!(
        rights.hint,
        format!("grant insert on public.payments to {role};")
    );
    assert!(mend(&mut shop, &rights).ok);
    let policies = look(&mut shop, "row level security");
    assert!(
        policies.ok && policies.detail.contains("payments"),
        "{policies:?}"
    );
    shop.execute(&format!("drop table payments, invoices; drop role {role}"));
}

#[test]
fn what_the_role_of_a_job_in_another_database_lacks_is_reported() {
    let (mut shop, mut cron) = crate::schedule::shop_with_dblink();
    let role = format!("{}_job", shop.name());
    assert!(!look(&mut shop, "schedule").ok, "there is no job yet");
    shop.execute(&format!(
        "create role {role}; select invoice_sync.schedule()"
    ));
    let name = shop.name().to_owned();
    let of_job = format!("update cron.job set username = '{role}' where database = '{name}'");
    attempt(&mut cron, &of_job).expect("a superuser may");

    let checks = examine(&mut shop.db);
    assert!(find(&checks, "pg_cron").detail.contains("postgres"));
    assert!(find(&checks, "schedule").ok, "{checks:#?}");
    let lacks: Check = find(&checks, "role of the job").clone();
    assert!(
        !lacks.ok && lacks.hint.contains("grant_access"),
        "{lacks:?}"
    );
    assert!(mend(&mut shop, &lacks).ok);

    attempt(
        &mut cron,
        &format!("update cron.job set active = false where database = '{name}'"),
    )
    .expect("a superuser may");
    let off = look(&mut shop, "schedule");
    assert!(!off.ok && off.detail.contains("not active"), "{off:?}");
    attempt(
        &mut cron,
        &format!("delete from cron.job where database = '{name}'"),
    )
    .expect("a superuser may");
    shop.execute(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn failed_late_and_killed_sweeps_are_reported() {
    let mut shop = Shop::open();
    shop.not_at_rest("in the end, Stripe cannot be reached");
    assert!(!look(&mut shop, "last sweep").ok, "there was none");
    shop.sweep();
    assert!(look(&mut shop, "last sweep").ok);
    shop.execute("update invoice_sync.run set started_at = now() - interval '2 hours'");
    let late = look(&mut shop, "last sweep");
    assert!(
        !late.ok && late.detail.contains("60 minutes late"),
        "{late:?}"
    );

    shop.execute("update invoice_sync.run set finished_at = null");
    let killed = look(&mut shop, "unfinished runs");
    assert!(!killed.ok, "{killed:?}");
    assert!(mend(&mut shop, &killed).ok);

    shop.configure("stripe_api_base", "http://127.0.0.1:1");
    shop.sweep();
    let failed = look(&mut shop, "success");
    assert!(
        !failed.ok && failed.detail.contains("cannot be reached"),
        "{failed:?}"
    );
}

//! The rights that each kind of access grants.

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::server::attempt;

#[test]
fn the_public_may_nothing() {
    let mut shop = Shop::open();
    let granted = shop.texts(
        "select what || ': ' || privilege_type from (
            select 'schema' as what, coalesce(nspacl, acldefault('n', nspowner)) as acl
            from pg_namespace where nspname = 'invoice_sync'
            union all
            select relname, coalesce(relacl, acldefault(case relkind when 'S' then 's'::\"char\" else 'r' end, relowner))
            from pg_class where relnamespace = 'invoice_sync'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
            union all
            select oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))
            from pg_proc where pronamespace = 'invoice_sync'::regnamespace
            union all
            select format('%s.%s', attrelid::regclass, attname), attacl
            from pg_attribute join pg_class c on c.oid = attrelid
            where relnamespace = 'invoice_sync'::regnamespace and attacl is not null
        ) thing cross join lateral aclexplode(acl) where grantee = 0 order by 1",
    );
    assert_eq!(granted, Vec::<Option<String>>::new());
}

#[test]
fn functions_with_their_owners_rights_pin_the_search_path() {
    let mut shop = Shop::open();
    let loose = shop.texts(
        "select oid::regprocedure from pg_proc
        where pronamespace = 'invoice_sync'::regnamespace and prosecdef
            and not coalesce(proconfig, '{}') && array['search_path=pg_catalog, pg_temp', 'search_path=pg_catalog,pg_temp']
        union all
        select p.oid::regprocedure from pg_proc p
        join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
        where pronamespace = 'invoice_sync'::regnamespace
            and not coalesce(proconfig, '{}')::text like '%search_path=%'",
    );
    assert_eq!(loose, Vec::<Option<String>>::new());
}

/// Whoever may call it only with access `may`, at least.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Access {
    None,
    Read,
    Operate,
    Owner,
}

fn calls(sale: &Sale) -> Vec<(Access, String)> {
    use Access::*;
    let fixed = [
        (Read, "select from invoice_sync.settings"),
        (Read, "select from invoice_sync.recent_runs"),
        (Read, "select from invoice_sync.changes"),
        (Read, "select from invoice_sync.open_issues"),
        (Read, "select from invoice_sync.paid_without_payment"),
        (Read, "select from invoice_sync.stripe_without_payment"),
        (Read, "select from invoice_sync.alerts"),
        (Read, "select from invoice_sync.status"),
        (Read, "select from invoice_sync.metrics"),
        (Read, "select from invoice_sync.missing_indexes()"),
        (Operate, "select from invoice_sync.doctor()"),
        (Operate, "select invoice_sync.sweep()"),
        (Operate, "select invoice_sync.send_alerts()"),
        (Operate, "select invoice_sync.sweep(dry_run => true)"),
        (Operate, "select invoice_sync.job_name()"),
        (Read, "select from invoice_sync.issue_kinds()"),
        (Read, "select from invoice_sync.issue_actions(1)"),
        (Operate, "select invoice_sync.undo(1, dry_run => true)"),
        (
            Operate,
            "select invoice_sync.undo_change(1, dry_run => true)",
        ),
        (
            Owner,
            "update invoice_sync.settings set time_zone = time_zone",
        ),
        (Owner, "insert into invoice_sync.settings default values"),
        (
            Owner,
            "select invoice_sync.is_settled(null, 'refunded', null, '{}')",
        ),
        (Owner, "delete from invoice_sync.run"),
        (Owner, "select from invoice_sync.run"),
        (Owner, "select from invoice_sync.change"),
        (Owner, "select from invoice_sync.issue"),
        (Owner, "select from invoice_sync.alert"),
        (Owner, "select from invoice_sync.alert_issue"),
        (Owner, "select invoice_sync.replace_alerts(1)"),
        (Owner, "select from invoice_sync.invoice_check"),
        (Owner, "select from invoice_sync.stripe_payment"),
        (Owner, "select from invoice_sync.tally"),
        (Owner, "select invoice_sync.count_runs()"),
        (
            Owner,
            "update invoice_sync.open_issues set state = 'resolved'",
        ),
        (Owner, "select nextval('invoice_sync.run_id_seq')"),
        (
            Owner,
            "select invoice_sync.grant_access(current_user::regrole, 'operate')",
        ),
        (Owner, "select invoice_sync.revoke_access('postgres')"),
        (Owner, "select invoice_sync.check_settings('{}')"),
        (Owner, "create table invoice_sync.mine ()"),
        (Owner, "select from invoices"),
        (Owner, "select from payments"),
    ];
    let mut calls: Vec<_> = fixed.map(|(may, call)| (may, call.to_owned())).into();
    calls.push((Operate, format!("select {}", sale.sync())));
    calls.push((
        Operate,
        format!("select invoice_sync.sync_invoice('{}'::uuid)", sale.invoice),
    ));
    calls
}

#[test]
fn strangers_readers_and_operators_may_what_they_were_granted() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let role = format!("{}_role", shop.name());
    shop.execute(&format!("create role {role} login"));
    let steps = [
        (String::new(), Access::None),
        (
            format!("select invoice_sync.grant_access('{role}', 'read')"),
            Access::Read,
        ),
        (
            format!("select invoice_sync.grant_access('{role}')"),
            Access::Operate,
        ),
        (
            format!("select invoice_sync.revoke_access('{role}')"),
            Access::None,
        ),
        (
            format!("select invoice_sync.grant_access('{role}', 'operate')"),
            Access::Operate,
        ),
        (
            format!("select invoice_sync.revoke_access('{role}')"),
            Access::None,
        ),
    ];
    for (step, granted) in steps {
        shop.execute(&step);
        let mut session = shop.connect_as(&role);
        for (needed, call) in calls(&sale) {
            let result = attempt(&mut session, &call);
            if granted >= needed {
                result.unwrap_or_else(|error| panic!("{granted:?}: {call}: {error:?}"));
            } else {
                let error = result.expect_err(&format!("{granted:?} must not: {call}"));
                assert_eq!(error.sqlstate, "42501", "{granted:?}: {call}: {error:?}");
            }
        }
    }
    assert_eq!(
        shop.texts("select distinct role from invoice_sync.run"),
        [Some(role.clone())],
        "a run names who called, not with whose rights it ran"
    );
    shop.execute(&format!("drop role {role}"));
}

#[test]
fn there_are_two_kinds_of_access() {
    let mut shop = Shop::open();
    for may in ["'write'", "''", "null"] {
        let call = format!("select invoice_sync.grant_access('postgres', {may})");
        let error = shop.error(&call);
        assert_eq!(error.sqlstate, "22023", "{call}: {error:?}");
        assert!(
            error.hint.contains("read, operate and webhook"),
            "{error:?}"
        );
    }
    let unknown = shop.error("select invoice_sync.grant_access('nobody_of_that_name')");
    assert_eq!(unknown.sqlstate, "42704");
}

#[test]
fn an_operators_own_objects_are_not_taken_for_the_extensions() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let role = format!("{}_role", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}');
        create schema trap authorization {role}; grant temporary on database {} to {role}",
        shop.name()
    ));
    let mut session = shop.connect_as(&role);
    attempt(
        &mut session,
        "create table trap.caught (by_whom name);
        create function trap.now() returns timestamptz language sql as
            'insert into trap.caught values (current_user); select pg_catalog.now()';
        create function trap.clock_timestamp() returns timestamptz language sql as
            'insert into trap.caught values (current_user); select pg_catalog.now()';
        create function trap.same(text, text) returns boolean language sql as
            'insert into trap.caught values (current_user); select true';
        create operator trap.= (leftarg = text, rightarg = text, function = trap.same);
        create temp table run (id int); create temp table settings (id int);
        create temp table invoices (id int); create temp table payments (id int);
        create temp table pg_class (id int);
        set search_path = trap, pg_temp, pg_catalog",
    )
    .expect("a role may have objects");

    attempt(&mut session, &format!("select {}", sale.sync())).expect("the button works");
    attempt(&mut session, "select invoice_sync.sweep()").expect("the sweep works");
    attempt(&mut session, "table invoice_sync.stripe_without_payment").expect("the view works");

    assert_eq!(
        shop.texts("select by_whom from trap.caught"),
        Vec::<Option<String>>::new()
    );
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
}

/// Triggers that name types and tables without a schema, as most do.
const CARELESS: &str = "
    create table journal (note text);
    create function note() returns trigger language plpgsql as $$
    declare
        said text := 'a ' || tg_table_name || ' was written';
    begin
        insert into journal values (said);
        return new;
    end $$;
    create trigger note after insert or update on payments for each row execute function note();
    create trigger note after update on invoices for each row execute function note();";

#[test]
fn temporary_types_and_tables_of_an_operator_mean_nothing_to_what_runs_as_the_tables_owner() {
    let mut shop = Shop::open();
    shop.execute(CARELESS);
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let role = format!("{}_role", shop.name());
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
            values ('INV-2', 'Customer', 'Paid', 100, 100);
        create role {role} login; select invoice_sync.grant_access('{role}');
        create schema trap authorization {role}; grant temporary on database {} to {role}",
        shop.name()
    ));
    let types: String = [
        "jsonb",
        "json",
        "text",
        "uuid",
        "date",
        "numeric",
        "int8",
        "timestamptz",
    ]
    .map(|name| {
        format!("create domain pg_temp.{name} as pg_catalog.{name} check (pg_temp.evil());")
    })
    .concat();
    let mut session = shop.connect_as(&role);
    attempt(
        &mut session,
        &format!(
            "create table trap.caught (by_whom pg_catalog.name);
            create function pg_temp.evil() returns pg_catalog.bool language plpgsql as
                'begin insert into trap.caught values (current_user); return true; end';
            create temp table journal (note pg_catalog.text check (pg_temp.evil()));
            grant all on journal to public;
            {types}"
        ),
    )
    .expect("a role may have objects");

    let calls = [
        format!("select {}", sale.sync()),
        "select invoice_sync.sweep()".to_owned(),
        "select invoice_sync.undo(1)".to_owned(),
        "select invoice_sync.undo(3)".to_owned(),
        "select invoice_sync.resolve_issue(id, 'revert_to_unpaid', arguments => '{\"status\": \"Sent\"}')
        from invoice_sync.open_issues where kind = 'paid_without_payment'"
            .to_owned(),
    ];
    for call in calls {
        attempt(&mut session, &call).unwrap_or_else(|error| panic!("{call}: {error:?}"));
    }

    let books = "select string_agg(concat_ws(' ', i.invoice_number, i.invoice_status, p.payment_status), ', '
            order by i.invoice_number)
        from invoices i left join payments p on p.invoice_id = i.id";
    assert_eq!(
        shop.text(books).as_deref(),
        Some("INV-1 Paid Paid, INV-2 Sent")
    );
    let by_others = format!("select distinct by_whom from trap.caught where by_whom <> '{role}'");
    assert_eq!(shop.texts(&by_others), Vec::<Option<String>>::new());
    let noted = "select note || ': ' || count(*) from journal group by note order by 1";
    assert_eq!(
        shop.texts(noted),
        [
            Some("a invoices was written: 4".to_owned()),
            Some("a payments was written: 2".to_owned())
        ],
        "the application's own table"
    );
}

#[test]
fn functions_and_operators_in_public_are_not_taken_for_postgresqls() {
    let mut shop = Shop::open();
    shop.execute("create domain key as uuid; alter table invoices alter id type key");
    let role = format!("{}_role", shop.name());
    shop.execute(&format!(
        "create role {role} login; create schema trap authorization {role};
        grant create on schema public to {role}"
    ));
    let mut session = shop.connect_as(&role);
    attempt(
        &mut session,
        "create table trap.caught (by_whom name);
        grant insert on trap.caught to public; grant usage on schema trap to public;
        create function public.jsonb_populate_recordset(public.payments, jsonb) returns setof public.payments
        language plpgsql as
            'begin insert into trap.caught values (current_user);
             return query select * from pg_catalog.jsonb_populate_recordset(null::public.payments, $2); end';
        create function public.jsonb_populate_recordset(public.invoices, jsonb) returns setof public.invoices
        language plpgsql as
            'begin insert into trap.caught values (current_user);
             return query select * from pg_catalog.jsonb_populate_recordset(null::public.invoices, $2); end';
        create function public.jsonb_populate_record(public.payments, jsonb) returns public.payments
        language plpgsql as
            'begin insert into trap.caught values (current_user);
             return pg_catalog.jsonb_populate_record($1, $2); end';
        create function public.jsonb_populate_record(public.invoices, jsonb) returns public.invoices
        language plpgsql as
            'begin insert into trap.caught values (current_user);
             return pg_catalog.jsonb_populate_record($1, $2); end';
        create function trap.same(public.key, public.key) returns boolean language plpgsql as
            'begin insert into trap.caught values (current_user); return $1::uuid = $2::uuid; end';
        create operator public.= (leftarg = public.key, rightarg = public.key, function = trap.same)",
    )
    .expect("a role may have objects where it may create them");

    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0]);
    shop.json("invoice_sync.undo(1)");
    let undo = shop
        .text("select max(id) from invoice_sync.run")
        .expect("it ran");
    shop.json(&format!("invoice_sync.undo({undo})"));
    let paid = format!(
        "select invoice_status from invoices where id::uuid = '{}'",
        sale.invoice
    );
    assert_eq!(shop.text(&paid).as_deref(), Some("Paid"));

    assert_eq!(
        shop.texts("select by_whom from trap.caught"),
        Vec::<Option<String>>::new()
    );
}

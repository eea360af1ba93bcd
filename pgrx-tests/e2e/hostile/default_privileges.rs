//! Default privileges that were set before the installation grant nobody rights on the extension's objects.

use std::collections::BTreeSet;

use crate::harness::Shop;
use crate::harness::server::attempt;

/// Every right on everything that is the extension's, with the grantee.
const RIGHTS: &str = "
    select format('%s: %s to %s%s', what, privilege_type,
                  case grantee when 0 then 'public' when owner then 'its owner'
                      else grantee::regrole::text end,
                  case when is_grantable and grantee <> owner then ' with grant option' end)
    from (
        select 'schema' as what, nspowner as owner, coalesce(nspacl, acldefault('n', nspowner)) as acl
        from pg_namespace where nspname = 'invoice_sync'
        union all
        select format('relation %s', oid::regclass), relowner,
               coalesce(relacl, acldefault(case relkind when 'S' then 's'::\"char\" else 'r' end, relowner))
        from pg_class where relnamespace = 'invoice_sync'::regnamespace
            and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        union all
        select format('routine %s', oid::regprocedure), proowner, coalesce(proacl, acldefault('f', proowner))
        from pg_proc where pronamespace = 'invoice_sync'::regnamespace
        union all
        select format('type %s', t.oid::regtype), t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
        from pg_type t left join pg_class c on c.oid = t.typrelid
        where t.typnamespace = 'invoice_sync'::regnamespace and t.typelem = 0
            and (t.typrelid = 0 or c.relkind = 'c')
        union all
        select format('column %s.%s', attrelid::regclass, attname), relowner, attacl
        from pg_attribute join pg_class c on c.oid = attrelid
        where relnamespace = 'invoice_sync'::regnamespace and attacl is not null
    ) thing cross join lateral aclexplode(acl)";

fn rights(shop: &mut Shop) -> BTreeSet<String> {
    shop.texts(RIGHTS).into_iter().flatten().collect()
}

/// A role that the defaults of the installing role favour, in every way there is.
fn favour(shop: &mut Shop) -> String {
    let role = format!("favoured_of_{}", shop.name());
    shop.execute(&format!("create role {role} login"));
    for kind in ["tables", "sequences", "functions", "types", "schemas"] {
        for grantee in [role.as_str(), "public"] {
            let option = if grantee == "public" {
                ""
            } else {
                "with grant option"
            };
            shop.execute(&format!(
                "alter default privileges grant all on {kind} to {grantee} {option}"
            ));
        }
    }
    role
}

#[test]
fn nobody_has_anything_of_an_extension_that_is_installed_under_hostile_defaults() {
    let mut fresh = Shop::open();
    let expected = rights(&mut fresh);
    assert!(expected.len() > 100, "{} rights", expected.len());
    assert!(
        expected.iter().all(|right| right.ends_with("to its owner")),
        "{expected:#?}"
    );

    let mut shop = Shop::open();
    shop.execute("drop extension invoice_sync");
    let role = favour(&mut shop);
    shop.execute("create extension invoice_sync");
    assert_eq!(rights(&mut shop), expected);
    let mut session = shop.connect_as(&role);
    for statement in [
        "select invoice_sync.sweep()",
        "select from invoice_sync.run",
        "select nextval('invoice_sync.run_id_seq')",
        "create table invoice_sync.mine ()",
    ] {
        let error = attempt(&mut session, statement).expect_err(statement);
        assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
    }
    drop(session);
    shop.execute(&format!("drop owned by {role} cascade; drop role {role}"));
}

#[test]
fn what_an_upgrade_finds_open_it_closes_and_who_was_given_access_keeps_it() {
    let mut shop = Shop::open();
    let role = favour(&mut shop);
    let operator = format!("operator_of_{}", shop.name());
    let webhook = format!("webhook_of_{}", shop.name());
    shop.execute(&format!(
        "create role {operator}; create role {webhook};
        select invoice_sync.grant_access('{operator}');
        select invoice_sync.grant_access('{webhook}', 'webhook')"
    ));
    let expected = rights(&mut shop);
    shop.execute(&format!(
        "grant all on all routines in schema invoice_sync to {role}, public;
        grant all on all tables in schema invoice_sync to {role} with grant option;
        grant all on all sequences in schema invoice_sync to {role};
        grant all on schema invoice_sync to {role}, public;
        grant select (id) on invoice_sync.run to {role};
        set role {role}; grant select on invoice_sync.run to {webhook}; reset role;
        select invoice_sync.revoke_from_others(false);
        select invoice_sync.grant_access('{webhook}', 'webhook')"
    ));
    assert_eq!(rights(&mut shop), expected);
    shop.execute(&format!(
        "select invoice_sync.revoke_access('{operator}'), invoice_sync.revoke_access('{webhook}');
        drop owned by {role} cascade; drop role {role}, {operator}, {webhook}"
    ));
}

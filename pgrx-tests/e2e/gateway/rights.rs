//! Which functions, tables and views each kind of caller can use, through the gateway and in SQL.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::Shop;
use crate::harness::gateway::{Caller, WebShop};
use crate::harness::sale::Sale;
use crate::harness::server::{attempt, refusal};

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Access {
    /// Who has access `webhook`; the signature is the key.
    Webhook,
    /// Whoever has access `operate`: it tells nothing of the books.
    Users,
    Admins,
    /// The extension's owner alone.
    Owner,
}

impl Access {
    fn admits(self, caller: Caller) -> bool {
        match self {
            Self::Webhook => caller == Caller::Stranger,
            Self::Users => caller != Caller::Stranger,
            Self::Admins => caller.is_admin(),
            Self::Owner => false,
        }
    }
}

/// By its signature without the schema; how it is called in SQL, and by name.
struct Function {
    access: Access,
    signature: &'static str,
    sql: String,
    arguments: Value,
}

fn functions(invoice: &str) -> Vec<Function> {
    use Access::*;
    let function = |access, signature: &'static str, values: &str, arguments: Value| {
        let name = signature.split('(').next().expect("it has a name");
        let verb = match name {
            "run_sweep" | "backfill" => "call",
            _ => "select",
        };
        Function {
            access,
            signature,
            sql: format!("{verb} invoice_sync.{name}({values})"),
            arguments,
        }
    };
    let none = || json!({});
    vec![
        function(Webhook, "handle_webhook(json)", "'{}'", none()),
        function(Webhook, "handle_webhook(text,text)", "'{}', ''", none()),
        function(
            Webhook,
            "handle_webhook(bytea,text)",
            "'{}'::bytea, ''",
            none(),
        ),
        function(Admins, "issue_kinds()", "", none()),
        function(Admins, "find_currencies()", "", none()),
        function(Admins, "job_name()", "", none()),
        function(
            Users,
            "next_due(text,bigint)",
            "'* * * * *', 0",
            json!({ "schedule": "* * * * *", "after": 0 }),
        ),
        function(
            Admins,
            "sync_invoice(text,boolean)",
            &format!("'{invoice}'"),
            json!({ "invoice_id": invoice }),
        ),
        function(
            Admins,
            "sync_invoice(anyelement,boolean)",
            &format!("'{invoice}'::uuid"),
            json!({ "id": invoice }),
        ),
        function(
            Admins,
            "explain(text,boolean)",
            &format!("'{invoice}'"),
            json!({ "invoice_id": invoice }),
        ),
        function(
            Admins,
            "explain(anyelement,boolean)",
            &format!("'{invoice}'::uuid"),
            json!({ "id": invoice }),
        ),
        function(Admins, "sweep(boolean,integer,interval)", "", none()),
        function(Admins, "run_sweep(interval)", "", none()),
        function(
            Admins,
            "backfill(timestamp with time zone,timestamp with time zone)",
            "now() - interval '1 hour'",
            none(),
        ),
        function(Admins, "issue_actions(bigint)", "1", json!({ "id": 1 })),
        function(
            Admins,
            "resolve_issue(bigint,text,text,jsonb,boolean)",
            "1, 'ignore'",
            json!({ "id": 1, "action": "ignore" }),
        ),
        function(
            Admins,
            "acknowledge_issue(bigint,text)",
            "1",
            json!({ "id": 1 }),
        ),
        function(
            Admins,
            "snooze_issue(bigint,timestamp with time zone,text)",
            "1, now()",
            json!({ "id": 1, "until": "2999-01-01" }),
        ),
        function(Admins, "undo(bigint,boolean)", "1", json!({ "run_id": 1 })),
        function(
            Admins,
            "undo_change(bigint,boolean)",
            "1",
            json!({ "change_id": 1 }),
        ),
        function(Admins, "send_alerts()", "", none()),
        function(Admins, "doctor()", "", none()),
        function(Admins, "missing_indexes()", "", none()),
        function(Admins, "find_paid_without_payment()", "", none()),
        function(Admins, "find_stripe_without_payment()", "", none()),
        function(Admins, "require_admin()", "", none()),
        function(Admins, "visible_schedule()", "", none()),
        function(Admins, "pg_cron_place()", "", none()),
        function(
            Admins,
            "pg_cron_job(text,text)",
            "'read'",
            json!({ "what": "read" }),
        ),
        function(Admins, "schedule(text)", "", none()),
        function(Admins, "unschedule()", "", none()),
        function(Owner, "receive_webhook(bytea,text)", "'{}', ''", none()),
        function(Owner, "is_admin()", "", none()),
        function(Owner, "api_functions()", "", none()),
        function(Owner, "api_views()", "", none()),
        function(Owner, "create_api(regnamespace)", "'public'", none()),
        function(Owner, "drop_api(regnamespace)", "'public'", none()),
        function(
            Owner,
            "propose_mapping(regclass,regclass,jsonb)",
            "",
            none(),
        ),
        function(Owner, "adopt_mapping(regclass,regclass,jsonb)", "", none()),
        function(Owner, "check_settings(jsonb)", "'{}'", none()),
        function(Owner, "settings_are_checked()", "", none()),
        function(Owner, "settings_replace()", "", none()),
        function(Owner, "settings_changed()", "", none()),
        function(Owner, "settings_stay()", "", none()),
        function(
            Owner,
            "grant_access(regrole,text)",
            "current_user::regrole",
            none(),
        ),
        function(
            Owner,
            "revoke_access(regrole)",
            "current_user::regrole",
            none(),
        ),
        function(
            Owner,
            "revoke_from_others(boolean)",
            "true",
            json!({ "also_granted": true }),
        ),
        function(Owner, "facts_that_matter(jsonb)", "'{}'", none()),
        function(
            Owner,
            "with_earlier_attempts(jsonb,jsonb)",
            "'{}', '{}'",
            none(),
        ),
        function(
            Owner,
            "is_settled(text,text,text,jsonb)",
            "'', '', '', '{}'",
            none(),
        ),
        function(Owner, "alert_entries(bigint)", "1", none()),
        function(Owner, "replace_alerts(bigint)", "1", none()),
        function(Owner, "readdress_alerts()", "", none()),
        function(Owner, "count_runs()", "", none()),
    ]
}

const RELATIONS: &[(Access, &str)] = &[
    (Access::Admins, "settings"),
    (Access::Admins, "status"),
    (Access::Admins, "metrics"),
    (Access::Admins, "open_issues"),
    (Access::Admins, "recent_runs"),
    (Access::Admins, "changes"),
    (Access::Admins, "alerts"),
    (Access::Admins, "paid_without_payment"),
    (Access::Admins, "stripe_without_payment"),
    (Access::Admins, "webhook_health"),
    (Access::Admins, "account_health"),
    (Access::Admins, "progress"),
    (Access::Admins, "currencies"),
    (Access::Owner, "run"),
    (Access::Owner, "run_to_count"),
    (Access::Owner, "change"),
    (Access::Owner, "change_form"),
    (Access::Owner, "full_change"),
    (Access::Owner, "issue"),
    (Access::Owner, "invoice_check"),
    (Access::Owner, "stripe_payment"),
    (Access::Owner, "event"),
    (Access::Owner, "feed"),
    (Access::Owner, "round"),
    (Access::Owner, "backfill"),
    (Access::Owner, "alert"),
    (Access::Owner, "alert_issue"),
    (Access::Owner, "stripe_month"),
    (Access::Owner, "tally"),
    (Access::Owner, "tally_booked"),
    (Access::Owner, "uncounted"),
    (Access::Owner, "uncounted_booked"),
    (Access::Owner, "run_booked"),
    (Access::Owner, "last_webhook"),
    (Access::Owner, "unwritten_answer"),
    (Access::Owner, "payment"),
    (Access::Owner, "payment_ids"),
    (Access::Owner, "stripe_account"),
];

const SEQUENCES: &str =
    "alert_id_seq backfill_id_seq change_id_seq issue_id_seq limiter_segment payment_id_seq
    run_id_seq stripe_read";

fn web_shop() -> (WebShop, Sale) {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    (WebShop::open(shop), sale)
}

#[test]
fn the_table_names_everything_that_there_is() {
    let mut shop = Shop::open();
    let mut all =
        |query: &str| -> BTreeSet<String> { shop.texts(query).into_iter().flatten().collect() };
    let there = all(
        "select format('%s(%s)', proname, replace(oidvectortypes(proargtypes), ', ', ','))
        from pg_proc where pronamespace = 'invoice_sync'::regnamespace",
    );
    let named: BTreeSet<String> = functions("")
        .iter()
        .map(|function| function.signature.to_owned())
        .collect();
    assert_eq!(named, there);
    let there = all(
        "select relname from pg_class
        where relnamespace = 'invoice_sync'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')",
    );
    let named: BTreeSet<String> = RELATIONS
        .iter()
        .map(|(_, name)| (*name).to_owned())
        .collect();
    assert_eq!(named, there);
    // All of these are the owner's alone.
    let sequences = all("select relname from pg_class
        where relnamespace = 'invoice_sync'::regnamespace and relkind = 'S'");
    let named: BTreeSet<String> = SEQUENCES.split_whitespace().map(str::to_owned).collect();
    assert_eq!(named, sequences);
    let types = all(
        "select t.oid::regtype from pg_type t left join pg_class c on c.oid = t.typrelid
        where t.typnamespace = 'invoice_sync'::regnamespace and t.typelem = 0
            and (t.typrelid = 0 or c.relkind = 'c')",
    );
    assert_eq!(types, BTreeSet::new(), "there are none but those of rows");
}

#[test]
fn through_the_gateway_only_admins_read_the_books() {
    let (web, sale) = web_shop();
    let functions = functions(&sale.invoice);
    for caller in Caller::ALL {
        let before = (!caller.is_admin()).then(|| web.shop.dump());
        let reads = RELATIONS
            .iter()
            .map(|(access, name)| (*access, *name, web.read(caller, name)));
        let calls = functions.iter().map(|it| {
            let name = it.signature.split('(').next().expect("it has a name");
            (
                it.access,
                it.signature,
                web.call(caller, name, &it.arguments),
            )
        });
        for (access, what, answer) in reads.chain(calls) {
            let of_all = format!("{what} as {caller:?}: {answer:?}");
            // Of several functions of one name, a gateway calls the one whose arguments fit.
            if what.starts_with("handle_webhook") && what != "handle_webhook(json)" {
                continue;
            }
            // No HTTP request can call a procedure.
            if ["run_sweep", "backfill("]
                .iter()
                .any(|procedure| what.starts_with(procedure))
            {
                assert!([400, 404].contains(&answer.status), "{of_all}");
                continue;
            }
            // What no role may read, a gateway does not even know.
            if access == Access::Owner && answer.status == 404 {
                assert!(answer.code().starts_with("PGRST"), "{of_all}");
                continue;
            }
            if access.admits(caller) {
                assert_ne!(answer.code(), "42501", "{of_all}");
                assert!(![401, 403].contains(&answer.status), "{of_all}");
            } else if access == Access::Admins && caller == Caller::Customer {
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (403, "42501"),
                    "{of_all}"
                );
            } else {
                // PostgREST's status for a known caller is 403; this gateway's is 401.
                assert!([401, 403].contains(&answer.status), "{of_all}");
                assert_eq!(answer.code(), "42501", "{of_all}");
            }
        }
        if let Some(before) = before {
            assert_eq!(web.shop.dump(), before, "{caller:?} changed something");
        }
    }
}

#[test]
fn in_sql_the_same_callers_may_the_same() {
    let (web, sale) = web_shop();
    for caller in Caller::ALL {
        let mut session = web.shop.connect();
        let role = caller.role(&web.roles);
        let claims = caller
            .claims(&web.roles)
            .unwrap_or_else(|| json!({ "role": role }));
        attempt(
            &mut session,
            &format!("set role {role}; set request.jwt.claims = '{claims}'"),
        )
        .expect("a superuser may");
        let reads = RELATIONS
            .iter()
            .map(|(access, name)| (*access, format!("select from invoice_sync.{name}")));
        let calls = functions(&sale.invoice)
            .into_iter()
            .map(|it| (it.access, it.sql));
        for (access, sql) in reads.chain(calls) {
            let seen = attempt(&mut session, &sql)
                .err()
                .map(|error| error.sqlstate);
            let is_refused = seen.as_deref() == Some("42501");
            assert_ne!(
                is_refused,
                access.admits(caller),
                "{sql} as {caller:?}: {seen:?}"
            );
        }
    }
}

#[test]
fn whoever_is_no_admin_is_refused_as_such() {
    let (web, sale) = web_shop();
    let arguments = json!({ "invoice_id": sale.invoice });
    let answer = web.call(Caller::Customer, "sync_invoice", &arguments);
    let body = answer.json();
    assert_eq!(body["message"], "only admins may do this", "{body:#}");
    assert!(body["details"].to_string().contains("is_admin"), "{body:#}");
    assert!(
        body["hint"].to_string().contains("rpc_admin_check"),
        "{body:#}"
    );
}

#[test]
fn the_check_is_a_function_of_ones_own_and_runs_with_its_owners_rights() {
    let (mut web, sale) = web_shop();
    let owner = format!("owner_of_{}", web.shop.name());
    web.shop.execute(&format!(
        "create role {owner};
        create table staff (id text, checked_by name default current_user);
        alter table staff owner to {owner};
        create function is_staff() returns boolean language sql stable as
            $$ select exists (select from public.staff where id = current_setting('request.jwt.claims')::jsonb ->> 'role')
                and current_user = '{owner}' $$;
        alter function is_staff() owner to {owner};
        update invoice_sync.settings set rpc_admin_check = 'public.is_staff'"
    ));
    let arguments = json!({ "invoice_id": sale.invoice });
    let press = |web: &WebShop, caller| web.call(caller, "sync_invoice", &arguments);

    let answer = press(&web, Caller::Admin);
    assert_eq!(answer.status, 403, "the claim counts no more: {answer:?}");
    let user = web.roles.user.clone();
    web.shop
        .execute(&format!("insert into staff values ('{user}')"));
    let answer = press(&web, Caller::Customer);
    assert_eq!(answer.status, 200, "the table does: {answer:?}");

    web.shop.execute("create or replace function is_staff() returns boolean language sql stable as 'select null::boolean'");
    let answer = press(&web, Caller::Admin);
    assert_eq!(answer.status, 403, "null is no: {answer:?}");
    web.shop.execute(&format!(
        "update invoice_sync.settings set rpc_admin_check = default; drop function is_staff(); drop table staff; drop role {owner}"
    ));
}

#[test]
fn a_check_that_is_not_there_or_says_no_boolean_is_refused_when_it_is_named() {
    let mut shop = Shop::open();
    for (name, sqlstates) in [
        ("public.nobody", &["42883"][..]),
        ("pg_catalog.now", &["42804"]),
        // Since 16, no function has such a name; before, it is no name.
        ("no name", &["42602", "42883"]),
    ] {
        let error = shop.error(&format!(
            "update invoice_sync.settings set rpc_admin_check = '{name}'"
        ));
        let sqlstate = error.sqlstate.as_str();
        assert!(sqlstates.contains(&sqlstate), "{name}: {error:?}");
    }
}

#[test]
fn who_connects_without_a_token_needs_no_claim() {
    let mut shop = Shop::open();
    let role = format!("{}_role", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}')"
    ));
    let mut session = shop.connect_as(&role);
    attempt(&mut session, "select invoice_sync.sweep()").expect("a grant is enough");
    // What a pool leaves behind is empty, not missing.
    attempt(
        &mut session,
        "set request.jwt.claims = ''; set request.headers = ''; select invoice_sync.sweep()",
    )
    .expect("and still is");
    let error = refusal(
        &mut session,
        "set request.headers = '{}'; select invoice_sync.sweep()",
    );
    assert_eq!(
        error.sqlstate, "PGRST",
        "a request without claims: {error:?}"
    );
    shop.execute(&format!("drop owned by {role}; drop role {role}"));
}

/// A gateway's login role may become any of the others, and so could its callers, if
/// they found a function that runs what it is given.
#[test]
fn what_callers_say_is_no_part_of_a_statement() {
    let (web, _) = web_shop();
    let escape = "'; select set_config('role', 'service_role', true); --";
    let arguments = json!({ "what": "schedule", "cron": escape });
    let answer = web.call(Caller::Admin, "pg_cron_job", &arguments);
    let hint = answer.json()["hint"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let quoted = format!("'{}'", escape.replace('\'', "''"));
    assert!(hint.contains(&quoted), "{answer:?}");

    let arguments = json!({ "what": "select 1", "cron": "select 1" });
    let answer = web.call(Caller::Admin, "pg_cron_job", &arguments);
    assert_ne!(
        answer.status, 200,
        "it does three things and no other: {answer:?}"
    );
}

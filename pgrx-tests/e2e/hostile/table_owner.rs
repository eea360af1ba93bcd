//! Code of the tables' owner never gets more than its owner's rights, whoever calls it, then or later.

mod attacks;
mod entry_points;

use postgres::{Client, SimpleQueryMessage};
use stripe_double::{Config, Double, Key};

use self::attacks::{ADVISORY_LOCK, ATTACKS, HOOKS};
use self::entry_points::{Caller, ENTRY_POINTS, EntryPoint};
use crate::harness::books::differences;
use crate::harness::sender::SECRET;
use crate::harness::{DEFAULT_TABLES, KEY, Shop, connect_as, tell};

/// A database whose tables belong to an attacker, with a hook in every place where code of theirs runs.
pub struct Scene {
    pub shop: Shop,
    /// The attacker's own session.
    pub attacker: Client,
    pub roles: Roles,
    numbers: usize,
}

/// Roles belong to the whole server: each scene has its own.
pub struct Roles {
    pub attacker: String,
    pub operator: String,
    pub gateway: String,
}

impl Scene {
    fn open(name: &str) -> Self {
        // Without the feed, which every sweep would read through once more with each attempt.
        let stripe = Double::start(Config {
            keys: vec![Key::new(KEY).without("rak_event_read")],
            noise_events: false,
            ..Config::default()
        });
        let mut shop = Shop::with(stripe.expect("the stand-in starts"), DEFAULT_TABLES);
        shop.use_secret("stripe_webhook_secret", SECRET);
        let role = |what: &str| format!("{what}_{name}_{}", std::process::id());
        let roles = Roles {
            attacker: role("attacker"),
            operator: role("operator"),
            gateway: role("gateway"),
        };
        let Roles {
            attacker,
            operator,
            gateway,
        } = &roles;
        shop.make_roles(&[attacker, operator, gateway]);
        shop.execute(&format!(
            "alter table invoices owner to {attacker};
            alter table payments owner to {attacker};
            create schema hostile authorization {attacker};
            grant create on schema public to {attacker};
            alter role {gateway} noinherit;
            grant {operator} to {gateway};
            grant postgres to {gateway};
            select invoice_sync.grant_access('{operator}');
            grant execute on function invoice_sync.handle_webhook(text, text) to {operator};
            update invoice_sync.settings set host_search_path = 'hostile, public';
            alter database {name} set application_name = 'as it was'",
            name = shop.name(),
        ));
        let mut scene = Self {
            attacker: connect_as(shop.name(), attacker),
            shop,
            roles,
            numbers: 0,
        };
        let hooks = HOOKS.replace("{attacker}", &scene.roles.attacker);
        scene.as_attacker(&hooks);
        scene
    }

    pub fn as_attacker(&mut self, sql: &str) {
        self.attacker
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{sql}: {}", tell(&error)));
    }

    /// What the hooks do from now on; errors are swallowed, as an attacker would.
    fn arm(&mut self, attack: &str) {
        self.as_attacker(&format!(
            "create or replace function hostile.attack() returns integer language plpgsql as $attack$
            begin
                begin
                    {attack}
                exception when others then null;
                end;
                insert into hostile.fired values (1);
                return 1;
            end $attack$;"
        ));
    }

    /// Nothing happens while a scene is set.
    fn disarm(&mut self) {
        self.arm("null;");
    }

    pub fn next_number(&mut self) -> String {
        self.numbers += 1;
        format!("INV-{}", self.numbers)
    }

    /// As whom, other than the attacker, the payload has run.
    fn strangers(&mut self) -> Vec<String> {
        let attacker = self.roles.attacker.clone();
        self.shop
            .texts(&format!(
                "select distinct ran_as || case when is_superuser then ', a superuser' else '' end
                from hostile.log where ran_as <> '{attacker}' or is_superuser"
            ))
            .into_iter()
            .flatten()
            .collect()
    }

    fn attacker_is_superuser(&mut self) -> bool {
        let attacker = self.roles.attacker.clone();
        self.shop
            .text(&format!(
                "select rolsuper from pg_roles where rolname = '{attacker}'"
            ))
            .as_deref()
            == Some("true")
    }

    fn fired(&mut self) -> bool {
        self.shop
            .text("select exists (select from hostile.fired)")
            .as_deref()
            == Some("true")
    }
}

/// All that a session has, and that code which ran in it may have left, changed or taken away.
const TRACES: &str = "
    select what from (
        select 'cursor ' || name from pg_catalog.pg_cursors
        union all select 'prepared statement ' || name from pg_catalog.pg_prepared_statements
        union all select 'channel ' || c from pg_catalog.pg_listening_channels() c
        union all select 'temporary object ' || relname from pg_catalog.pg_class
            where relnamespace = pg_catalog.pg_my_temp_schema()
        union all select 'temporary function ' || proname from pg_catalog.pg_proc
            where pronamespace = pg_catalog.pg_my_temp_schema()
        union all select 'temporary type ' || typname from pg_catalog.pg_type
            where typnamespace = pg_catalog.pg_my_temp_schema() and typrelid = 0
        union all select 'advisory lock' from pg_catalog.pg_locks
            where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()
        -- Those of the extension are there once its library is loaded, and only a superuser sets them.
        union all select concat_ws(' ', 'setting', name, setting) from pg_catalog.pg_settings
            where name not like 'invoice\\_sync.%'
        union all select concat_ws(' ', 'setting', name, nullif(pg_catalog.current_setting(name, true), ''))
            from unnest(array['role', 'session_authorization', 'evil.made_up', 'callers.own', 'request.jwt.claims']) name
        union all select 'role ' || current_user || ' of ' || session_user
    ) t (what) order by what";

fn traces(session: &mut Client) -> Vec<String> {
    session
        .simple_query(TRACES)
        .expect("the session lives")
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect()
}

/// What of the session is otherwise than it was, but for the one thing that an attack is known to leave.
fn must_be_as_before(session: &mut Client, before: &[String], left: Option<&str>, place: &str) {
    let after = traces(session);
    let mut changed = differences(&after, before);
    changed.retain(|it| Some(it.as_str()) != left);
    assert!(changed.is_empty(), "{place}: in the session: {changed:?}");
}

/// Tries each attack through these entry points, by every caller who is let in; gives how many were tried.
fn try_all(name: &str, entry_points: &[EntryPoint]) -> usize {
    let mut scene = Scene::open(name);
    let mut tried = 0;
    for (what, attack) in ATTACKS {
        for entry_point in entry_points {
            for caller in Caller::ALL {
                if !entry_point.is_open_to(caller) {
                    continue;
                }
                scene.disarm();
                scene.as_attacker("delete from payments; delete from invoices");
                let calls = entry_point.set(&mut scene);
                scene.as_attacker("truncate hostile.log, hostile.fired");
                scene.arm(&attack.replace("{attacker}", &scene.roles.attacker));
                let mut session = caller.session(&scene);
                let place = format!("{what}, {entry_point:?}, {caller:?}");
                let lock = Some("found advisory lock");
                let in_transaction = lock.filter(|_| what.starts_with("advisory lock"));
                let left = lock.filter(|_| what == ADVISORY_LOCK);
                let outside = traces(&mut session);
                if entry_point.is_in_transactions() {
                    caller.begin(&mut session, &scene.roles);
                }
                let before = traces(&mut session);
                let refused = caller.call(&mut session, &calls, &place);
                if !refused {
                    must_be_as_before(
                        &mut session,
                        &before,
                        in_transaction
                            .filter(|_| entry_point.is_in_transactions())
                            .or(left),
                        &place,
                    );
                }
                session
                    .batch_execute(if refused { "rollback" } else { "commit" })
                    .unwrap_or_else(|error| panic!("{place}: {}", tell(&error)));
                must_be_as_before(&mut session, &outside, left, &place);
                drop(session);
                let strangers = scene.strangers();
                assert!(strangers.is_empty(), "{place}: ran as {strangers:?}");
                assert!(
                    !scene.attacker_is_superuser(),
                    "{place}: the attacker is superuser"
                );
                let is_rolled_back =
                    refused || attack.starts_with("set constraints") || attack.contains("pg_temp");
                assert!(
                    scene.fired() || is_rolled_back || !entry_point.fires(),
                    "{place}: no hook was called"
                );
                tried += 1;
            }
        }
    }
    tried
}

#[test]
fn a_table_owner_gets_no_more_rights_in_any_way_by_any_caller() {
    let parts: Vec<_> = ENTRY_POINTS
        .chunks(ENTRY_POINTS.len().div_ceil(3))
        .enumerate()
        .map(|(number, entry_points)| {
            std::thread::spawn(move || try_all(&format!("part{number}"), entry_points))
        })
        .collect();
    let tried: usize = parts
        .into_iter()
        .map(|part| {
            part.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .sum();
    assert!(ATTACKS.len() >= 25);
    println!(
        "hostile table owner: {tried} attempts ({} attacks, {} entry points, {} callers)",
        ATTACKS.len(),
        ENTRY_POINTS.len(),
        Caller::ALL.len()
    );
}

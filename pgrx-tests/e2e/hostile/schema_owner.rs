//! The owner of the schema replaces tables while a run waits for Stripe.

use std::time::Duration;

use stripe_double::Checkout;

use crate::harness::sender::{SECRET, now, signature};
use crate::harness::{Shop, SqlError, connect_as, wait_until};

/// Tables of the application's, which belong to `{owner}`, in a schema of `{attacker}`'s.
const TABLES: &str = "
    create schema app;
    create table app.invoices (like public.invoices including all);
    create table app.payments (like public.payments including all);
    drop table public.payments, public.invoices;
    create table witness (name text);
    grant insert, select on witness to public;
    create sequence strangers;
    grant usage on sequence strangers to public;
    create function note() returns void language plpgsql as $$
    begin
        insert into public.witness values (current_user);
        if current_user <> '{attacker}' then
            -- Stays, whatever is rolled back.
            perform pg_catalog.nextval('public.strangers');
        end if;
    end $$;
    alter table app.invoices owner to {owner};
    alter table app.payments owner to {owner};
    alter schema app owner to {attacker};
    grant create on database {database} to {attacker};
    grant usage on schema app to {owner};
    update invoice_sync.settings set invoices_table = 'app.invoices', payments_table = 'app.payments'";

/// The same tables, of the attacker's, which tell who runs their triggers, indexes and policies (while a statement is planned).
const OTHERS: &str = "
    grant usage on schema app to public;
    create table app.invoices (like {old}.invoices including all);
    create table app.payments (like {old}.payments including all);
    grant all on app.invoices, app.payments to public;
    create function app.tell() returns trigger language plpgsql as $$
    begin perform public.note(); return new; end $$;
    create function app.tell_volatile() returns void language plpgsql as $$
    begin perform public.note(); end $$;
    create function app.reported(what text) returns text immutable language plpgsql as $$
    begin perform app.tell_volatile(); return what; end $$;
    create trigger tell before insert or update on app.invoices for each row execute function app.tell();
    create trigger tell before insert or update on app.payments for each row execute function app.tell();
    create index on app.invoices (app.reported(customer));
    create index on app.payments (app.reported(payment_name));
    create policy tell on app.invoices using (app.reported('x') = 'x');
    create policy tell on app.payments using (app.reported('x') = 'x');
    alter table app.invoices enable row level security;
    alter table app.payments enable row level security";

/// A row to read, once they have their names; what the attacker ran does not count.
const ROW: &str = "
    insert into app.invoices (invoice_number, customer, invoice_status, total_amount, balance_due)
        values ('EVIL', 'Ada', 'Sent', 125, 125);
    truncate public.witness";

/// Makes the others beside the application's tables.
pub(super) fn others_beside() -> String {
    let others = OTHERS
        .replace("{old}", "app_itself")
        .replace("app.", "evil.");
    let others = others.replace("schema app", "schema evil");
    // What functions call is found when they run.
    let others = others.replace("perform evil.", "perform app.");
    format!(
        "create schema evil; {}",
        others.replace("app_itself.", "app.")
    )
}

/// Gives them the names of the application's, without a lock of any table.
pub(super) fn rename_schemas() -> String {
    format!("begin; alter schema app rename to old; alter schema evil rename to app; {ROW}; commit")
}

/// How the last run ended, once it did.
pub(super) const LAST_RUN: &str = "
    select case when finished_at is null then 'goes on' when success then 'succeeded'
               else 'failed with ' || (error ->> 'sqlstate') end
    from invoice_sync.run order by id desc limit 1";

/// Tables dropped, where nobody holds a lock on them, and tables moved away with their schema, for
/// which no lock is needed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Swap {
    Tables,
    Schema,
}

impl Swap {
    /// To be committed.
    pub(super) fn statements(self) -> String {
        match self {
            Self::Tables => format!(
                "begin; create schema old; create table old.invoices (like app.invoices including all);
                create table old.payments (like app.payments including all);
                drop table app.payments, app.invoices; {}; {ROW}",
                OTHERS.replace("{old}", "old")
            ),
            Self::Schema => format!(
                "begin; alter schema app rename to old; create schema app; {}; {ROW}",
                OTHERS.replace("{old}", "old")
            ),
        }
    }
}

pub(super) struct Scene {
    pub(super) shop: Shop,
    pub(super) attacker: String,
    pub(super) invoice: String,
}

pub(super) fn scene() -> Scene {
    let mut shop = Shop::open();
    shop.use_secret("stripe_webhook_secret", SECRET);
    let attacker = format!("schema_attacker_of_{}", shop.name());
    let owner = format!("innocent_of_{}", shop.name());
    shop.make_roles(&[&attacker, &owner]);
    shop.execute(
        &TABLES
            .replace("{attacker}", &attacker)
            .replace("{owner}", &owner)
            .replace("{database}", shop.name()),
    );
    // Who may read a table's definition may make another like it.
    shop.execute(&format!(
        "grant select on app.invoices, app.payments to {attacker}; grant truncate on witness to {attacker}"
    ));
    let paid = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    let invoice = shop.rows(&format!(
        "insert into app.invoices (invoice_number, customer, invoice_status, total_amount, balance_due, stripe_session_id)
        values ('INV-1', 'Ada', 'Sent', 125, 125, '{}') returning id::text",
        paid.session_id()
    ))[0]
    .get(0);
    Scene {
        shop,
        attacker,
        invoice,
    }
}

impl Scene {
    /// The call of the webhook that was lost.
    pub(super) fn webhook(&self) -> String {
        let mut events = self.shop.stripe.events().into_iter();
        let body = events
            .find(|event| event["type"] == "checkout.session.completed")
            .expect("a session was completed")
            .to_string();
        format!(
            "select invoice_sync.handle_webhook($body${body}$body$, '{}')",
            signature(SECRET, now(), &body)
        )
    }
}

/// Calls, swaps once Stripe is being waited for, and gives what became of the call.
fn call_and_swap(scene: &mut Scene, call: &str, swap: Swap) -> Result<(), SqlError> {
    let before = scene.shop.stripe.requests().len();
    scene.shop.stripe.set_latency(Duration::from_millis(1_500));
    let mut session = scene.shop.connect();
    let call = call.to_owned();
    let caller = std::thread::spawn(move || {
        session
            .batch_execute(&call)
            .map_err(|error| SqlError::from(&error))
    });
    let stripe = &scene.shop.stripe;
    wait_until("Stripe is asked", || stripe.requests().len() > before);
    let mut attacker = connect_as(scene.shop.name(), &scene.attacker);
    attacker
        .batch_execute(&format!("{}; commit", swap.statements()))
        .unwrap_or_else(|error| panic!("{swap:?}: {}", crate::harness::tell(&error)));
    scene.shop.stripe.set_latency(Duration::ZERO);
    caller.join().expect("the caller lives")
}

/// Nobody but the attacker ran their code, and nothing is in their tables.
pub(super) fn no_stranger_ran(scene: &mut Scene, place: &str) {
    let attacker = scene.attacker.clone();
    let strangers = scene.shop.texts(&format!(
        "select distinct name from witness where name <> '{attacker}'"
    ));
    assert!(strangers.is_empty(), "{place}: ran as {strangers:?}");
    assert_eq!(
        scene.shop.text("select is_called from strangers"),
        Some("false".into()),
        "{place}: ran as a stranger, and was rolled back"
    );
    assert_eq!(
        scene
            .shop
            .text("select count(*) from app.payments")
            .as_deref(),
        Some("0"),
        "{place}: nothing is written"
    );
}

#[test]
fn tables_swapped_while_stripe_is_waited_for_end_the_run() {
    for swap in [Swap::Tables, Swap::Schema] {
        for call in [
            "call invoice_sync.run_sweep()",
            "call invoice_sync.backfill(now() - interval '1 day')",
        ] {
            let mut scene = scene();
            let place = format!("{call}, {swap:?}");
            let error = call_and_swap(&mut scene, call, swap).expect_err(&place);
            assert_eq!(error.sqlstate, "55000", "{place}: {error:?}");
            assert!(
                error
                    .message
                    .starts_with("a table is not the one that was looked up: app."),
                "{place}: {error:?}"
            );
            no_stranger_ran(&mut scene, &place);
            assert_eq!(
                scene.shop.texts(LAST_RUN),
                [Some("failed with 55000".to_owned())],
                "{place}: it says at once how it ended"
            );
        }
    }
}

#[test]
fn a_schema_renamed_while_stripe_is_waited_for_ends_what_is_done_in_the_callers_transaction() {
    let mut scene = scene();
    let error = call_and_swap(&mut scene, "select invoice_sync.sweep()", Swap::Schema)
        .expect_err("the sweep ends");
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    no_stranger_ran(&mut scene, "sweep");

    let mut scene = self::scene();
    let sync = format!("select invoice_sync.sync_invoice('{}')", scene.invoice);
    let error = call_and_swap(&mut scene, &sync, Swap::Schema).expect_err("the button fails");
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    no_stranger_ran(&mut scene, "button");

    let mut scene = self::scene();
    let webhook = scene.webhook();
    call_and_swap(&mut scene, &webhook, Swap::Schema).expect("the event is stored");
    no_stranger_ran(&mut scene, "webhook");
    assert_eq!(
        scene
            .shop
            .text("select state from invoice_sync.event")
            .as_deref(),
        Some("pending"),
        "a sweep acts on it later"
    );
}

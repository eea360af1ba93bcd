//! The application's code that is called by reads (casts, domain checks, index functions, policies) runs as its owner
//! and leaves nothing behind.

use postgres::Client;
use stripe_double::Checkout;

use super::{lost, sent};
use crate::harness::{Shop, connect, tell};

const ONE_OWNER: [&str; 2] = ["owner of invoices", "owner of invoices"];
const TWO_OWNERS: [&str; 2] = ["owner of invoices", "owner of payments"];

/// Writes down as whom it runs, and puts a schema of its owner's first, for good.
const TRAP: &str = "
    create table witness (place text, name text, is_superuser boolean);
    grant insert, select on witness to public;
    create schema evil;
    grant all on schema evil, public to public;
    create function trap(what text) returns void language plpgsql as $$
    begin
        insert into public.witness
        select what, r.rolname, r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user;
        perform pg_catalog.set_config('search_path', 'evil, pg_catalog', false);
    end $$;
    create function evil.jsonb_array_elements_text(jsonb) returns setof text language plpgsql as $$
    begin
        perform public.trap('search path');
        return query select * from pg_catalog.jsonb_array_elements_text($1);
    end $$;
    create function evil.unnest(text[]) returns setof text language plpgsql as $$
    begin
        perform public.trap('search path');
        return query select * from pg_catalog.unnest($1);
    end $$;
    create function evil.set_config(text, text, boolean) returns text language plpgsql as $$
    begin
        perform public.trap('set_config');
        return $2;
    end $$;";

/// Types of the owner's, of which each conversion and check is a trap.
const TYPES: &str = "
    set role \"{owner}\";
    create type {table}_mood as enum ('fine');
    create function {table}_as_json(m {table}_mood) returns json language plpgsql as $$
    begin perform public.trap('{table} to json'); return '\"fine\"'; end $$;
    create cast ({table}_mood as json) with function {table}_as_json;
    create type {table}_word as enum ('Sent', 'Partial', 'Paid', 'Cancelled', 'Pending', 'Overdue', 'Refunded', 'Disputed');
    create function {table}_as_text(w {table}_word) returns text language plpgsql as $$
    begin perform public.trap('{table} to text'); return pg_catalog.format('%s', w); end $$;
    create cast ({table}_word as text) with function {table}_as_text as assignment;
    create function {table}_check(what text) returns boolean language plpgsql as $$
    begin perform public.trap('{table} ' || what); return true; end $$;
    create domain {table}_key as uuid check ({table}_check('key'));
    create domain {table}_stripe_id as text check ({table}_check('stripe id'));
    reset role;";

/// A function that PostgreSQL calls where it plans a statement on the table, and a
/// policy that would show no row.
const INDEX_AND_POLICY: &str = "
    set role \"{owner}\";
    create function {table}_folded(what text) returns text immutable language plpgsql as $$
    begin perform public.trap('{table} ' || what); return what; end $$;
    create index on {table} ({table}_folded('index'));
    create function {table}_policy() returns boolean language plpgsql as $$
    begin perform public.trap('{table} policy'); return false; end $$;
    create policy nothing on {table} using ({table}_policy());
    create function {table}_trigger() returns trigger language plpgsql as $$
    begin perform public.trap('{table} trigger'); return new; end $$;
    create trigger trap before insert or update on {table} for each row execute function {table}_trigger();
    alter table {table} enable row level security;
    alter table {table} force row level security;
    reset role;";

/// Default tables, and one that refers to the payments, full of traps.
fn shop_full_of_traps([of_invoices, of_payments]: [&str; 2]) -> Shop {
    let mut shop = Shop::open();
    shop.give_tables_to(of_invoices, of_payments);
    shop.make_roles(&["owner of receipts"]);
    shop.execute(TRAP);
    let of = |text: &str, table: &str, owner: &str| {
        text.replace("{table}", table).replace("{owner}", owner)
    };
    shop.execute(&of(TYPES, "invoices", of_invoices));
    shop.execute(&of(TYPES, "payments", of_payments));
    shop.execute(&of(TYPES, "receipts", "owner of receipts"));
    shop.execute(
        "alter table payments drop constraint payments_invoice_id_fkey;
        alter table invoices alter id type invoices_key, add mood invoices_mood default 'fine',
            alter stripe_session_id type invoices_stripe_id,
            alter stripe_payment_intent type invoices_stripe_id,
            alter invoice_status drop default,
            alter invoice_status type invoices_word using invoice_status::invoices_word;
        alter table payments alter id type payments_key, alter invoice_id type payments_key,
            add mood payments_mood default 'fine',
            alter stripe_session_id type payments_stripe_id,
            alter stripe_payment_intent type payments_stripe_id,
            alter payment_status drop default,
            alter payment_status type payments_word using payment_status::payments_word;
        create table receipts (payment receipts_key references payments on delete cascade);
        alter table receipts owner to \"owner of receipts\"",
    );
    shop.execute(&of(INDEX_AND_POLICY, "invoices", of_invoices));
    shop.execute(&of(INDEX_AND_POLICY, "payments", of_payments));
    shop.execute(&of(INDEX_AND_POLICY, "receipts", "owner of receipts"));
    shop
}

/// What the traps saw, each thing once.
fn witnesses(shop: &mut Shop) -> Vec<String> {
    shop.texts(
        "select distinct concat_ws(' ', place, 'as', name, case when is_superuser then '(a superuser)' end)
        from witness order by 1",
    )
    .into_iter()
    .flatten()
    .collect()
}

const USUAL_PATH: &str = "\"$user\", public";

fn search_path(session: &mut Client) -> String {
    session
        .query_one("select pg_catalog.current_setting('search_path')", &[])
        .expect("the session lives")
        .get(0)
}

/// Calls that read the tables, each in a session of its own, where nothing was planned.
const CALLS: [&str; 15] = [
    "select invoice_sync.sweep(dry_run => true)",
    "select invoice_sync.sweep()",
    "call invoice_sync.run_sweep()",
    "update invoice_sync.round set place = null, thorough_at = null",
    "call invoice_sync.run_sweep()",
    "call invoice_sync.backfill(now() - interval '1 day')",
    "select invoice_sync.sync_invoice(invoice_id) from invoice_sync.change limit 1",
    "select invoice_sync.resolve_issue(id, 'set_status', arguments => '{\"status\": \"Cancelled\"}')
    from invoice_sync.open_issues where kind = 'paid_without_payment'",
    "select * from invoice_sync.doctor()",
    "select * from invoice_sync.paid_without_payment",
    "select * from invoice_sync.stripe_without_payment",
    "select * from invoice_sync.status, invoice_sync.metrics",
    "select * from invoice_sync.propose_mapping()",
    "select invoice_sync.undo(min(run_id), dry_run => true) from invoice_sync.change",
    "select invoice_sync.undo(min(run_id)) from invoice_sync.change",
];

#[test]
fn code_that_runs_while_rows_are_read_has_the_rights_of_its_tables_owner_and_no_others() {
    for owners in [ONE_OWNER, TWO_OWNERS] {
        let mut shop = shop_full_of_traps(owners);
        // Whoever writes the rows by hand falls into the traps.
        let free = "reset search_path";
        for number in ["INV-1", "INV-2"] {
            lost(&mut shop, number);
            shop.execute(free);
        }
        let open = shop.stripe.checkout(Checkout::new(12_500, "usd"));
        sent(&mut shop, "INV-3", &open.session_id());
        shop.execute(free);
        shop.execute(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
            values ('INV-4', 'Ada', 'Paid', 125, 125, 0)",
        );
        shop.execute(free);
        shop.execute("truncate witness");

        for call in CALLS {
            let mut session = connect(shop.name());
            if let Err(error) = session.batch_execute(call) {
                panic!("{owners:?}: {call}: {}", tell(&error));
            }
            assert_eq!(search_path(&mut session), USUAL_PATH, "{owners:?}: {call}");
            let [of_invoices, of_payments] = owners;
            let seen = witnesses(&mut shop);
            let is_as_it_should = |line: &&String| {
                [
                    ("invoices ", of_invoices),
                    ("payments ", of_payments),
                    ("receipts ", "owner of receipts"),
                ]
                .iter()
                .any(|(table, owner)| {
                    line.starts_with(table) && line.ends_with(&format!(" as {owner}"))
                })
            };
            let strange: Vec<&String> = seen.iter().filter(|it| !is_as_it_should(it)).collect();
            assert!(strange.is_empty(), "{owners:?}: {call}: {strange:?}");
            if call.ends_with("sweep()") {
                // The traps work, whatever else is read.
                for wanted in [
                    "invoices to text ",
                    "invoices index ",
                    "payments to text ",
                    "payments index ",
                ] {
                    assert!(
                        seen.iter().any(|line| line.starts_with(wanted)),
                        "{owners:?}: {call}: {wanted}: {seen:?}"
                    );
                }
            }
        }
        let seen = witnesses(&mut shop);
        assert!(
            seen.contains(&"receipts index as owner of receipts".to_owned()),
            "{seen:?}"
        );
        assert_eq!(
            shop.text("select count(*) from public.payments").as_deref(),
            Some("0"),
            "all was undone"
        );
        assert_eq!(
            shop.text(
                "select invoice_status::text from public.invoices where invoice_number = 'INV-4'"
            )
            .as_deref(),
            Some("Cancelled"),
            "the issue was resolved"
        );
    }
}

#[test]
fn a_check_of_admins_leaves_nothing_behind() {
    let mut shop = Shop::open();
    shop.make_roles(&["owner of the check"]);
    shop.execute(TRAP);
    shop.execute(
        "set role \"owner of the check\";
        create function is_boss() returns boolean language plpgsql as $$
        begin perform public.trap('check'); return true; end $$;
        reset role;
        update invoice_sync.settings set rpc_admin_check = 'public.is_boss'",
    );
    lost(&mut shop, "INV-1");
    let mut session = shop.connect();

    session
        .batch_execute(
            "set request.jwt.claims = '{}';
            select invoice_sync.sweep()",
        )
        .expect("it is a boss");

    assert_eq!(witnesses(&mut shop), ["check as owner of the check"]);
    assert_eq!(search_path(&mut session), USUAL_PATH);
}

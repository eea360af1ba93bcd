//! The scan of all invoices, a range with each sweep, finds what no event or due check does.

use stripe_double::{Action, Checkout, Fault};

use super::run;
use crate::harness::{DEFAULT_TABLES, Shop, wait_until};

/// Two and a half ranges of a thousand.
const INVOICES: usize = 2_500;

/// Every hundredth was paid in cash, and its status does not say so.
const PAID_IN_CASH: &str = "
    insert into payments (invoice_id, payment_name, payment_status, total_amount)
    select id, 'Cash', 'Paid', 100 from invoices where invoice_number like '%00'";

/// Where sweeps look no further than they must.
fn large_shop() -> Shop {
    let mut shop = Shop::open();
    fill(&mut shop);
    shop
}

fn fill(shop: &mut Shop) {
    shop.execute(&format!(
        "update invoice_sync.settings set local_check_budget_ms = 0;
        insert into invoices (id, invoice_number, customer, invoice_status, total_amount)
        select ('7d8e6b50-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
               lpad(n::text, 4, '0'), 'Customer', 'Sent', 100
        from generate_series(0, {INVOICES} - 1) n"
    ));
    shop.execute("vacuum analyze invoices");
}

/// The same, where one role has both tables, and where two have one each.
fn large_shops() -> impl Iterator<Item = Shop> {
    [large_shop as fn() -> Shop, || {
        let mut shop = large_shop();
        shop.give_tables_to("owner of invoices", "owner of payments");
        shop
    }]
    .into_iter()
    .map(|open| open())
}

/// The numbers of those that are paid.
fn paid(shop: &mut Shop) -> String {
    shop.text("select count(*) from invoices where invoice_status = 'Paid'")
        .expect("a number")
}

/// Sweeps until a round has ended; how many it took.
fn go_round(shop: &mut Shop) -> usize {
    let ended = "select ended_at from invoice_sync.round";
    let before = shop.text(ended);
    let mut sweeps = 0;
    while shop.text(ended) == before {
        run(&mut shop.db);
        sweeps += 1;
        assert!(sweeps < 100, "it never ends");
    }
    sweeps
}

#[test]
fn sweep_after_sweep_goes_through_all_and_begins_anew() {
    for mut shop in large_shops() {
        shop.execute(PAID_IN_CASH);
        run(&mut shop.db);
        let first = paid(&mut shop);
        assert!(
            first != "0" && first != "25",
            "{first} with the first sweep"
        );
        go_round(&mut shop);
        assert_eq!(paid(&mut shop), "25");
        assert_eq!(
            shop.text(&format!(
                "select last_rows >= {INVOICES} from invoice_sync.round"
            )),
            Some("true".into()),
            "and what was repaired stands in another place, which is looked at as well"
        );

        shop.execute("update invoices set invoice_status = 'Sent'");
        assert!(go_round(&mut shop) > 1);
        assert_eq!(paid(&mut shop), "25", "in the second round");
    }
}

/// As if all had been looked at, and nothing found.
const SEEN: &str = "
    update invoice_sync.round set xid = pg_snapshot_xmax(pg_current_snapshot()), thorough_at = now()";

#[test]
fn what_nobody_has_written_since_is_passed_over_for_a_week() {
    for mut shop in large_shops() {
        go_round(&mut shop);
        shop.execute(PAID_IN_CASH);
        shop.execute(SEEN);
        go_round(&mut shop);
        assert_eq!(paid(&mut shop), "0");

        // Other databases' transactions may have held back what counts as seen.
        shop.execute(SEEN);
        shop.execute(
            "update invoices set customer = 'Another' where invoice_number in ('0100', '0101')",
        );
        go_round(&mut shop);
        assert_eq!(paid(&mut shop), "1", "an invoice was written");
        shop.execute(SEEN);
        shop.execute(
            "update payments set payment_name = 'Coins' where invoice_id =
                (select id from invoices where invoice_number = '2300')",
        );
        go_round(&mut shop);
        assert_eq!(paid(&mut shop), "2", "a payment was written");

        shop.execute("update invoice_sync.round set thorough_at = now() - interval '8 days'");
        go_round(&mut shop);
        assert_eq!(paid(&mut shop), "25", "once a week all are looked at");
    }
}

#[test]
fn other_settings_begin_a_round_that_passes_nothing_over() {
    let mut shop = large_shop();
    go_round(&mut shop);
    shop.execute(PAID_IN_CASH);
    shop.execute(SEEN);
    run(&mut shop.db);
    assert_eq!(paid(&mut shop), "0");
    shop.execute("update invoice_sync.settings set default_currency = 'eur'");
    shop.execute(
        "update invoice_sync.settings set default_currency = 'usd', event_retention = '91 days'",
    );
    go_round(&mut shop);
    assert_eq!(paid(&mut shop), "25");
}

#[test]
fn a_payment_that_was_deleted_is_missed_with_the_next_round() {
    for mut shop in large_shops() {
        shop.execute(
            "insert into payments (invoice_id, payment_name, payment_status, total_amount)
            select id, 'Half', 'Paid', 50 from invoices, generate_series(1, 2) where invoice_number = '1234';
            update invoices set invoice_status = 'Paid', amount_paid = 100, balance_due = 0 where invoice_number = '1234'",
        );
        go_round(&mut shop);
        go_round(&mut shop);
        assert_eq!(shop.open_issues(), Vec::<String>::new());

        shop.execute(
            "delete from payments where id = (select id from payments where payment_name = 'Half' limit 1);
            select pg_stat_force_next_flush()",
        );
        let deletions = "select pg_stat_get_tuples_deleted('payments'::regclass)";
        wait_until("it is counted", || shop.text(deletions) == Some("1".into()));
        go_round(&mut shop);
        assert_eq!(shop.open_issues(), ["amount_mismatch 1234"]);
    }
}

#[test]
fn payments_that_were_truncated_are_missed_with_the_next_round() {
    let mut shop = large_shop();
    shop.execute(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Half', 'Paid', 50 from invoices where invoice_number = '1234';
        update invoices set invoice_status = 'Partial', amount_paid = 50, balance_due = 50 where invoice_number = '1234'",
    );
    go_round(&mut shop);
    go_round(&mut shop);
    assert_eq!(shop.open_issues(), Vec::<String>::new());

    shop.execute("truncate payments");
    go_round(&mut shop);
    assert_eq!(shop.open_issues(), ["amount_mismatch 1234"]);
}

#[test]
fn rows_that_a_rewrite_puts_where_the_round_has_been_are_looked_at() {
    let mut shop = large_shop();
    shop.execute(PAID_IN_CASH);
    run(&mut shop.db);
    let first = paid(&mut shop);
    assert_ne!(first, "25", "there is a rest of the round");

    shop.execute(
        "delete from invoices where invoice_number < '1000' and invoice_number not like '%00'",
    );
    shop.execute("vacuum full invoices");

    go_round(&mut shop);
    go_round(&mut shop);
    assert_eq!(paid(&mut shop), "25");
}

#[test]
fn tables_of_another_kind_are_gone_through_by_key() {
    for of_payments in ["owner of invoices", "owner of payments"] {
        let mut shop = Shop::with_tables(&DEFAULT_TABLES.replacen(
            "create table payments",
            "alter table invoices rename to plain;
            create table invoices (like plain including defaults, primary key (id)) partition by hash (id);
            create table invoices_0 partition of invoices for values with (modulus 2, remainder 0);
            create table invoices_1 partition of invoices for values with (modulus 2, remainder 1);
            create table payments",
            1,
        ));
        fill(&mut shop);
        shop.execute(PAID_IN_CASH);
        shop.give_tables_to("owner of invoices", of_payments);
        for (wanted, place) in [
            ("10", Some("000000000999")),
            ("20", Some("000000001999")),
            ("25", None),
        ] {
            run(&mut shop.db);
            assert_eq!(paid(&mut shop), wanted);
            assert_eq!(
                shop.text("select right(place, 12) from invoice_sync.round")
                    .as_deref(),
                place
            );
        }
    }
}

#[test]
fn a_batch_that_is_full_goes_on_after_its_last_invoice() {
    for mut shop in large_shops() {
        // They lie in another order than their keys.
        shop.execute("update invoices set id = md5(id::text)::uuid");
        shop.execute("vacuum full analyze invoices");
        shop.execute("update invoice_sync.settings set local_check_budget_ms = 10000");
        shop.execute(PAID_IN_CASH);
        for wanted in ["7", "14", "21", "25"] {
            shop.json("invoice_sync.sweep(max_invoices => 7)");
            assert_eq!(paid(&mut shop), wanted);
        }
    }
}

#[test]
fn what_there_was_no_time_for_is_not_passed_by() {
    let mut shop = large_shop();
    shop.execute(
        "update invoice_sync.settings set local_check_budget_ms = 10000;
        insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'Cash', 'Paid', 100 from invoices;
        create function dawdle() returns trigger language plpgsql as $$
        begin perform pg_sleep(2); return null; end $$;
        create trigger dawdle after update on invoices execute function dawdle()",
    );
    shop.execute("call invoice_sync.run_sweep('1 second')");
    let first = paid(&mut shop);
    assert_ne!(first, INVOICES.to_string(), "it took too long for all");
    shop.execute("drop trigger dawdle on invoices; update invoice_sync.settings set local_check_budget_ms = 0");
    for _ in 0..3 {
        run(&mut shop.db);
    }
    assert_eq!(paid(&mut shop), INVOICES.to_string());
}

#[test]
fn a_sweep_that_comes_late_looks_through_its_share() {
    let mut shop = large_shop();
    go_round(&mut shop);
    shop.execute(
        "update invoice_sync.round set moved_at = now() - interval '12 hours', thorough_at = null",
    );
    run(&mut shop.db);
    assert_eq!(
        shop.text("select rows between 1250 and 1400 from invoice_sync.round"),
        Some("true".into()),
        "half of them after half of the time for all"
    );
}

#[test]
fn an_id_that_is_stored_by_hand_is_found_in_its_turn() {
    let mut shop = large_shop();
    let sold = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    run(&mut shop.db);
    assert_eq!(
        shop.text("select count(*) from invoice_sync.event where state = 'pending'"),
        Some("0".into()),
        "no event is left that would bring it up"
    );
    shop.execute(&format!(
        "update invoices set stripe_session_id = '{}' where invoice_number = '2400'",
        sold.session_id()
    ));
    run(&mut shop.db);
    assert_eq!(paid(&mut shop), "0", "not its turn yet");
    run(&mut shop.db);
    assert_eq!(paid(&mut shop), "1");
}

#[test]
fn a_sweep_that_is_ended_leaves_its_range_to_the_next() {
    let mut shop = large_shop();
    shop.execute(PAID_IN_CASH);
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    shop.execute(&format!(
        "update invoices set stripe_session_id = '{}' where invoice_number = '0500'",
        open.session_id()
    ));
    shop.execute("cluster invoices using invoices_pkey");
    let hang = Fault::new(Action::Hang).on_object(open.session_id());
    shop.stripe.fault(hang.always());
    let mut sweeping = shop.connect();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| sweeping.batch_execute("call invoice_sync.run_sweep()"));
        let stripe = &shop.stripe;
        wait_until("it asks about the one", || {
            stripe.count_of("/v1/checkout") > 0
        });
        shop.db
            .batch_execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()",
            )
            .expect("a superuser may");
        running.join().expect("no panic").expect_err("it is ended");
    });
    shop.stripe.clear_faults();
    assert_eq!(
        paid(&mut shop),
        "0",
        "it was ended before it wrote anything"
    );

    run(&mut shop.db);
    let repaired = paid(&mut shop);
    let count: u32 = repaired.parse().expect("a number");
    assert!(count >= 10, "{repaired} of its range");
}

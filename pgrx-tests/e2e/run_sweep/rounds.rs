//! The way through all invoices, a stretch with each sweep: what nothing else
//! brings up is found there.

use stripe_double::{Action, Checkout, Fault};

use super::run;
use crate::harness::{Shop, wait_until};

/// Two stretches of a thousand, and a half.
const INVOICES: usize = 2_500;

/// Every hundredth was paid in cash, and its status does not say so.
const PAID_IN_CASH: &str = "
    insert into payments (invoice_id, payment_name, payment_status, total_amount)
    select id, 'Cash', 'Paid', 100 from invoices where invoice_number like '%00'";

/// Where sweeps look no further than they must.
fn large_shop() -> Shop {
    let mut shop = Shop::open();
    shop.execute(&format!(
        "update invoice_sync.settings set local_check_budget_ms = 0;
        insert into invoices (id, invoice_number, customer, invoice_status, total_amount)
        select ('7d8e6b50-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
               lpad(n::text, 4, '0'), 'Customer', 'Sent', 100
        from generate_series(0, {INVOICES} - 1) n"
    ));
    shop
}

/// The numbers of those that are paid.
fn paid(shop: &mut Shop) -> String {
    shop.text("select count(*) from invoices where invoice_status = 'Paid'")
        .expect("a number")
}

#[test]
fn sweep_after_sweep_goes_through_all_and_begins_anew() {
    let mut shop = large_shop();
    shop.execute(PAID_IN_CASH);
    for (wanted, after) in [
        ("10", Some("000000000999")),
        ("20", Some("000000001999")),
        ("25", None),
    ] {
        run(&mut shop.db);
        assert_eq!(paid(&mut shop), wanted);
        assert_eq!(
            shop.text("select right(after_id, 12) from invoice_sync.round")
                .as_deref(),
            after
        );
    }
    assert_eq!(
        shop.text("select last_rows from invoice_sync.round where ended_at is not null"),
        Some(INVOICES.to_string())
    );

    shop.execute("update invoices set invoice_status = 'Sent'");
    for wanted in ["10", "20", "25"] {
        run(&mut shop.db);
        assert_eq!(paid(&mut shop), wanted, "in the second round");
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
    (0..3).for_each(|_| run(&mut shop.db));
    shop.execute(PAID_IN_CASH);
    shop.execute("update invoice_sync.round set moved_at = now() - interval '12 hours'");
    run(&mut shop.db);
    assert_eq!(
        shop.text("select rows between 1250 and 1260 from invoice_sync.round"),
        Some("true".into()),
        "half of them after half of the time for all"
    );
    assert_eq!(paid(&mut shop), "13");
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
fn a_sweep_that_is_ended_leaves_its_stretch_to_the_next() {
    let mut shop = large_shop();
    shop.execute(PAID_IN_CASH);
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    shop.execute(&format!(
        "update invoices set stripe_session_id = '{}' where invoice_number = '0999'",
        open.session_id()
    ));
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
    // It goes on where it finds something to ask about, so through the next one, too.
    assert_eq!(paid(&mut shop), "20");
}

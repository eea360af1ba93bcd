//! Which rows retention deletes, and which it keeps.

use crate::harness::Shop;
use crate::harness::sale::Sale;

/// As if all that the ledger knows had happened two years ago.
fn age(shop: &mut Shop) {
    shop.execute(
        "update invoice_sync.run set started_at = started_at - interval '2 years',
            finished_at = finished_at - interval '2 years';
        update invoice_sync.issue set first_seen = first_seen - interval '2 years',
            resolved_at = resolved_at - interval '2 years';
        update invoice_sync.alert set created_at = created_at - interval '2 years',
            sent_at = sent_at - interval '2 years';
        update invoice_sync.event set received_at = received_at - interval '2 years'",
    );
}

fn count(shop: &mut Shop, of: &str) -> String {
    let count = shop.text(&format!("select count(*) from invoice_sync.{of}"));
    count.expect("it is a number")
}

/// Numbers of the runs that are left.
fn runs(shop: &mut Shop) -> Vec<String> {
    let runs = shop.texts("select id from invoice_sync.run order by id");
    runs.into_iter().flatten().collect()
}

#[test]
fn old_runs_go_with_their_changes_and_counters_do_not_go_back() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    shop.sweep();
    assert_eq!(count(&mut shop, "full_change"), "6");
    age(&mut shop);
    shop.sweep();
    assert_eq!(runs(&mut shop), ["2"]);
    assert_eq!(count(&mut shop, "full_change"), "0");
    assert_eq!(
        shop.text(
            "select sum(value) from invoice_sync.metrics where name = 'invoice_sync_runs_total'"
        ),
        Some("2".into())
    );
    assert_eq!(
        shop.text("select value from invoice_sync.metrics where name = 'invoice_sync_booked_amount_minor_total'"),
        Some("30000".into())
    );
}

#[test]
fn runs_that_are_young_enough_or_under_way_stay() {
    let mut shop = Shop::open();
    shop.sweep();
    shop.execute("update invoice_sync.run set started_at = now() - interval '364 days'");
    shop.sweep();
    age(&mut shop);
    // Under way beside the sweep, as a button's is.
    shop.execute(
        "update invoice_sync.run set kind = 'sync_invoice', finished_at = null where id = 2",
    );
    shop.execute(
        "update invoice_sync.run set started_at = now() - interval '364 days' where id = 1",
    );
    shop.execute("select invoice_sync.count_runs()");
    shop.sweep();
    assert_eq!(runs(&mut shop)[..2], ["1", "2"]);
}

#[test]
fn what_an_open_issue_refers_to_stays_and_goes_when_it_is_resolved_and_old() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-2', 'Customer', 'Paid', 100, 100)",
    );
    shop.sweep();
    assert_eq!(shop.open_issues(), ["paid_without_payment INV-2"]);
    let opened = runs(&mut shop);
    shop.sync(&sale.invoice);
    age(&mut shop);
    shop.sweep();
    let left = runs(&mut shop);
    assert_eq!(left[0], opened[0], "the run that opened it: {left:?}");
    assert!(
        !left.contains(&"2".to_owned()),
        "the button's is gone: {left:?}"
    );
    assert_eq!(
        count(&mut shop, "full_change where run_id = 1"),
        "2",
        "with its changes"
    );
    assert_eq!(count(&mut shop, "issue"), "1");
    assert_eq!(
        count(&mut shop, "alert where run_id = 1"),
        "1",
        "which says that it was reported"
    );

    shop.execute("update invoices set invoice_status = 'Sent', amount_paid = 0 where invoice_number = 'INV-2'");
    shop.sweep();
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    assert_eq!(count(&mut shop, "issue"), "1", "resolved just now");
    age(&mut shop);
    shop.sweep();
    // An alert first, then what it reported: they may need a sweep each.
    assert_eq!(count(&mut shop, "alert"), "0");
    assert_eq!(count(&mut shop, "issue"), "0");
    assert!(!runs(&mut shop).contains(&opened[0]));
}

#[test]
fn an_alert_that_is_to_be_sent_stays_with_all_that_it_reports() {
    let mut shop = Shop::open();
    shop.execute(
        "update invoice_sync.settings set alert_sender = 'a@example.com', alert_recipients = '{b@example.com}';
        insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-2', 'Customer', 'Paid', 100, 100)",
    );
    shop.sweep();
    shop.execute("update invoices set invoice_status = 'Sent', amount_paid = 0");
    shop.sweep();
    age(&mut shop);
    shop.sweep();
    assert_eq!(
        count(&mut shop, "alert"),
        "1",
        "there is no key to send it with"
    );
    assert_eq!(count(&mut shop, "issue where state = 'resolved'"), "1");
    assert_eq!(runs(&mut shop)[0], "1");

    shop.execute(
        "update invoice_sync.alert set attempts = 1, sent_at = now() - interval '91 days'",
    );
    shop.sweep();
    assert_eq!(count(&mut shop, "alert"), "0");
}

#[test]
fn what_a_person_decided_for_good_is_kept() {
    let mut shop = Shop::open();
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-2', 'Customer', 'Paid', 100, 100)",
    );
    shop.sweep();
    shop.execute("select invoice_sync.resolve_issue(id, 'accept_paid_elsewhere') from invoice_sync.open_issues");
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    for _ in 0..2 {
        age(&mut shop);
        shop.sweep();
    }
    assert_eq!(
        shop.open_issues(),
        Vec::<String>::new(),
        "it is not reported again"
    );
    assert_eq!(count(&mut shop, "issue where settled is not null"), "1");
}

#[test]
fn the_run_that_put_a_kept_change_back_stays_with_it() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 1);
    shop.sweep();
    shop.execute("select invoice_sync.undo(1)");
    assert_eq!(runs(&mut shop), ["1", "2"]);
    // The older one is kept by an issue; the newer one, which nothing keeps but
    // that, must not go without it.
    shop.execute(
        "delete from invoice_sync.alert_issue; delete from invoice_sync.alert; delete from invoice_sync.issue;
        insert into invoice_sync.issue (kind, severity, summary, evidence, first_run, last_run)
        values ('disputed', 'warning', 'Test', '{}', 1, 1)",
    );
    age(&mut shop);
    shop.sweep();
    assert_eq!(runs(&mut shop)[..2], ["1", "2"]);
}

#[test]
fn pending_events_stay_and_a_sweep_forgets_so_many() {
    let mut shop = Shop::open();
    shop.execute(
        "insert into invoice_sync.event (
            id, type, created, livemode, snapshot, received_at, state, next_attempt_at, intent_id)
        select 'evt_' || n, 'x', now(), false, '{}', now() - interval '91 days',
               case n when 1 then 'pending' else 'ignored' end, 'infinity', 'pi_' || n
        from generate_series(1, 21501) n",
    );
    for left in ["1501", "1", "1"] {
        shop.sweep();
        assert_eq!(count(&mut shop, "event"), left);
    }
}

#[test]
fn less_than_what_stripe_keeps_is_refused() {
    let mut shop = Shop::open();
    for setting in ["event", "run", "issue", "alert"] {
        let error = shop.error(&format!(
            "update invoice_sync.settings set {setting}_retention = interval '30 days'"
        ));
        assert_eq!(error.sqlstate, "23514", "{setting}");
    }
}

//! The views `status` and `metrics`.

use crate::harness::Shop;
use crate::harness::sale::Sale;

/// Samples of that name, as `labels value`.
fn samples(shop: &mut Shop, name: &str) -> Vec<String> {
    let samples = shop.texts(&format!(
        "select format('%s %s', labels, value) from invoice_sync.metrics where name = 'invoice_sync_{name}' order by 1"
    ));
    samples.into_iter().flatten().collect()
}

fn count(shop: &mut Shop) {
    shop.execute("select invoice_sync.count_runs()");
}

#[test]
fn counters_say_the_same_before_and_after_they_are_kept() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    shop.sweep();
    let sale = Sale::unbooked(&mut shop, "INV-9");
    shop.sync(&sale.invoice);
    let of_kinds = [
        r#"{"kind": "sweep", "cause": "sql", "success": "true"} 1"#,
        r#"{"kind": "sync_invoice", "cause": "sql", "success": "true"} 1"#,
    ];
    let requests = shop
        .text("select sum(stripe_requests) from invoice_sync.run")
        .expect("there are some");
    // Not kept yet, kept, and kept without doing so twice.
    for _ in 0..3 {
        assert_eq!(samples(&mut shop, "runs_total"), of_kinds);
        assert_eq!(
            samples(&mut shop, "invoices_repaired_total"),
            [r#"{"kind": "sweep"} 3"#, r#"{"kind": "sync_invoice"} 1"#]
        );
        assert_eq!(
            samples(&mut shop, "stripe_requests_total"),
            [format!("{{}} {requests}")]
        );
        assert_eq!(
            samples(&mut shop, "booked_amount_minor_total"),
            [r#"{"currency": "usd"} 40000"#]
        );
        assert_eq!(
            samples(&mut shop, "booked_payments_total"),
            [r#"{"currency": "usd"} 4"#]
        );
        count(&mut shop);
    }
    assert_eq!(
        shop.text("select count(*) from invoice_sync.run_to_count"),
        Some("0".into())
    );
    assert_eq!(
        shop.text("select count(*) from (table invoice_sync.uncounted) u"),
        Some("0".into())
    );
}

#[test]
fn a_run_under_way_is_counted_when_it_is_done() {
    let mut shop = Shop::open();
    shop.sweep();
    shop.execute(
        "update invoice_sync.run set finished_at = null;
        delete from invoice_sync.run_to_count",
    );
    count(&mut shop);
    assert_eq!(samples(&mut shop, "runs_total"), Vec::<String>::new());
    assert_eq!(samples(&mut shop, "unfinished_runs"), ["{} 1"]);
    shop.execute(
        "update invoice_sync.run set finished_at = now();
        insert into invoice_sync.run_to_count select id from invoice_sync.run",
    );
    count(&mut shop);
    assert_eq!(samples(&mut shop, "runs_total").len(), 1);
}

#[test]
fn names_help_and_labels_keep_to_the_conventions() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 2);
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid)
        values ('INV-X', 'Customer', 'Paid', 100, 100)",
    );
    shop.sweep();
    let wrong = shop.texts(
        "select name from invoice_sync.metrics
        where name !~ '^invoice_sync_[a-z_]+$'
            or (type = 'counter') <> (name like '%\\_total')
            or type not in ('counter', 'gauge')
            or coalesce(help, '') = '' or value is null or value < 0
            or jsonb_typeof(labels) <> 'object'
            or exists (select from jsonb_each(labels) l where jsonb_typeof(l.value) <> 'string')
        union all
        select name from invoice_sync.metrics group by name having count(distinct (type, help)) > 1
        union all
        select name from invoice_sync.metrics group by name, labels having count(*) > 1",
    );
    assert_eq!(wrong, Vec::<Option<String>>::new());
    assert_eq!(
        samples(&mut shop, "open_issues"),
        [r#"{"kind": "paid_without_payment", "severity": "warning"} 1"#]
    );
}

#[test]
fn the_age_of_the_oldest_unreconciled_payment_is_a_metric() {
    let mut shop = Shop::open();
    let name = "oldest_unreconciled_payment_age_seconds";
    assert_eq!(samples(&mut shop, name), ["{} 0.000000"]);
    shop.execute(
        "insert into invoice_sync.event (id, type, created, livemode, snapshot, received_at, state)
        values ('evt_1', 'payment_intent.succeeded', now() - interval '1 hour', false, '{}', now(), 'pending')",
    );
    let age = samples(&mut shop, name);
    assert!(age[0].starts_with("{} 36"), "an hour: {age:?}");
    let waiting = shop.text(
        "select (oldest_event_at < now() - interval '1 hour')::text from invoice_sync.status",
    );
    assert!(waiting.is_some(), "{waiting:?}");
}

#[test]
fn the_status_is_one_row_from_the_first_day_on() {
    let mut shop = Shop::open();
    shop.not_at_rest("in the end, Stripe cannot be reached");
    let summary = |shop: &mut Shop| {
        let rows = shop.texts("select summary from invoice_sync.status");
        assert_eq!(rows.len(), 1);
        rows[0].clone().expect("it says something")
    };
    assert!(summary(&mut shop).starts_with("No sweep has run yet. 0 issues are open"));
    Sale::many(&mut shop, 2);
    shop.sweep();
    assert!(summary(&mut shop).contains("ago and repaired 2."));
    let facts = shop.json(
        "to_jsonb(s) - 'summary' from (
            select last_sweep_success, last_sweep_repaired, open_critical, alerts_failing, unfinished_runs,
                   feed_lag < interval '1 minute' as fresh, requests_this_month > 0 as asked,
                   next_sweep_at is null as unscheduled
            from invoice_sync.status) s",
    );
    assert_eq!(
        facts,
        serde_json::json!({
            "last_sweep_success": true, "last_sweep_repaired": 2, "open_critical": 0,
            "alerts_failing": 0, "unfinished_runs": 0, "fresh": true, "asked": true, "unscheduled": true
        })
    );
    shop.configure("stripe_api_base", "http://127.0.0.1:1");
    shop.sweep();
    let text = summary(&mut shop);
    assert!(text.contains("failed: Stripe cannot be reached."), "{text}");
    assert!(text.contains("1 issues are open"), "{text}");
}

const GUIDE: &str = include_str!("../../../docs/monitoring.md");

/// The queries of the exporters' configurations.
fn documented_queries() -> Vec<String> {
    let configurations = [
        GUIDE,
        include_str!("../../../examples/monitoring/queries.yaml"),
    ];
    let queries = configurations.map(|text| text.split("query: >\n").skip(1));
    let queries = queries.into_iter().flatten().map(|rest| {
        let lines = rest.lines().take_while(|line| line.starts_with("    "));
        lines.collect::<Vec<_>>().join("\n")
    });
    queries.collect()
}

#[test]
fn the_guides_queries_run_and_it_names_every_metric() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 1);
    shop.sweep();
    let queries = documented_queries();
    assert_eq!(queries.len(), 25, "{queries:#?}");
    for query in queries {
        shop.rows(&query);
    }
    let role = format!("{}_exporter", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}', 'read')"
    ));
    let names = shop
        .connect_as(&role)
        .query("select distinct name from invoice_sync.metrics", &[])
        .expect("a reader may");
    for row in &names {
        let name: String = row.get(0);
        let short = name.trim_start_matches("invoice_sync_last_sweep");
        assert!(GUIDE.contains(short), "{name}");
    }
    assert!(names.len() > 10);
    shop.execute(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn money_counts_as_booked_whichever_way_it_came_into_the_books() {
    let mut shop = Shop::open();
    // A row waited for it.
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        values ('{}', 'expected', 'Pending', 100, '{}')",
        sale.invoice, sale.session
    ));
    shop.sweep();
    assert_eq!(
        samples(&mut shop, "booked_payments_total"),
        [r#"{"currency": "usd"} 1"#]
    );
    assert_eq!(
        samples(&mut shop, "booked_amount_minor_total"),
        [r#"{"currency": "usd"} 10000"#]
    );
    // A person said that it is another one than what was entered by hand.
    let sale = Sale::unbooked(&mut shop, "INV-2");
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        values ('{}', 'by hand', 'Paid', 100)",
        sale.invoice
    ));
    shop.sweep();
    shop.execute(
        "select invoice_sync.resolve_issue(id, 'book_anyway') from invoice_sync.open_issues where kind = 'possible_duplicate'",
    );
    assert_eq!(
        samples(&mut shop, "booked_payments_total"),
        [r#"{"currency": "usd"} 2"#]
    );
}

#[test]
fn money_that_an_issue_keeps_from_the_books_is_not_reconciled() {
    let name = "oldest_unreconciled_payment_age_seconds";
    for prepared in [
        "update invoices set currency = 'eur'",
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'by hand', 'Paid', 100 from invoices",
        "create function meddle() returns trigger language plpgsql as $$ begin raise exception 'closed'; end $$;
        create trigger meddle before insert on payments for each row execute function meddle()",
    ] {
        let mut shop = Shop::open();
        let sale = Sale::unbooked(&mut shop, "INV-1");
        shop.execute(prepared);
        shop.sync(&sale.invoice);
        shop.execute("update invoice_sync.issue set first_seen = now() - interval '1 hour'");
        let age = samples(&mut shop, name);
        assert!(age[0].starts_with("{} 36"), "{prepared}: {age:?}");
    }
}

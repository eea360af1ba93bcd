//! `undo` and `undo_change` on the default tables.

use serde_json::{Value, json};
use stripe_double::{Action, Checkout, Fault};

use super::{all_are_due, last_run, undo_last};
use crate::harness::sale::Sale;
use crate::harness::server::attempt;
use crate::harness::{Shop, wait_until};

const TABLES: [&str; 2] = ["public.invoices", "public.payments"];

fn changes(shop: &mut Shop) -> i64 {
    shop.rows("select count(*) from invoice_sync.change")[0].get(0)
}

/// Columns of types that are easily bent, and a trigger that changes them all
/// when an invoice is paid, and only then.
pub(super) const DELICATE: &str = r#"
    alter table invoices add ratio float8, add tags text[], add extra jsonb, add precise numeric,
        add seen timestamptz, add span interval, add raw bytea, add small real, add grid int[][];
    create function bend() returns trigger language plpgsql as $$
    begin
        new.ratio := 1; new.tags := '{}'; new.extra := null; new.precise := 1;
        new.seen := now(); new.span := '0'; new.raw := ''; new.small := 0; new.grid := null;
        return new;
    end $$;
    create trigger bend before update on invoices for each row
        when (new.invoice_status = 'Paid' and old.invoice_status <> 'Paid') execute function bend();
"#;

pub(super) const DELICATE_VALUES: &str = r#"
    update invoices set ratio = 0.1::float8 + 0.2, tags = '{"a b",NULL,"\"x\"",""}',
        extra = '{"n": 1.50, "big": 12345678901234567890, "u": "\u00e9", "nested": [null, {"a": []}]}',
        precise = 1.2300, seen = '2024-02-29 23:59:59.123456+05:30', span = '1 year -2 mons 03:04:05.000006',
        raw = '\x00ff10', small = 'NaN', grid = '{{1,2},{3,4}}', amount_paid = 0.000, balance_due = null"#;

#[test]
fn a_hundred_repairs_are_undone_to_the_byte_and_not_made_again() {
    let mut shop = Shop::open();
    shop.execute(DELICATE);
    let sales = Sale::many(&mut shop, 100);
    shop.execute(DELICATE_VALUES);
    // Some payments were expected: their rows are changed, not inserted.
    shop.execute(
        "insert into payments (invoice_id, payment_name, total_amount, stripe_session_id)
        select id, 'expected', 99.990, stripe_session_id from invoices where invoice_number like 'INV-_'",
    );
    let before = shop.dump_of(&TABLES);
    let report = shop.sweep();
    assert_eq!(report["fixed"], json!(100), "{report}");
    let run = &report["runId"];

    let whole = shop.dump();
    let preview = shop.json(&format!("invoice_sync.undo({run}, dry_run => true)"));
    assert_eq!(shop.dump(), whole, "a dry run writes nothing");
    assert_eq!(
        (&preview["undone"], &preview["left"]),
        (&json!(100), &json!([]))
    );

    let report = shop.json(&format!("invoice_sync.undo({run})"));

    assert_eq!(report["undone"], json!(100), "{report}");
    assert_eq!(report["left"], json!([]));
    assert_eq!(report["differences"], json!([]));
    assert_eq!(preview["details"], report["details"], "the dry run said so");
    assert_eq!(shop.dump_of(&TABLES), before);

    // Nothing is repaired again, not even by the button, and people are preview once.
    for _ in 0..2 {
        all_are_due(&mut shop);
        assert_eq!(shop.sweep()["fixed"], json!(0));
        let pressed = shop.sync(&sales[7].invoice);
        assert_eq!(pressed["fixed"], json!(0));
        assert_eq!(
            pressed["details"]["issues"][0]["kind"],
            json!("repair_undone")
        );
        assert_eq!(shop.dump_of(&TABLES), before);
    }
    let preview = shop.rows(
        "select count(*), count(*) filter (where state = 'open'), min(times_seen), min(summary)
        from invoice_sync.issue where kind = 'repair_undone'",
    );
    let counts: (i64, i64) = (preview[0].get(0), preview[0].get(1));
    assert_eq!(counts, (100, 100), "one for each, and all are open");
    assert!(preview[0].get::<_, i32>(2) > 1, "refreshed");
    let summary: String = preview[0].get(3);
    assert!(
        summary.contains("was undone, and is not made again"),
        "{summary}"
    );
    assert!(
        summary.contains("100.00 USD"),
        "what would be written: {summary}"
    );
}

#[test]
fn what_somebody_changed_since_is_left_and_reported() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 100);
    let before = shop.dump_of(&TABLES);
    let report = shop.sweep();
    shop.execute(
        "update invoices set balance_due = 0.010 where invoice_number = 'INV-3';
        update payments p set payment_notes = 'checked' from invoices i
            where p.invoice_id = i.id and i.invoice_number = 'INV-4';
        delete from payments p using invoices i
            where p.invoice_id = i.id and i.invoice_number = 'INV-5'",
    );
    let kept = "select string_agg(t, e'\\n' order by t) from (
        select i::text from invoices i where invoice_number in ('INV-3', 'INV-4', 'INV-5')
        union all
        select p::text from payments p join invoices i on i.id = p.invoice_id
        where invoice_number in ('INV-3', 'INV-4', 'INV-5')) r (t)";
    let as_they_were = shop.text(kept);

    let report = shop.json(&format!("invoice_sync.undo({})", report["runId"]));

    assert_eq!(report["undone"], json!(97));
    let left = report["left"].as_array().expect("a list");
    let mut why: Vec<&str> = left
        .iter()
        .filter_map(|left| left["why"].as_str())
        .collect();
    why.sort_unstable();
    assert_eq!(why.len(), 3, "{left:?}");
    assert_eq!(why[0], "it no longer exists");
    assert_eq!(
        why[1],
        "it was changed since: balance_due is 0.010, and was 0.000"
    );
    assert_eq!(
        why[2],
        "it was changed since: payment_notes is \"checked\", and was \"Recorded by invoice_sync\""
    );
    assert_eq!(
        shop.text(kept),
        as_they_were,
        "these are left as they are, payment and invoice"
    );
    let rows: i64 = shop.rows("select count(*) from payments")[0].get(0);
    assert_eq!(rows, 2, "INV-3's and INV-4's");
    let now = shop.dump_of(&TABLES);
    let others = now
        .lines()
        .filter(|line| before.lines().any(|was| was == *line));
    assert!(others.count() >= 97);
}

#[test]
fn undoing_twice_does_nothing_more_and_an_undo_can_be_undone() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    let unpaid = shop.dump_of(&TABLES);
    let sweep = shop.sweep()["runId"].clone();
    let paid = shop.dump_of(&TABLES);

    shop.json(&format!("invoice_sync.undo({sweep})"));
    let first_undo = last_run(&mut shop, "undo");
    let recorded = changes(&mut shop);
    let again = shop.json(&format!("invoice_sync.undo({sweep})"));

    assert_eq!((&again["undone"], &again["left"]), (&json!(0), &json!([])));
    let message = format!("Run {first_undo} has already undone run {sweep}. Nothing was changed.");
    assert_eq!(again["message"], json!(message));
    assert_eq!(changes(&mut shop), recorded);

    // The undo is a run like others, and its changes are on record.
    let rows = shop.texts(&format!(
        "select distinct concat_ws(' ', table_name, action, undone_by) from invoice_sync.changes
        where run_id in ({sweep}, {first_undo}) order by 1"
    ));
    let wanted = [
        format!("public.invoices update {first_undo}"),
        "public.invoices update".to_owned(),
        "public.payments delete".to_owned(),
        format!("public.payments insert {first_undo}"),
    ];
    let mut rows: Vec<String> = rows.into_iter().flatten().collect();
    rows.sort();
    let mut wanted = wanted.to_vec();
    wanted.sort();
    assert_eq!(rows, wanted);

    let undone = shop.json(&format!("invoice_sync.undo({first_undo})"));
    assert_eq!(undone["undone"], json!(3), "{undone}");
    assert_eq!(
        shop.dump_of(&TABLES),
        paid,
        "the repairs are there again, ids and all"
    );
    assert_eq!(
        shop.open_issues(),
        [""; 0],
        "and nothing is held back any more"
    );

    // And they can be undone once more.
    shop.json(&format!("invoice_sync.undo({sweep})"));
    assert_eq!(shop.dump_of(&TABLES), unpaid);
}

#[test]
fn a_single_change_is_undone_alone() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    let of_table = |shop: &mut Shop, table: &str| -> i64 {
        shop.rows(&format!(
            "select id from invoice_sync.changes where table_name = 'public.{table}' and undone_by is null"
        ))[0]
            .get(0)
    };
    let change = of_table(&mut shop, "invoices");

    let report = shop.json(&format!("invoice_sync.undo_change({change})"));

    assert_eq!(report["undone"], json!(1), "{report}");
    let state = "select concat_ws(' ', invoice_status, amount_paid, balance_due, paid_date,
        (select count(*) from payments)) from invoices";
    assert_eq!(shop.text(state), Some("Sent 0.000 1".to_owned()));
    // The row still covers the invoice, but nobody said that it is to be repaired.
    for _ in 0..2 {
        all_are_due(&mut shop);
        assert_eq!(shop.sweep()["fixed"], json!(0));
    }
    assert_eq!(shop.sync(&sale.invoice)["fixed"], json!(0));
    assert_eq!(shop.open_issues(), ["repair_undone INV-1"]);
    assert_eq!(shop.text(state), Some("Sent 0.000 1".to_owned()));

    let payment = of_table(&mut shop, "payments");
    shop.json(&format!("invoice_sync.undo_change({payment})"));
    assert_eq!(shop.text(state), Some("Sent 0.000 0".to_owned()));
}

#[test]
fn the_button_and_a_later_payment_do_not_bring_an_undone_one_back() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sync(&sale.invoice);
    undo_last(&mut shop, "sync_invoice");
    let other = shop
        .stripe
        .checkout(Checkout::new(2_500, "usd"))
        .pay()
        .intent_id();
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{other}'"
    ));

    for _ in 0..2 {
        assert_eq!(shop.sweep()["fixed"], json!(0));
        assert_eq!(shop.sync(&sale.invoice)["fixed"], json!(0));
        all_are_due(&mut shop);
    }

    assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    let issues = shop.rows("select kind, summary from invoice_sync.open_issues");
    assert_eq!(issues.len(), 1);
    let (kind, summary): (String, String) = (issues[0].get(0), issues[0].get(1));
    assert_eq!(kind, "repair_undone");
    assert!(
        summary.contains(&sale.intent) && summary.contains(&other),
        "{summary}"
    );
}

#[test]
fn the_issue_goes_by_itself_when_somebody_enters_the_payment() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    undo_last(&mut shop, "sweep");
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
        values ('{}', 'by hand', 'Paid', 100, '{}');
        update invoices set invoice_status = 'Paid', amount_paid = 100, balance_due = 0, paid_date = now()",
        sale.invoice, sale.intent
    ));
    // Without asking Stripe nothing is concluded about its payments.
    shop.sync(&sale.invoice);
    assert_eq!(shop.open_issues(), [""; 0]);
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
}

#[test]
fn the_issue_goes_by_itself_when_all_payments_of_the_repair_are_entered() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    undo_last(&mut shop, "sweep");
    // It names its invoice, which does not store its id.
    let named = Checkout::new(2_500, "usd").metadata("invoice_id", sale.invoice.as_str());
    let later = shop.stripe.checkout(named).pay().intent_id();
    shop.sweep();
    assert_eq!(shop.open_issues(), ["repair_undone INV-1"]);
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
        values ('{invoice}', 'by hand', 'Paid', 100, '{}'), ('{invoice}', 'by hand', 'Paid', 25, '{later}');
        update invoices set invoice_status = 'Paid', total_amount = 125, amount_paid = 125, balance_due = 0, paid_date = now()",
        sale.intent,
        invoice = sale.invoice,
    ));
    all_are_due(&mut shop);
    shop.sweep();
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn what_would_change_a_third_table_is_left() {
    for (receipts, columns) in [
        (
            "create table receipts (payment uuid references payments on delete cascade)",
            "id",
        ),
        (
            "alter table payments add unique (id, total_amount);
            create table receipts (
                amount numeric, payment uuid,
                foreign key (payment, amount) references payments (id, total_amount) on delete set null)",
            "total_amount, id",
        ),
        (
            "create type \"A Kind\" as enum ('good', 'bad');
            alter table payments add \"The Kind\" \"A Kind\" not null default 'good', add unique (\"The Kind\", id);
            create table receipts (
                \"A Kind\" \"A Kind\", payment uuid,
                foreign key (\"A Kind\", payment) references payments (\"The Kind\", id) on delete cascade)",
            "\"The Kind\", id",
        ),
    ] {
        let mut shop = Shop::open();
        shop.execute(receipts);
        Sale::many(&mut shop, 2);
        shop.sweep();
        shop.execute(&format!(
            "insert into receipts select {columns} from payments limit 1"
        ));

        let report = undo_last(&mut shop, "sweep");

        assert_eq!(report["undone"], json!(1), "{report}");
        assert_eq!(
            report["left"][0]["why"],
            json!("rows of public.receipts refer to it and would be changed as well")
        );
        let receipts = shop.text("select count(*) from receipts where payment is not null");
        assert_eq!(receipts, Some("1".into()));
    }
}

#[test]
fn what_the_database_refuses_is_left_alone() {
    let mut shop = Shop::open();
    shop.execute("create table receipts (payment uuid references payments)");
    Sale::many(&mut shop, 2);
    shop.sweep();
    shop.execute("insert into receipts select id from payments limit 1");

    let report = undo_last(&mut shop, "sweep");

    assert_eq!(report["undone"], json!(1));
    let why = report["left"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("23503") && why.contains("receipts"), "{why}");
}

#[test]
fn a_run_in_progress_is_undone_only_after_it_has_ended() {
    let one_by_one = "data.payment_intent.latest_charge.balance_transaction";
    for kind in ["sweep", "backfill"] {
        let mut shop = Shop::open();
        let sales = Sale::many(&mut shop, 230);
        let hangs = Fault::new(Action::Hang);
        let call = if kind == "sweep" {
            let useless_lists = Fault::new(Action::InvalidJson).always();
            shop.stripe.fault(useless_lists.on_object(one_by_one));
            shop.stripe
                .fault(hangs.always().on_object(&sales[0].session));
            "call invoice_sync.run_sweep()"
        } else {
            shop.stripe
                .fault(hangs.on_path("/v1/checkout/sessions").nth(2));
            "call invoice_sync.backfill(now() - interval '1 day')"
        };
        let mut running = shop.connect();
        let process: i32 = running
            .query_one("select pg_backend_pid()", &[])
            .expect("a session has a process")
            .get(0);
        std::thread::scope(|scope| {
            let ran = scope.spawn(|| attempt(&mut running, call));
            wait_until("a portion is written", || {
                shop.text("select count(*) >= 100 from payments") == Some("true".into())
            });
            let run = last_run(&mut shop, kind);
            for dry_run in [true, false] {
                let error = shop.error(&format!(
                    "select invoice_sync.undo({run}, dry_run => {dry_run})"
                ));
                assert_eq!(error.sqlstate, "55000", "{error:?}");
                assert_eq!(error.message, format!("run {run} is in progress"));
                assert!(error.hint.contains("cancel"), "{error:?}");
            }
            shop.execute(&format!("select pg_cancel_backend({process})"));
            ran.join().expect("no panic").expect_err("it is ended");
        });
        let report = undo_last(&mut shop, kind);
        let undone = report["undone"].as_i64().unwrap_or_default();
        assert!(undone >= 100, "{report}");
        assert_eq!(shop.text("select count(*) from payments"), Some("0".into()));
    }
}

#[test]
fn unknown_numbers_and_snapshots_are_refused() {
    let mut shop = Shop::open();
    for call in ["undo(77)", "undo_change(77)"] {
        let error = shop.error(&format!("select invoice_sync.{call}"));
        assert_eq!(error.sqlstate, "P0002", "{error:?}");
    }
    for call in ["undo(null)", "undo_change(null)"] {
        assert_eq!(
            shop.error(&format!("select invoice_sync.{call}")).sqlstate,
            "22004"
        );
    }
    let run = shop.sweep()["runId"].clone();
    let error = shop.error(&format!(
        "begin isolation level repeatable read; select invoice_sync.undo({run})"
    ));
    assert_eq!(error.sqlstate, "0A000");
    shop.execute("rollback");
    let nothing = shop.json(&format!("invoice_sync.undo({run})"));
    assert_eq!(
        nothing["message"],
        json!(format!("Run {run} made no changes. Nothing was changed."))
    );
    let _: Value = nothing;
}

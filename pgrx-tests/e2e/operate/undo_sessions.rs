//! Undoing in another session than the run's, which writes the same values otherwise, and after columns came or went.

use serde_json::{Value, json};

use super::undo::{DELICATE, DELICATE_VALUES};
use super::{last_run, undo_last};
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// The rows of both tables, whatever the session is.
fn rows(shop: &Shop) -> Vec<String> {
    let dump = shop.dump_of(&["public.invoices", "public.payments"]);
    let rows = dump.lines().filter(|line| line.starts_with("INSERT"));
    rows.map(str::to_owned).collect()
}

#[test]
fn a_session_that_writes_values_otherwise_undoes_all_the_same() {
    let mut shop = Shop::open();
    shop.execute(DELICATE);
    shop.execute(
        r"alter table payments add noted_at timestamptz not null default '2026-03-29 01:30:00+00',
            add span interval default '-1 day -2 hours', add raw bytea default '\x00ff41', add small float8 default 1e-7",
    );
    Sale::many(&mut shop, 3);
    shop.execute(DELICATE_VALUES);
    shop.execute("update invoices set ratio = 1e-7, span = '-1 year -2 mons -3 days -04:05:06'");
    let before = rows(&shop);
    shop.execute("set timezone = 'UTC'");
    let report = shop.sweep();
    assert_eq!(report["fixed"], json!(3), "{report}");
    let paid = rows(&shop);

    shop.execute(
        "set timezone = 'Pacific/Auckland'; set intervalstyle = 'sql_standard'; set bytea_output = 'escape';
        set quote_all_identifiers = on",
    );
    let undone = shop.json(&format!("invoice_sync.undo({})", report["runId"]));
    assert_eq!(undone["left"], json!([]), "{undone}");
    assert_eq!(undone["differences"], json!([]), "{undone}");
    assert_eq!(rows(&shop), before);

    // The trigger would write another time with the payment that comes back.
    shop.execute("drop trigger bend on invoices");
    shop.execute("set timezone = 'America/St_Johns'; set intervalstyle = 'iso_8601'; set bytea_output = 'hex'");
    let run = last_run(&mut shop, "undo");
    let preview = shop.json(&format!("invoice_sync.undo({run}, dry_run => true)"));
    let again = undo_last(&mut shop, "undo");
    assert_eq!(
        (&again["undone"], &again["left"]),
        (&json!(3), &json!([])),
        "{again}"
    );
    assert_eq!(preview["undone"], again["undone"]);
    assert_eq!(rows(&shop), paid);

    shop.execute("reset timezone; reset intervalstyle; reset quote_all_identifiers");
    let once_more = shop.json(&format!("invoice_sync.undo({})", report["runId"]));
    assert_eq!(once_more["left"], json!([]), "{once_more}");
    assert_eq!(rows(&shop), before);
}

#[test]
fn what_a_session_with_formats_of_its_own_writes_down_is_what_others_do() {
    for call in [
        "select invoice_sync.sweep()",
        "call invoice_sync.run_sweep()",
    ] {
        let mut shop = Shop::open();
        shop.execute("alter table invoices alter amount_paid type float8");
        Sale::unbooked(&mut shop, "INV-1");
        shop.execute("update invoices set amount_paid = 1e-9::float8 / 3");
        let before = rows(&shop);
        let missing = "select table_name || column_name from invoice_sync.missing_indexes()";
        let indexes = shop.texts(missing);

        shop.execute("set quote_all_identifiers = on; set extra_float_digits = 0");
        shop.execute(call);

        assert_eq!(
            shop.texts("select distinct table_name from invoice_sync.changes order by 1"),
            ["public.invoices", "public.payments"].map(|name| Some(name.to_owned())),
            "{call}"
        );
        assert_eq!(shop.texts(missing), indexes, "{call}");
        shop.execute("reset quote_all_identifiers; reset extra_float_digits");
        let undone = shop.json("invoice_sync.undo((select max(run_id) from invoice_sync.change))");
        assert_eq!(undone["undone"], json!(1), "{call}: {undone}");
        assert_eq!(rows(&shop), before, "{call}");
    }
}

/// A trigger that also writes a column of its own when an invoice is paid.
const LEGACY: &str = "
    alter table invoices add legacy_state text;
    create function legacy() returns trigger language plpgsql as
        $$ begin new.legacy_state := new.invoice_status; return new; end $$;
    create trigger legacy before update on invoices for each row execute function legacy();";

fn why(report: &Value) -> Vec<&str> {
    let left = report["left"].as_array().expect("a list");
    left.iter()
        .filter_map(|left| left["why"].as_str())
        .collect()
}

#[test]
fn columns_that_came_since_are_no_change_of_a_row_unless_somebody_filled_them() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 4);
    let report = shop.sweep();
    shop.execute(
        "alter table payments add number bigint generated always as identity,
            add doubled numeric generated always as (total_amount * 2) stored",
    );
    shop.execute(
        "alter table payments add note2 text, add priority numeric(6, 2) not null default 1,
            add labels text[] default '{}', add seen timestamptz default now(), add extra jsonb default '{\"a\": 1}'",
    );
    let filled = |set: &str, number: &str| {
        format!(
            "update payments p set {set} from invoices i
            where p.invoice_id = i.id and i.invoice_number = '{number}'"
        )
    };
    shop.execute(&filled("note2 = 'checked'", "INV-1"));
    shop.execute(&filled("priority = 2", "INV-2"));

    let undone = shop.json(&format!("invoice_sync.undo({})", report["runId"]));

    assert_eq!(undone["undone"], json!(2), "{undone}");
    let mut left = why(&undone);
    left.sort_unstable();
    assert_eq!(
        left,
        [
            "it was changed since: note2 is \"checked\", and was missing",
            "it was changed since: priority is 2.00, and was missing"
        ]
    );
    // A table that was rewritten since does not have the values of the time; those of defaults are known.
    shop.execute(&filled("note2 = null, priority = default", "INV-1"));
    shop.execute("alter table payments drop seen");
    shop.execute("vacuum full payments");
    let undone = shop.json(&format!("invoice_sync.undo({})", report["runId"]));
    assert_eq!(undone["undone"], json!(1), "{undone}");
    assert_eq!(shop.text("select count(*) from payments"), Some("1".into()));
}

#[test]
fn columns_that_went_since_are_not_missed_unless_they_may_have_another_name_now() {
    let mut shop = Shop::open();
    shop.execute(LEGACY);
    Sale::many(&mut shop, 2);
    let report = shop.sweep();
    shop.execute(
        "drop trigger legacy on invoices; alter table invoices rename balance_due to rest",
    );
    shop.execute("update invoice_sync.settings set invoice_balance_column = 'rest'");
    let undone = shop.json(&format!("invoice_sync.undo({})", report["runId"]));
    assert_eq!(
        why(&undone),
        ["the column balance_due, which was changed, does not exist any more"; 2]
    );

    shop.execute("alter table invoices rename rest to balance_due");
    shop.execute("update invoice_sync.settings set invoice_balance_column = 'balance_due'");
    shop.execute("alter table invoices drop legacy_state; alter table payments drop payment_notes");
    shop.execute(
        "update invoice_sync.settings set payment_values = payment_values - 'payment_notes'",
    );
    let undone = shop.json(&format!("invoice_sync.undo({})", report["runId"]));
    assert_eq!(
        (&undone["undone"], &undone["left"]),
        (&json!(2), &json!([]))
    );
    let open = "select count(*) from invoices where invoice_status = 'Sent' and amount_paid = 0 and paid_date is null";
    assert_eq!(shop.text(open), Some("2".into()));

    let again = undo_last(&mut shop, "undo");
    assert_eq!((&again["undone"], &again["left"]), (&json!(2), &json!([])));
    assert_eq!(shop.text("select count(*) from payments"), Some("2".into()));
}

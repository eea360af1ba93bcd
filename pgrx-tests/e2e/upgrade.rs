//! Upgrading from 0.1.0: the objects equal those of a fresh installation, and the data is kept.

mod adopted;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Once;

use sha2::{Digest, Sha256};
use stripe_double::Checkout;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::server::Server;

/// The install script of 0.1.0 as pgrx made it: the database that users have.
const INSTALL: &str = include_str!("upgrade/invoice_sync--0.1.0.sql");

/// A shop's books and the ledger under 0.1.0, as `pg_dump --data-only` wrote them: a payment booked by
/// webhook, others by sweep and backfill, a partial refund, an undone repair, an alert that was sent.
const BOOKS: &str = include_str!("upgrade/books-0.1.0.sql");

/// Every table of 0.1.0.
const TABLES: [&str; 15] = [
    "settings",
    "run",
    "change",
    "issue",
    "invoice_check",
    "stripe_payment",
    "event",
    "feed",
    "round",
    "stripe_month",
    "backfill",
    "alert",
    "alert_issue",
    "tally",
    "tally_booked",
];

/// What the extension consists of, one line for each object and property. Columns are compared by name:
/// a column that an update adds is the table's last one. No list of privileges means the default ones.
const OBJECTS: &str = r#"
with member as (
    select classid, objid from pg_depend
    where refclassid = 'pg_extension'::regclass and deptype = 'e'
      and refobjid = (select oid from pg_extension where extname = 'invoice_sync')
), relation as (
    select c.* from pg_class c join member m on m.classid = 'pg_class'::regclass and m.objid = c.oid
)
select format('function %s %s %s %s', p.oid::regprocedure, p.proowner::regrole, obj_description(p.oid, 'pg_proc'),
              (select array_agg(a::text order by a::text) from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a))
from pg_proc p join member m on m.classid = 'pg_proc'::regclass and m.objid = p.oid
union all
select format('definition %s %s', p.oid::regprocedure, pg_get_functiondef(p.oid))
from pg_proc p join member m on m.classid = 'pg_proc'::regclass and m.objid = p.oid
union all
select format('relation %s %s %s %s %s %s %s', c.relkind, c.relname, c.relrowsecurity, c.reloptions,
              obj_description(c.oid, 'pg_class'), c.relowner::regrole,
              (select array_agg(a::text order by a::text) from unnest(coalesce(
                   c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) a))
from relation c
union all
select format('view %s %s', c.relname, pg_get_viewdef(c.oid)) from relation c where c.relkind = 'v'
union all
select format('column %s.%s %s %s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum),
              a.attacl)
from relation c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relkind <> 'i'
union all
select format('constraint %s %s %s %s', c.relname, x.conname, pg_get_constraintdef(x.oid),
              obj_description(x.oid, 'pg_constraint'))
from relation c join pg_constraint x on x.conrelid = c.oid
union all
select format('index %s %s', pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class')) from relation c join pg_index i on i.indrelid = c.oid
union all
select format('trigger %s %s %s', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
from relation c join pg_trigger t on t.tgrelid = c.oid where not t.tgisinternal
union all
select format('policy %s %s %s %s %s %s %s', c.relname, p.polname, p.polcmd, p.polpermissive, p.polroles,
              pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
from relation c join pg_policy p on p.polrelid = c.oid
union all
select format('sequence %s %s', c.relname, to_jsonb(s) - 'seqrelid')
from relation c join pg_sequence s on s.seqrelid = c.oid
union all
select format('type %s %s %s %s', t.typname, obj_description(t.oid, 'pg_type'), coalesce(t.typacl, acldefault('T', t.typowner)),
              (select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid))
from pg_type t join member m on m.classid = 'pg_type'::regclass and m.objid = t.oid
union all
select format('member %s', pg_describe_object(m.classid, m.objid, 0)) from member m
union all
select format('dumped %s %s', unnest(extconfig)::regclass, unnest(extcondition))
from pg_extension where extname = 'invoice_sync'
union all
select format('schema %s %s %s', n.nspname, obj_description(n.oid, 'pg_namespace'),
              coalesce(n.nspacl, acldefault('n', n.nspowner)))
from pg_namespace n join member m on m.classid = 'pg_namespace'::regclass and m.objid = n.oid
union all
select format('extension %s %s', extversion, obj_description(oid, 'pg_extension'))
from pg_extension where extname = 'invoice_sync'"#;

/// Makes `create extension … version '0.1.0'` possible on this server.
fn offer_the_released_version() {
    // Other tests wait for it, and find it whole.
    static OFFERED: Once = Once::new();
    OFFERED.call_once(|| {
        let place = Server::main().extensions().join("invoice_sync--0.1.0.sql");
        fs::write(place, INSTALL).expect("the cluster's own tree is writable");
    });
}

/// A shop that has 0.1.0, and nothing in its tables yet.
fn with_the_released_version() -> Shop {
    let mut shop = Shop::open();
    offer_the_released_version();
    shop.execute(
        "drop extension invoice_sync;
        create extension invoice_sync version '0.1.0'",
    );
    shop
}

/// As [`with_the_released_version`], with books of a shop that used it.
fn with_books() -> Shop {
    let mut shop = with_the_released_version();
    // As pg_restore would: no trigger of 0.1.0 judges what was judged long ago.
    let empty: String = TABLES
        .map(|table| format!("delete from invoice_sync.{table};"))
        .concat();
    shop.execute(&format!(
        "set session_replication_role = replica; {empty} {BOOKS} reset session_replication_role"
    ));
    shop
}

/// The rows of a table as JSON.
fn rows(shop: &mut Shop, table: &str) -> Vec<serde_json::Value> {
    shop.rows(&format!(
        "select to_jsonb(t) from invoice_sync.{table} t order by to_jsonb(t)"
    ))
    .iter()
    .map(|row| row.get(0))
    .collect()
}

/// What shows all that the rows of a table of 0.1.0 said.
fn in_full(table: &str) -> &str {
    match table {
        "change" => "full_change",
        table => table,
    }
}

/// The row of an event without what an update drops: of a done one, all that it was about.
fn without_what_is_done(table: &str, row: &serde_json::Value) -> serde_json::Value {
    let mut row = row.clone();
    let columns = row.as_object_mut().expect("a row is an object");
    if table == "event" {
        columns.remove("feed_at");
        if columns["state"] == "done" {
            columns["next_attempt_at"] = serde_json::Value::Null;
        }
        let about = ["session_id", "intent_id", "charge_id", "result"];
        for column in about {
            if columns["state"] == "done" && columns["result"] != "names no invoice" {
                columns.insert(column.to_owned(), serde_json::Value::Null);
            }
        }
        columns.remove("snapshot");
    }
    if table == "stripe_payment" {
        // It is the id.
        columns.remove("intent_id");
        columns.remove("request_id");
    }
    if table == "run" {
        // Those that were not counted are in run_to_count.
        columns.remove("counted");
    }
    row
}

/// Whether every column of `before` has the same value in `after`.
fn keeps(before: &serde_json::Value, after: &serde_json::Value) -> bool {
    let columns = before.as_object().expect("a row is an object");
    columns
        .iter()
        .all(|(column, value)| after.get(column) == Some(value))
}

#[test]
fn an_updated_database_has_the_objects_of_a_fresh_install() {
    let objects = |shop: &mut Shop| -> BTreeSet<String> {
        shop.texts(OBJECTS).into_iter().flatten().collect()
    };
    let mut fresh = Shop::open();
    let mut updated = with_the_released_version();
    updated.execute("alter extension invoice_sync update");
    let (fresh, updated) = (objects(&mut fresh), objects(&mut updated));
    let missing: Vec<_> = fresh.difference(&updated).collect();
    let left_over: Vec<_> = updated.difference(&fresh).collect();
    assert!(
        missing.is_empty() && left_over.is_empty(),
        "only in a fresh install: {missing:#?}\nonly in an updated one: {left_over:#?}"
    );
    assert!(
        fresh.len() > 300,
        "only {} objects were compared",
        fresh.len()
    );
}

#[test]
fn an_update_keeps_every_row_and_setting() {
    let mut shop = with_books();
    let before = TABLES.map(|table| (table, rows(&mut shop, table)));
    shop.execute("alter extension invoice_sync update");
    for (table, before) in before {
        assert!(!before.is_empty(), "the books have a row in {table}");
        let after = rows(&mut shop, in_full(table));
        assert_eq!(after.len(), before.len(), "{table}");
        for row in before.iter().map(|row| without_what_is_done(table, row)) {
            assert!(
                after.iter().any(|candidate| keeps(&row, candidate)),
                "{table} had {row}, and has {after:#?}"
            );
        }
    }
}

#[test]
fn an_update_keeps_the_words_that_were_rightly_taken_for_open() {
    let mut shop = with_books();
    // 0.1.0 took every word for open that is neither paid nor closed. What it did and nobody undid, by word:
    for (number, word, undone_by) in [
        (1, "Versendet", "null"),
        (2, "Offen", "null"),
        (3, "Gutschrift (refunded)", "null"),
        (4, "Storniert", "2"),
    ] {
        shop.execute(&format!(
            "insert into invoice_sync.change (run_id, invoice_id, table_name, row_id, action, before, after, evidence, undone_by)
            values (3, '{number}', 'public.invoices', '{number}', 'update', '{{\"invoice_status\": \"{word}\"}}',
                    '{{\"invoice_status\": \"Paid\"}}', '{{}}', {undone_by})"
        ));
    }

    shop.execute("alter extension invoice_sync update");

    assert_eq!(
        shop.text("select invoice_open_words from invoice_sync.settings"),
        Some("{Draft,Sent,Overdue,Offen,Versendet}".into())
    );
}

/// The books were written on one day; after this, their last run was a moment ago, whatever day it is.
fn bring_to_today(shop: &mut Shop) {
    let since: i64 = shop
        .rows("select extract(epoch from now() - max(started_at))::bigint from invoice_sync.run")
        [0]
    .get(0);
    shop.age(-since);
    // The stand-in's ids come in the same order in every test, and the books have the first ones.
    for _ in 0..20 {
        shop.stripe.checkout(Checkout::new(10_000, "usd"));
    }
}

#[test]
fn an_updated_database_goes_on_where_it_was() {
    let mut shop = with_books();
    let issues = [
        "paid_without_payment INV-2",
        "partially_refunded INV-3",
        "repair_undone INV-5",
    ];
    shop.execute("alter extension invoice_sync update");
    assert_eq!(shop.open_issues(), issues);
    bring_to_today(&mut shop);
    let sale = Sale::unbooked(&mut shop, "INV-6");

    shop.execute("call invoice_sync.run_sweep()");

    let row = format!(
        "select format('%s %s', i.invoice_status, p.total_amount::numeric(8, 2)) from invoices i
        join payments p on p.invoice_id = i.id where i.id = '{}'",
        sale.invoice
    );
    assert_eq!(shop.text(&row), Some("Paid 100.00".into()));
    assert_eq!(shop.open_issues(), issues);
    let change =
        "select run_id from invoice_sync.changes c join invoices i on i.id::text = c.invoice_id
        where i.invoice_number = 'INV-4' limit 1";
    let run = shop.text(change).expect("0.1.0 booked INV-4");
    shop.execute(&format!("select invoice_sync.undo({run})"));
    assert_eq!(
        shop.text("select invoice_status from invoices where invoice_number = 'INV-4'"),
        Some("Sent".into()),
        "what 0.1.0 did can be undone"
    );
}

/// The scripts of released versions and their SHA-256 checksums.
const RELEASED: [(&str, &str); 1] = [(
    "pgrx-tests/e2e/upgrade/invoice_sync--0.1.0.sql",
    "8d24dddf9b5a44e31fefc5269a9c49ba1752c475f0403b91d99437b836063836",
)];

/// The scripts that make or upgrade to a version other than the one in Cargo.toml, which is not released yet.
fn scripts_of_released_versions() -> Vec<String> {
    let mut found = Vec::new();
    for directory in ["sql", "pgrx-tests/e2e/upgrade"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        for entry in fs::read_dir(path).expect("is a directory") {
            let name = entry.expect("is readable").file_name();
            let name = name.into_string().expect("is text");
            let version = name
                .strip_prefix("invoice_sync--")
                .and_then(|rest| rest.strip_suffix(".sql")?.rsplit("--").next());
            if version.is_some_and(|version| version != env!("CARGO_PKG_VERSION")) {
                found.push(format!("{directory}/{name}"));
            }
        }
    }
    found
}

#[test]
fn released_scripts_never_change() {
    let mut scripts = scripts_of_released_versions();
    scripts.sort();
    assert_eq!(scripts, RELEASED.map(|(script, _)| script));
    for (script, checksum) in RELEASED {
        let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).expect("is there");
        let digest = Sha256::digest(text);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, checksum, "{script}");
    }
}

//! docs/reference.md is what the database says of the extension's objects. `make reference` writes it.

use std::fmt::Write;

use super::root;
use crate::harness::Shop;

/// Functions and procedures that users call, each as `name(arguments) → result` with its comment.
const FUNCTIONS: &str = "select format('%s(%s)%s', p.proname, pg_get_function_arguments(p.oid),
        case p.prokind when 'p' then '' else ' → ' || pg_get_function_result(p.oid) end), obj_description(p.oid, 'pg_proc')
    from pg_proc p
    join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    join pg_extension e on e.oid = d.refobjid and e.extname = 'invoice_sync'
    where p.prorettype <> 'trigger'::regtype
    order by p.proname, 1";

/// Views and their columns.
const VIEWS: &str = "select c.relname, obj_description(c.oid, 'pg_class'),
        (select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)
    from pg_class c
    where c.relnamespace = 'invoice_sync'::regnamespace and c.relkind = 'v'
    order by 1";

/// Columns of the table of settings.
const SETTINGS: &str = "select a.attname, format_type(a.atttypid, a.atttypmod),
        coalesce(pg_get_expr(d.adbin, d.adrelid), 'null'), col_description(a.attrelid, a.attnum)
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'invoice_sync.settings'::regclass and a.attnum > 0 and not a.attisdropped
    order by 1";

/// Columns of the table of Stripe accounts, which users fill.
const ACCOUNTS: &str = "select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
    from pg_attribute a
    where a.attrelid = 'invoice_sync.stripe_account'::regclass and a.attnum > 0 and not a.attisdropped
    order by a.attnum";

/// Kinds of issues with their actions.
const ISSUES: &str = "select kind, coalesce(action, '(none)'),
        coalesce(description, 'It ends by itself when its reason is gone') from invoice_sync.issue_kinds() order by 1, 2";

/// Settings of the server.
const SERVER_SETTINGS: &str = "select name, vartype, coalesce(nullif(concat_ws(' ', nullif(boot_val, ''), unit), ''), '(none)'), short_desc
    from pg_settings where name like 'invoice_sync.%' order by 1";

const TITLE: &str = "# Reference

This page is written by `make reference` from the comments of the objects, which `\\df+`, `\\d+` and `pg_settings` show as
well.
";

const SECRETS: &str = "
The three that hold secrets, `invoice_sync.stripe_api_key`, `invoice_sync.stripe_webhook_secret` and
`invoice_sync.resend_api_key`, are not shown by `pg_settings`: see [Settings](settings.md#server-settings).

## Errors

[Calls](calls.md#one-invoice) says which SQLSTATEs the functions raise, and [Supabase](supabase.md#responses) the HTTP
statuses.
";

/// Appends a section: a table with these columns, of the rows that the statement returns.
fn section(page: &mut String, shop: &mut Shop, title: &str, columns: &[&str], statement: &str) {
    let head = columns.join(" | ");
    let line = vec!["---"; columns.len()].join("|");
    write!(page, "\n## {title}\n\n| {head} |\n|{line}|\n").expect("a text");
    let rows = shop.rows(statement);
    assert!(!rows.is_empty(), "{title}: there are none");
    for row in rows {
        let cells: Vec<String> = (0..columns.len())
            .map(|cell| {
                let text: Option<String> = row.get(cell);
                let text = text.unwrap_or_else(|| panic!("{title}: {row:?} has no comment"));
                let text = text.replace('|', "\\|").replace('\n', " ");
                match columns[cell] {
                    "description" => text,
                    _ => format!("`{text}`"),
                }
            })
            .collect();
        writeln!(page, "| {} |", cells.join(" | ")).expect("a text");
    }
}

#[test]
fn the_reference_says_what_the_database_says() {
    let mut shop = Shop::open();
    // So that PostgreSQL knows the settings of the server.
    shop.execute("load 'invoice_sync'");
    let mut page = TITLE.to_owned();
    let mut of = |title, columns: &[&str], statement| {
        section(&mut page, &mut shop, title, columns, statement);
    };
    of(
        "Functions and procedures",
        &["call", "description"],
        FUNCTIONS,
    );
    let view = ["view", "description", "columns"];
    of("Views", &view, VIEWS);
    let setting = ["setting", "type", "default", "description"];
    of(
        "Settings of a database (invoice_sync.settings)",
        &setting,
        SETTINGS,
    );
    let column = ["column", "type", "description"];
    of(
        "Stripe accounts (invoice_sync.stripe_account)",
        &column,
        ACCOUNTS,
    );
    of(
        "Kinds of issues and their actions",
        &["kind", "action", "description"],
        ISSUES,
    );
    of("Settings of the server", &setting, SERVER_SETTINGS);
    page += SECRETS;
    let path = root().join("docs/reference.md");
    if std::env::var("INVOICE_SYNC_WRITE").is_ok() {
        std::fs::write(&path, &page).expect("it is written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, wanted)) in written.lines().zip(page.lines()).enumerate() {
        assert_eq!(
            is,
            wanted,
            "docs/reference.md:{}: run make reference",
            number + 1
        );
    }
    assert!(
        written == page,
        "docs/reference.md ends too early or too late: run make reference"
    );
}

//! Tables with two owners: neither table is read as the owner of the other, and the results are the same.

use super::{last_run, mixed_invoices, run, twin_of};
use crate::harness::books::{books, differences};
use crate::harness::{ALL_ARE_DUE, DEFAULT_TABLES, Shop};

/// Invoices whose own rows do not agree, or hardly; and some that are as they should be.
const ODD: &str = "
    insert into invoices (id, invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
    select ('00000000-0000-4000-8000-' || lpad(o.number::text, 12, '0'))::uuid, 'ODD-' || o.number, 'Customer',
           o.status, 100, o.paid, o.balance
    from (values
        (1, 'Paid', 100, 0), (2, 'Paid', 100, 0), (3, 'Sent', 0, 100), (4, 'Sent', 70, 30), (5, 'Sent', 0, 100),
        (6, 'Cancelled', 0, 100), (7, 'Sent', 0, 100), (8, 'Paid', 100, 0), (9, 'Paid', 100, 5), (10, 'Paid', 100, 0),
        (11, 'Sent', 0, 100), (12, 'Partial', 40, 60), (13, 'Sent', 0, 100)
    ) o (number, status, paid, balance);
    insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id, stripe_payment_intent)
    select i.id, 'Odd', p.status, p.amount, p.session, p.intent
    from (values
        (2, 'Paid', 60, null, null), (3, 'Paid', 50, null, 'pi_twice'), (3, 'Paid', 50, null, 'pi_twice'),
        (5, 'Paid', 130, null, null), (6, 'Paid', 100, null, null), (7, 'Paid', 100, 'cs_test_lone', null),
        (8, 'Refunded', 100, null, 'pi_refunded'), (9, 'Paid', 100, null, null), (10, 'Paid', 100, null, null),
        (11, 'Pending', 100, null, 'pi_pending'), (12, 'Paid', 40, null, null)
    ) p (number, status, amount, session, intent)
    join invoices i on i.invoice_number = 'ODD-' || p.number";

/// As if all had been looked at, and nothing found.
const SEEN: &str = "
    update invoice_sync.round
    set xid = pg_snapshot_xmax(pg_current_snapshot()), place = null, thorough_at = now()";

/// What comes before each sweep.
const STORY: [&[&str]; 6] = [
    &[],
    &[ALL_ARE_DUE],
    &[
        SEEN,
        "update invoices set customer = 'Another', balance_due = 0 where invoice_number in ('ODD-11', 'INV-0009')",
        "update payments set total_amount = 90
        where invoice_id in (select id from invoices where invoice_number in ('ODD-10', 'INV-0012'))",
    ],
    &[
        SEEN,
        "update invoices set invoice_status = 'Paid' where invoice_number = 'ODD-5'",
    ],
    &[
        "update payments set total_amount = 80
        where invoice_id in (select id from invoices where invoice_number = 'INV-0001')",
        "update invoices set invoice_status = 'Paid' where invoice_number = 'ODD-13'",
        SEEN,
    ],
    &[
        "delete from payments where invoice_id in (
            select id from invoices where invoice_number in ('ODD-10', 'INV-0000'))",
        "update invoice_sync.round set place = null, thorough_at = null",
    ],
];

const BY_KEY: &str = "
    alter table invoices rename to plain;
    create table invoices (like plain including defaults, primary key (id)) partition by hash (id);
    create table invoices_0 partition of invoices for values with (modulus 2, remainder 0);
    create table invoices_1 partition of invoices for values with (modulus 2, remainder 1);
    create table payments";

/// The books, what Stripe was asked and is to be asked, and what the last run did.
fn reported(shop: &mut Shop) -> Vec<String> {
    let mut lines = books(&mut shop.db);
    // The second in which an invoice was paid in cash is another.
    for line in &mut lines {
        if let Some((reported, _)) = line.strip_suffix("+00").and_then(|it| it.rsplit_once(' ')) {
            *line = reported.to_owned();
        }
    }
    let checks = shop.texts(
        "select concat_ws(' ', 'asked about', i.invoice_number, k.stored_ids::text, k.back_off,
                          case when k.next_check_at is null then 'and no more' end)
        from invoice_sync.invoice_check k
        join invoices i on i.id::text = k.invoice_id",
    );
    lines.extend(checks.into_iter().flatten());
    let run = last_run(shop);
    for column in [
        "invoices_checked",
        "invoices_fixed",
        "issues_found",
        "stripe_requests",
    ] {
        lines.push(format!("{column} {}", run[column]));
    }
    let rows = shop.text("select concat_ws(' ', place, rows, last_rows) from invoice_sync.round");
    lines.extend(rows);
    lines.sort();
    lines
}

#[test]
fn two_owners_find_what_one_finds() {
    let partitioned = DEFAULT_TABLES.replacen("create table payments", BY_KEY, 1);
    for tables in [DEFAULT_TABLES, &partitioned] {
        let mut shop = Shop::with_tables(tables);
        let sorts = (0..60).map(|number| number % mixed_invoices::SORTS);
        mixed_invoices::fill(&shop.stripe, &mut shop.db, sorts);
        shop.execute(ODD);
        let mut twin = twin_of(&mut shop, tables);
        shop.give_tables_to("owner of invoices", "owner of invoices");
        twin.give_tables_to("owner of invoices", "owner of payments");
        for (chapter, what) in STORY.into_iter().enumerate() {
            let [ours, theirs] = [&mut shop, &mut twin].map(|shop| {
                for statement in what {
                    shop.execute(statement);
                }
                run(&mut shop.db);
                reported(shop)
            });
            let differences = differences(&theirs, &ours);
            assert!(differences.is_empty(), "{chapter}: {differences:#?}");
        }
        let issues = shop.open_issues();
        for kind in [
            "duplicate_payment",
            "paid_without_payment",
            "amount_mismatch",
            "overpaid",
        ] {
            assert!(
                issues.iter().any(|issue| issue.starts_with(kind)),
                "{issues:?}"
            );
        }
    }
}

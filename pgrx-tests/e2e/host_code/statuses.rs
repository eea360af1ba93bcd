//! Statuses that are no words: integers, booleans, times, and two columns.

use serde_json::json;
use stripe_double::{Checkout, Intent, Refund};

use super::{invoice, sent};
use crate::harness::Shop;

/// The rows of both tables, to compare them to the byte.
pub(super) fn rows(shop: &mut Shop, tables: &[&str]) -> Vec<Option<String>> {
    let of = |table: &&str| format!("select to_jsonb(t)::text from {table} t");
    let all: Vec<String> = tables.iter().map(of).collect();
    shop.texts(&format!("{} order by 1", all.join(" union all ")))
}

/// Undoes what the last sweep that changed something did.
pub(super) fn undo(shop: &mut Shop) {
    let run = shop.text("select max(run_id)::text from invoice_sync.changes");
    let report = shop.json(&format!("invoice_sync.undo({})", run.expect("a run")));
    assert_eq!(report["left"], json!([]), "{report}");
}

/// Invoices and payments whose statuses are integers, as a Rails enum stores them.
fn integers() -> Shop {
    let mut shop = Shop::with_tables(include_str!("../proposal/hosts/miru.sql"));
    shop.execute(
        r#"insert into companies default values;
        insert into clients default values;
        alter table payments add stripe_payment_intent varchar;
        update invoice_sync.settings set
            invoice_status_column = 'status', invoice_total_column = 'amount', invoice_balance_column = 'amount_due',
            invoice_paid_at_column = null, invoice_session_column = null, invoice_intent_column = null,
            invoice_status_values = '{"draft": 0, "sent": 1, "viewed": 2, "paid": 3, "declined": 4, "overdue": 5,
                                      "sending": 6, "waived": 7}',
            invoice_paid_word = 'paid', invoice_partial_word = null, invoice_closed_words = '{declined,waived}',
            invoice_update_values = '{"updated_at": {"sql": "now()"}}',
            payment_status_column = 'status', payment_amount_column = 'amount', payment_gratuity_column = null,
            payment_session_column = null,
            payment_status_values = '{"paid": 0, "partially_paid": 1, "failed": 2, "cancelled": 3, "initiated": 4}',
            payment_paid_word = 'paid', payment_pending_words = '{initiated}', payment_refunded_word = null,
            payment_disputed_word = null, payment_update_values = '{"updated_at": {"sql": "now()"}}',
            payment_values = '{"transaction_type": {"value": 10}, "created_at": {"sql": "now()"},
                               "updated_at": {"sql": "now()"}}'"#,
    );
    shop
}

/// An invoice over 125 with this status.
fn numbered(shop: &mut Shop, number: &str, status: i32) {
    shop.execute(&format!(
        "insert into invoices (invoice_number, client_id, company_id, amount, amount_due, status, created_at, updated_at)
        values ('{number}', 1, 1, 125, 125, {status}, '2026-01-01', '2026-01-01')"
    ));
}

fn pay(shop: &mut Shop, cents: i64, invoice: &str) -> String {
    let checkout = Checkout::new(cents, "usd").metadata("invoice_id", invoice);
    shop.stripe.checkout(checkout).pay().intent_id()
}

/// Status, amount paid and due, and the payments' statuses and amounts.
fn numbers(shop: &mut Shop, number: &str) -> Option<String> {
    shop.text(&format!(
        "select concat_ws(' ', i.status, trim_scale(i.amount_paid), trim_scale(i.amount_due),
                          (select string_agg(format('%s:%s', p.status, trim_scale(p.amount)), ', ' order by p.amount)
                           from payments p where p.invoice_id = i.id))
        from invoices i where i.invoice_number = '{number}'"
    ))
}

#[test]
fn integers_are_read_and_written_by_their_words() {
    let mut shop = integers();
    numbered(&mut shop, "INV-1", 1);
    numbered(&mut shop, "INV-2", 5);
    numbered(&mut shop, "INV-3", 7);
    numbered(&mut shop, "INV-4", 9);
    for (number, cents) in [
        ("INV-1", 12_500),
        ("INV-2", 5_000),
        ("INV-3", 12_500),
        ("INV-4", 12_500),
    ] {
        pay(&mut shop, cents, number);
    }
    // An attempt that the application knows of.
    let attempt = shop
        .stripe
        .intent(Intent::new(7_500, "usd"))
        .pay()
        .intent_id();
    shop.execute(&format!(
        "insert into payments (amount, created_at, updated_at, invoice_id, status, transaction_date, transaction_type,
                               stripe_payment_intent)
        select 75, '2026-01-01', '2026-01-01', id, 4, '2026-01-01', 10, '{attempt}' from invoices
        where invoice_number = 'INV-2'"
    ));
    let before = rows(&mut shop, &["invoices", "payments"]);

    shop.sweep();

    assert_eq!(
        numbers(&mut shop, "INV-1").as_deref(),
        Some("3 125 0 0:125")
    );
    assert_eq!(
        numbers(&mut shop, "INV-2").as_deref(),
        Some("3 125 0 0:50, 0:75")
    );
    // Waived, and a number without a word: their statuses stay.
    assert_eq!(
        numbers(&mut shop, "INV-3").as_deref(),
        Some("7 0 125 0:125")
    );
    assert_eq!(
        numbers(&mut shop, "INV-4").as_deref(),
        Some("9 125 0 0:125")
    );
    assert_eq!(
        shop.open_issues(),
        ["unknown_status -", "unlinked_payment INV-3"]
    );
    let changed = shop.text("select count(*)::text from invoices where updated_at > '2026-01-02'");
    assert_eq!(changed.as_deref(), Some("3"));

    undo(&mut shop);
    assert_eq!(rows(&mut shop, &["invoices", "payments"]), before);
}

#[test]
fn a_person_sets_an_integer_by_its_word() {
    let mut shop = integers();
    numbered(&mut shop, "INV-1", 3);
    shop.sweep();
    assert_eq!(shop.open_issues(), ["paid_without_payment INV-1"]);

    shop.execute(
        r#"select invoice_sync.resolve_issue(id, 'revert_to_unpaid', arguments => '{"status": "overdue"}')
        from invoice_sync.open_issues"#,
    );

    assert_eq!(numbers(&mut shop, "INV-1").as_deref(), Some("5 0 125"));
    assert_eq!(shop.open_issues(), [] as [&str; 0]);
}

#[test]
fn what_a_column_cannot_say_is_refused_when_it_is_set() {
    let mut shop = integers();
    let refused = shop.error("update invoice_sync.settings set invoice_paid_word = 'Settled'");
    assert_eq!(refused.sqlstate, "22023");
    assert_eq!(
        refused.message,
        "\"Settled\" is not a value of column \"status\" of table public.invoices"
    );
    let refused =
        shop.error(r#"update invoice_sync.settings set invoice_status_values = '{"paid": [3]}'"#);
    assert_eq!(
        refused.message,
        "invoice_status_values: the value of \"paid\" is not a string, a number or a boolean"
    );
}

/// Bookings that are paid by one column and cancelled by another, and payments with booleans.
fn booleans() -> Shop {
    let mut shop = Shop::with_tables(include_str!("../proposal/hosts/calcom.sql"));
    shop.execute(
        r#"alter table "Booking" add price integer;
        update invoice_sync.settings set
            invoices_table = 'public."Booking"', invoice_number_column = 'uid', invoice_status_column = 'paid',
            invoice_closed_column = 'status', invoice_closed_words = '{cancelled,rejected}',
            invoice_total_column = 'price', invoice_amount_paid_column = null, invoice_balance_column = null,
            invoice_paid_at_column = null, invoice_currency_column = null, invoice_session_column = null,
            invoice_intent_column = null, invoice_paid_word = 'true',
            invoice_update_values = '{"updatedAt": {"sql": "now()"}}',
            payments_table = 'public."Payment"', payment_invoice_column = 'bookingId',
            payment_status_column = 'success', payment_amount_column = 'amount', payment_gratuity_column = null,
            payment_date_column = null, payment_session_column = null, payment_intent_column = 'externalId',
            payment_paid_word = 'true', payment_pending_words = '{false}', amount_unit = 'minor',
            payment_values = '{"uid": {"sql": "gen_random_uuid()"}, "fee": {"value": 0}, "data": {"value": {}},
                "refunded": {"value": false}, "currency": {"stripe": "payment_intent.currency"}}'"#,
    );
    shop
}

fn book(shop: &mut Shop, uid: &str, status: &str) {
    shop.execute(&format!(
        r#"insert into "Booking" (uid, title, "startTime", "endTime", status, price)
        values ('{uid}', 'Hour', '2026-03-01', '2026-03-01', '{status}', 12500)"#
    ));
}

fn booked(shop: &mut Shop, uid: &str) -> Option<String> {
    shop.text(&format!(
        r#"select concat_ws(' ', b.status, b.paid::text,
                          (select string_agg(format('%s:%s', p.success, p.amount), ', ' order by p.amount)
                           from "Payment" p where p."bookingId" = b.id))
        from "Booking" b where uid = '{uid}'"#
    ))
}

#[test]
fn booleans_say_what_is_paid_and_another_column_what_is_closed() {
    let mut shop = booleans();
    for (uid, status) in [
        ("b1", "accepted"),
        ("b2", "pending"),
        ("b3", "cancelled"),
        ("b4", "rejected"),
    ] {
        book(&mut shop, uid, status);
        pay(&mut shop, 12_500, uid);
    }
    let deposit = shop
        .stripe
        .intent(Intent::new(5_000, "usd"))
        .pay()
        .intent_id();
    book(&mut shop, "b5", "awaiting_host");
    shop.execute(&format!(
        r#"insert into "Payment" (uid, "bookingId", amount, fee, currency, success, refunded, data, "externalId")
        select 'p', id, 5000, 0, 'usd', false, false, '{{}}', '{deposit}' from "Booking" where uid = 'b5'"#
    ));
    let before = rows(&mut shop, &["\"Booking\"", "\"Payment\""]);

    shop.sweep();

    assert_eq!(
        booked(&mut shop, "b1").as_deref(),
        Some("accepted true t:12500")
    );
    assert_eq!(
        booked(&mut shop, "b2").as_deref(),
        Some("pending true t:12500")
    );
    assert_eq!(
        booked(&mut shop, "b3").as_deref(),
        Some("cancelled false t:12500")
    );
    assert_eq!(
        booked(&mut shop, "b4").as_deref(),
        Some("rejected false t:12500")
    );
    assert_eq!(
        booked(&mut shop, "b5").as_deref(),
        Some("awaiting_host false t:5000")
    );
    assert_eq!(
        shop.open_issues(),
        ["unlinked_payment b3", "unlinked_payment b4"]
    );

    undo(&mut shop);
    assert_eq!(rows(&mut shop, &["\"Booking\"", "\"Payment\""]), before);
}

#[test]
fn a_boolean_has_no_word_for_a_refund() {
    let mut shop = booleans();
    book(&mut shop, "b1", "accepted");
    let intent = pay(&mut shop, 12_500, "b1");
    shop.sweep();
    shop.stripe.refund(&intent, Refund::whole());

    shop.sweep();

    assert_eq!(
        booked(&mut shop, "b1").as_deref(),
        Some("accepted true t:12500")
    );
    assert_eq!(shop.open_issues(), ["refunded b1"]);
}

/// The default tables, where a time says what is paid, and another what is cancelled.
fn times() -> Shop {
    let mut shop = Shop::open();
    shop.execute(
        "alter table invoices drop invoice_status, add cancelled_at timestamptz;
        alter table payments drop payment_status, add received_at timestamp;
        update invoice_sync.settings set
            invoice_status_column = 'paid_date', invoice_closed_column = 'cancelled_at', invoice_paid_word = 'true',
            payment_status_column = 'received_at', payment_paid_word = 'true', payment_pending_words = '{false}'",
    );
    shop
}

fn timed(shop: &mut Shop, number: &str) -> Option<String> {
    shop.text(&format!(
        "select concat_ws(' ', trim_scale(i.amount_paid), i.paid_date = to_timestamp({now}),
                          (select string_agg(concat_ws(':', p.received_at = to_timestamp({now}) at time zone 'UTC',
                                                       trim_scale(p.total_amount)), ', ' order by p.total_amount)
                           from payments p where p.invoice_id = i.id))
        from invoices i where i.invoice_number = '{number}'",
        now = shop.stripe.now()
    ))
}

#[test]
fn a_time_that_is_set_says_that_it_is_paid() {
    let mut shop = times();
    shop.stripe.set_clock(1_790_000_000);
    for (number, cancelled) in [("INV-1", "null"), ("INV-2", "null"), ("INV-3", "now()")] {
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, total_amount, stripe_session_id, cancelled_at)
            values ('{number}', 'C', case '{number}' when 'INV-2' then 150 else 100 end, '{}', {cancelled});
            insert into payments (invoice_id, payment_name, total_amount, stripe_session_id)
            select id, 'Awaited', 100, stripe_session_id from invoices where invoice_number = '{number}' and '{number}' = 'INV-1'",
            paid.session_id()
        ));
    }
    let before = rows(&mut shop, &["invoices", "payments"]);

    shop.sweep();

    assert_eq!(timed(&mut shop, "INV-1").as_deref(), Some("100 t t:100"));
    assert_eq!(timed(&mut shop, "INV-2").as_deref(), Some("100 t:100"));
    assert_eq!(timed(&mut shop, "INV-3").as_deref(), Some("0 t:100"));
    assert_eq!(shop.open_issues(), ["unlinked_payment INV-3"]);

    undo(&mut shop);
    assert_eq!(rows(&mut shop, &["invoices", "payments"]), before);
}

#[test]
fn payments_that_settled_a_part_count_where_payments_do_not_wait() {
    for (pending, expected) in [
        ("{}", ["Paid 125 0", "Paid 125 0"]),
        ("{Pending}", ["Partial 100 25", "Sent 0 125"]),
    ] {
        let mut shop = Shop::open();
        shop.execute(&format!(
            "update invoice_sync.settings set payment_pending_words = '{pending}'"
        ));
        let session = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        let lost = sent(&mut shop, "INV-1", &session.session_id());
        let by_rows = sent(&mut shop, "INV-2", "");
        shop.execute(&format!(
            "update invoices set stripe_session_id = null where invoice_number = 'INV-2';
            insert into payments (invoice_id, payment_name, payment_status, total_amount)
            values ('{lost}', 'Cash', 'partially_paid', 25), ('{by_rows}', 'Cash', 'partially_paid', 60),
                ('{by_rows}', 'Cash', 'Partially paid', 65)"
        ));
        shop.sweep();
        assert_eq!(
            [invoice(&mut shop, &lost), invoice(&mut shop, &by_rows)],
            expected,
            "{pending}"
        );
    }
}

/// Patterns cannot be matched with such a collation, and texts of two collations cannot be compared.
#[test]
fn collations_of_the_columns_do_not_matter() {
    let mut shop = Shop::open();
    // A server without ICU knows a few of its collations by name.
    let has_icu = "select (count(*) > 10)::text from pg_collation where collprovider = 'i'";
    if shop.text(has_icu).as_deref() == Some("false") {
        return;
    }
    shop.execute(
        r#"create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        alter table payments add currency text collate loose default 'usd';
        alter table invoices alter invoice_status type text collate loose,
            alter currency type text collate loose, alter stripe_session_id type text collate "C",
            alter stripe_payment_intent type text collate loose, add closed text collate "C" not null default 'open';
        alter table payments alter payment_status type text collate loose,
            alter stripe_session_id type text collate "C", alter stripe_payment_intent type text collate loose;
        update invoice_sync.settings set payment_currency_column = 'currency', invoice_closed_column = 'closed'"#,
    );
    let paid = super::lost(&mut shop, "INV-1");
    shop.execute("update invoices set invoice_status = 'sent ', currency = 'USD'");
    let odd = super::lost(&mut shop, "INV-2");
    shop.execute(&format!(
        "update invoices set invoice_status = 'Strange' where id = '{odd}'"
    ));
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        values ('{paid}', 'Deposit', 'pending', 1)"
    ));

    let report = shop.sweep();

    assert_eq!(report["success"], json!(true), "{report}");
    assert_eq!(invoice(&mut shop, &paid), "Paid 125 0");
    assert_eq!(shop.open_issues(), ["unknown_status -"]);
    let proposed = "select count(*) from invoice_sync.propose_mapping('invoices', 'payments') where proposed is not null";
    assert_ne!(shop.text(proposed).as_deref(), Some("0"));
}

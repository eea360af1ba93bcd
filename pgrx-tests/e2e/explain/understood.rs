//! How the invoice and its rows are understood, and which column and setting say so.

use stripe_double::Checkout;

use super::{about, asked, explain, only, remembered, values};
use crate::harness::Shop;
use crate::harness::sale::Sale;

fn set(shop: &mut Shop, assignments: &str) {
    shop.execute(&format!("update invoice_sync.settings set {assignments}"));
}

#[test]
fn each_value_has_its_column_and_its_setting() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("alter table invoices rename total_amount to price");
    set(
        &mut shop,
        "invoice_total_column = 'price', invoice_balance_column = null, invoice_open_words = '{Sent,Draft}'",
    );
    let lines = remembered(&mut shop, &sale.invoice);
    let of_invoice = |what: &str| about(&lines, "invoice", what);
    assert_eq!(
        of_invoice("total"),
        [
            "100.00 USD | column \"price\" of public.invoices, setting invoice_total_column; it contains 100.000"
        ]
    );
    assert_eq!(
        of_invoice("owed"),
        [" | no column: setting invoice_balance_column is null"]
    );
    assert_eq!(
        of_invoice("status"),
        [
            "Sent: open | column \"invoice_status\" of public.invoices, setting invoice_status_column (default); setting invoice_open_words contains the word; it becomes paid or partly paid when money is received"
        ]
    );
    assert_eq!(
        of_invoice("currency"),
        [
            "USD | setting default_currency (default), because the row contains none: column \"currency\" of public.invoices, setting invoice_currency_column (default)"
        ]
    );
    assert_eq!(
        of_invoice("unit"),
        ["major | setting amount_unit (default)"]
    );
    assert_eq!(
        of_invoice("checkout session"),
        [format!(
            "{} | column \"stripe_session_id\" of public.invoices, setting invoice_session_column (default)",
            sale.session
        )]
    );
    let typed = explain(&mut shop, &format!("'{}'::uuid", sale.invoice));
    assert_eq!(typed, lines, "the id of any type");
}

#[test]
fn each_class_of_status_says_what_it_means() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.not_at_rest("the status is changed at will");
    set(&mut shop, "invoice_closed_words = '{Cancelled}'");
    for (word, meaning, by) in [
        (
            "Overdue",
            "open",
            "setting invoice_open_words (default) contains the word",
        ),
        (
            "awaiting payment",
            "open",
            "this is its usual meaning; it becomes",
        ),
        (
            "Partial",
            "partly paid",
            "setting invoice_partial_word (default)",
        ),
        ("Paid", "paid", "setting invoice_paid_word (default)"),
        (
            "Shipped",
            "after paid",
            "this is its usual meaning; it follows paid and is never changed",
        ),
        (
            "Refunded",
            "refunded",
            "setting invoice_refunded_words (default)",
        ),
        ("charged back", "refunded", "this is its usual meaning"),
        (
            "Cancelled",
            "closed",
            "setting invoice_closed_words (default)",
        ),
        (
            "Frobbed",
            "unknown",
            "no setting contains the word, and it is not a usual one; it is never changed until",
        ),
    ] {
        shop.execute(&format!("update invoices set invoice_status = '{word}'"));
        let lines = remembered(&mut shop, &sale.invoice);
        only(
            &about(&lines, "invoice", "status"),
            &[&format!("{word}: {meaning} | "), by],
        );
    }
}

#[test]
fn an_unknown_word_keeps_the_status_and_says_what_to_set() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("update invoices set invoice_status = 'Frobbed'");

    let lines = asked(&mut shop, &sale.invoice);

    let planned = values(&lines, "would be done");
    assert!(planned[0].contains("recorded"), "{planned:?}");
    assert!(
        !planned.contains(&"invoice set to paid".to_owned()),
        "{planned:?}"
    );
    let issue = about(&lines, "decision", "new issue unknown_status");
    only(
        &issue,
        &[
            "the status \"Frobbed\", which no setting contains",
            "invoice_open_words",
        ],
    );

    shop.sync(&sale.invoice);
    let lines = remembered(&mut shop, &sale.invoice);
    assert_eq!(values(&lines, "new issue"), [""; 0]);
    only(
        &about(&lines, "decision", "open issue unknown_status"),
        &["\"Frobbed\""],
    );
}

#[test]
fn rows_that_do_not_count_name_the_condition() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    shop.execute(
        "alter table payments add deleted_at timestamptz default now();
        update invoices set invoice_status = 'Sent', amount_paid = 0, balance_due = 100",
    );
    set(&mut shop, "payment_condition = 'deleted_at is null'");
    let row = shop.text("select id from payments").expect("it is there");

    let lines = asked(&mut shop, &sale.invoice);

    assert_eq!(
        about(&lines, &format!("payment row {row}"), ""),
        [
            "no | setting payment_condition: \"deleted_at is null\" does not hold for the row. The row is read as if it did not exist; but a payment that it has is not recorded again without a decision"
        ]
    );
    assert_eq!(values(&lines, "would be done"), ["nothing"]);
    only(
        &about(&lines, "decision", "new issue possible_duplicate"),
        &["does not count by the setting payment_condition"],
    );
}

#[test]
fn an_invoice_that_does_not_count_is_explained_with_the_issue_about_its_money() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    set(&mut shop, "invoice_condition = 'customer <> ''Customer'''");
    shop.sweep();
    let before = shop.open_issues();
    assert_eq!(before, ["unlinked_payment -"]);

    let lines = remembered(&mut shop, &sale.invoice);

    assert_eq!(
        about(&lines, "invoice", "counts"),
        [
            "no | setting invoice_condition: \"customer <> 'Customer'\" does not hold for the row. The invoice is read as if it did not exist, and nothing is booked for it; money that Stripe receives for it is reported"
        ]
    );
    only(
        &about(&lines, "decision", "open issue unlinked_payment"),
        &["received 100.00 USD"],
    );
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(asked(&mut shop, &sale.invoice), lines);
}

#[test]
fn an_invoice_without_ids_says_how_a_payment_is_found() {
    let mut shop = Shop::open();
    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount)
        values ('INV-1', 'Customer', 'Sent', 100)",
    );
    let invoice = shop.text("select id from invoices").expect("it is there");
    for lines in [remembered(&mut shop, &invoice), asked(&mut shop, &invoice)] {
        only(
            &about(&lines, "Stripe", "ids"),
            &[
                "none | Neither the invoice nor its payments contain a Stripe id",
                "metadata \"invoice_id\" (setting invoice_reference_key (default))",
            ],
        );
        only(
            &about(&lines, "decision", "next request"),
            &["none | there is no Stripe id to ask about"],
        );
    }
    assert_eq!(shop.stripe.requests().len(), 0, "there is nothing to ask");
}

#[test]
fn minor_units_and_foreign_currencies_are_read_as_they_are_stored() {
    let mut shop = Shop::open();
    set(&mut shop, "amount_unit = 'minor', default_currency = 'eur'");
    let paid = shop.stripe.checkout(Checkout::new(12_500, "eur")).pay();
    let yen = shop.stripe.checkout(Checkout::new(5_000, "jpy")).pay();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id, currency)
        values ('EUR', 'Customer', 'Sent', 12500, '{}', null), ('USD', 'Customer', 'Sent', 5000, '{}', 'usd'),
            ('???', 'Customer', 'Sent', 5000, null, 'gold')",
        paid.session_id(),
        yen.session_id()
    ));
    let mut invoice = |number: &str| {
        let id = shop.text(&format!(
            "select id from invoices where invoice_number = '{number}'"
        ));
        asked(&mut shop, &id.expect("it is there"))
    };
    let euro = invoice("EUR");
    only(
        &about(&euro, "invoice", "total"),
        &["125.00 EUR | ", "it contains 12500.000"],
    );
    assert_eq!(
        about(&euro, "invoice", "unit"),
        ["minor | setting amount_unit"]
    );
    only(
        &about(&euro, "invoice", "currency"),
        &["EUR | setting default_currency, because"],
    );
    assert!(
        values(&euro, "would be done")[0].contains("of 125.00 EUR recorded"),
        "{euro:?}"
    );

    let other = invoice("USD");
    only(&about(&other, "invoice", "total"), &["50.00 USD"]);
    only(&about(&other, "Stripe", "pi_"), &["received 5000 JPY"]);
    only(
        &about(&other, "decision", "new issue currency_mismatch"),
        &[
            "Stripe received 5000 JPY",
            "is in USD, so it was not booked",
        ],
    );

    let gold = invoice("???");
    only(
        &about(&gold, "invoice", "currency"),
        &["\"gold\", which is not a currency | column \"currency\""],
    );
    only(&about(&gold, "invoice", "total"), &["cannot be read: "]);
    shop.not_at_rest("an invoice has no currency");
}

#[test]
fn statuses_that_are_no_words_and_units_of_payments_are_named() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "alter table invoices alter invoice_status drop default, add cancelled_at timestamptz,
            alter invoice_status type integer using 1;
        alter table payments add currency text",
    );
    set(
        &mut shop,
        r#"invoice_status_values = '{"sent": 1, "paid": 2}', invoice_paid_word = 'paid', invoice_partial_word = null,
        invoice_open_words = '{}', invoice_closed_column = 'cancelled_at', payment_amount_unit = 'minor',
        payment_currency_column = 'currency'"#,
    );
    shop.sweep();
    let lines = remembered(&mut shop, &sale.invoice);
    only(
        &about(&lines, "invoice", "status"),
        &[
            "paid: paid | ",
            "; it contains 2; setting invoice_paid_word contains the word",
        ],
    );
    only(
        &about(&lines, "invoice", "closed"),
        &[" | column \"cancelled_at\" of public.invoices, setting invoice_closed_column; "],
    );
    assert_eq!(
        about(&lines, "payment row", "unit"),
        ["minor | setting payment_amount_unit"]
    );
    only(
        &about(&lines, "payment row", "amount"),
        &["100.00 USD | ", "it contains 10000.000"],
    );
    only(
        &about(&lines, "payment row", "currency"),
        &["usd | column \"currency\" of public.payments, setting payment_currency_column"],
    );

    shop.execute("update invoices set invoice_status = 1, cancelled_at = '2026-01-01'");
    let lines = remembered(&mut shop, &sale.invoice);
    only(
        &about(&lines, "invoice", "status"),
        &[
            "Cancelled: closed | ",
            "; it contains 1; setting invoice_closed_words (default) contains the word",
        ],
    );
}

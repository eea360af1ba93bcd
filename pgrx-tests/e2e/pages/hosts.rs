//! Each example of docs/hosts.md records a lost payment, and takes it back.

use serde_json::json;
use stripe_double::Checkout;

use super::blocks::blocks;
use super::page;
use crate::harness::Shop;

/// The schema of each example, an invoice with the id 1 over 100, and what its rows say once it is paid.
const EXAMPLES: [(&str, &str, &str, &str); 8] = [
    (
        "prices",
        "insert into prices.lessons values (1, 10000, 'usd'); insert into prices.bookings values (1, 1)",
        "select concat_ws(' ', b.status, p.amount_cents, p.status) from prices.bookings b, prices.payments p",
        "paid 10000 paid",
    ),
    (
        "documents",
        "insert into documents.invoices values (1, 100)",
        "select concat_ws(' ', i.status, p.amount, left(p.data ->> 'payment_intent', 3))
        from documents.invoices i, documents.payments p",
        "paid 100.00 pi_",
    ),
    (
        "whole",
        "insert into whole.invoices values (1, 10000)",
        "select concat_ws(' ', i.status, p.status, left(p.stripe_payment_intent_id, 3)) from whole.invoices i, whole.payments p",
        "paid succeeded pi_",
    ),
    (
        "links",
        "insert into links.invoices values (1, 100)",
        "select concat_ws(' ', i.status, p.amount, p.status)
        from links.invoices i join links.invoice_payments l on l.invoice_id = i.id join links.payments p on p.id = l.payment_id",
        "paid 100.00 paid",
    ),
    (
        "lines",
        "insert into lines.orders values (1); insert into lines.order_lines values (1, 2500), (1, 7500)",
        "select concat_ws(' ', i.status, p.amount_cents, left(p.stripe_session_id, 3))
        from lines.stripe_invoices i, lines.payments p",
        "Paid 10000 cs_",
    ),
    (
        "payables",
        "insert into payables.invoices values (1, 10000);
        insert into payables.payments (payable_type, payable_id, amount_cents) values ('Donation', 1, 10000)",
        "select concat_ws(' ', i.status, p.amount_cents)
        from payables.invoices i, payables.payments p where p.payable_type = 'Invoice'",
        "paid 10000",
    ),
    (
        "records",
        "insert into records.invoices values (1, 100)",
        "select concat_ws(' ', i.status, p.amount) from records.invoices i, records.payment_history p",
        "paid 100.00",
    ),
    (
        "shops",
        "insert into shops.orders values (1, 10000)",
        "select concat_ws(' ', o.status, o.paid_at is not null, trim_scale(p.amount), p.status)
        from shops.orders o, invoice_sync.payment p",
        "paid t 100 paid",
    ),
];

#[test]
fn each_example_of_tables_records_a_lost_payment() {
    let blocks = blocks(&page("hosts.md"));
    assert_eq!(blocks.len(), EXAMPLES.len());
    for (block, (schema, invoice, shown, expected)) in blocks.iter().zip(EXAMPLES) {
        let mut shop = Shop::with_tables("");
        shop.execute(block);
        shop.execute(invoice);
        shop.stripe
            .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", "1"))
            .pay();

        shop.sweep();

        assert_eq!(shop.text(shown).as_deref(), Some(expected), "{schema}");
        assert_eq!(shop.open_issues(), [] as [&str; 0], "{schema}");
        let undone = shop.json("invoice_sync.undo((select max(run_id) from invoice_sync.changes))");
        assert_eq!(undone["left"], json!([]), "{schema}: {undone}");
        assert_eq!(shop.text(shown), None, "{schema}");
    }
}

//! What a sweep repairs, and that it does so once.

use serde_json::json;
use stripe_double::{Checkout, Refund};

use crate::harness::Shop;

#[test]
fn a_sweep_of_200_invoices_repairs_the_50_whose_webhooks_were_lost() {
    let mut shop = Shop::open();
    // Half of the lost ones are in yen, which has no cents.
    for n in 0..200_i64 {
        let (currency, total) = if n % 2 == 0 {
            ("usd", "150.25")
        } else {
            ("jpy", "15025")
        };
        let session = shop.stripe.checkout(Checkout::new(15_025, currency));
        let paid = n < 50;
        let id = if paid {
            session.pay().session_id()
        } else {
            session.session_id()
        };
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, balance_due, currency, stripe_session_id)
            values ('INV-{n}', 'Customer {n}', 'Sent', {total}, {total}, '{currency}', '{id}')"
        ));
    }

    let report = shop.sweep();

    assert_eq!(report["stats"]["invoicesChecked"], json!(200));
    assert_eq!(report["fixed"], json!(50));
    assert_eq!(report["issues"], json!(0));
    let booked = shop.texts(
        "select format('%s %s %s', i.currency, p.total_amount, count(*))
        from payments p join invoices i on i.id = p.invoice_id
        where p.payment_status = 'Paid' group by i.currency, p.total_amount order by 1",
    );
    assert_eq!(
        booked.into_iter().flatten().collect::<Vec<_>>(),
        ["jpy 15025.000 25", "usd 150.250 25"]
    );
    assert_eq!(
        shop.text(
            "select count(*) from invoices
            where invoice_status = 'Paid' and amount_paid = total_amount and balance_due = 0 and paid_date is not null"
        ),
        Some("50".to_owned())
    );

    let again = shop.sweep();
    assert_eq!(again["fixed"], json!(0));
    assert_eq!(again["issues"], json!(0));
    assert_eq!(
        shop.text("select count(*) from payments"),
        Some("50".to_owned())
    );
}

#[test]
fn a_row_of_the_applications_for_money_that_nobody_referred_to_is_looked_at() {
    for column in ["stripe_payment_intent", "stripe_session_id"] {
        let mut shop = Shop::open();
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        shop.stripe.refund(&paid.intent_id(), Refund::of(4_000));
        shop.execute("call invoice_sync.run_sweep()");
        let results = "select string_agg(distinct result, ', ') from invoice_sync.event";
        assert_eq!(shop.text(results).as_deref(), Some("names no invoice"));
        let id = match column {
            "stripe_session_id" => paid.session_id(),
            _ => paid.intent_id(),
        };
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
            values ('INV-1', 'Ada', 'Paid', 100, 100, 0);
            insert into payments (invoice_id, payment_name, payment_status, total_amount, {column})
            select id, 'by its own handler', 'Paid', 100, '{id}' from invoices"
        ));
        shop.execute("call invoice_sync.run_sweep()");
        let told = shop.open_issues();
        assert_eq!(told, ["partially_refunded INV-1"], "{column}");
        shop.stripe.reset_requests();
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(shop.stripe.count_of("/v1/"), 1, "{column}");
    }
}

#[test]
fn an_invoice_marked_paid_after_its_session_expired_is_told_of() {
    let mut shop = Shop::open();
    let open = shop.stripe.checkout(Checkout::new(10_000, "usd"));
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Ada', 'Sent', 100, '{}')",
        open.session_id()
    ));
    open.expire();
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(shop.open_issues(), [""; 0]);
    shop.execute("update invoices set invoice_status = 'Paid', amount_paid = 100, balance_due = 0");
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(shop.open_issues(), ["paid_without_payment INV-1"]);
}

#[test]
fn money_that_the_application_takes_out_of_its_tables_is_booked_again() {
    for (booked_by, amount) in [("a sweep", 40), ("a sweep", 100), ("the application", 40)] {
        let mut shop = Shop::open();
        shop.skip_look_back();
        let paid = shop
            .stripe
            .checkout(Checkout::new(amount * 100, "usd"))
            .pay();
        let (session, intent) = (paid.session_id(), paid.intent_id());
        shop.execute(&format!(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, balance_due, stripe_session_id)
            values ('INV-1', 'Ada', 'Sent', 100, 100, '{session}')"
        ));
        if booked_by == "the application" {
            shop.execute(&format!(
                "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id,
                                       stripe_payment_intent)
                select id, 'by its own handler', 'Paid', {amount}, '{session}', '{intent}' from invoices;
                update invoices set invoice_status = 'Partial', amount_paid = {amount}, balance_due = 100 - {amount}"
            ));
        }
        let books = "select concat_ws(' ', invoice_status, amount_paid::int, balance_due::int,
            (select string_agg(concat_ws(' ', payment_status, total_amount::int), ', ') from payments))
            from invoices";
        let status = if amount == 100 { "Paid" } else { "Partial" };
        let wanted = Some(format!("{status} {amount} {} Paid {amount}", 100 - amount));
        shop.execute("call invoice_sync.run_sweep()");
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(shop.text(books), wanted, "{booked_by}");
        assert_eq!(requests_of_a_sweep(&mut shop), 1, "{booked_by}");

        shop.execute(
            "delete from payments;
            update invoices set invoice_status = 'Sent', amount_paid = 0, balance_due = total_amount",
        );
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(shop.text(books), wanted, "{booked_by}, taken out");
        assert_eq!(requests_of_a_sweep(&mut shop), 1, "{booked_by}, taken out");
    }
}

fn requests_of_a_sweep(shop: &mut Shop) -> usize {
    shop.stripe.reset_requests();
    shop.execute("call invoice_sync.run_sweep()");
    shop.stripe.counts_by_path().values().sum()
}

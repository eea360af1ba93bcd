//! What a sweep repairs, and that it does so once.

use serde_json::json;
use stripe_double::Checkout;

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

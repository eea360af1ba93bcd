//! What the application itself records of a payment, beside what this extension does.

use stripe_double::Refund;

use super::{Look, Pair, books};
use crate::concurrency::{UNIQUE_BY_INTENT, wait_for_a_waiting_session};
use crate::harness::server::attempt;

/// The application's handler inserts its row for the first invoice and does not commit;
/// the second invoice's button is pressed meanwhile.
fn handler_between_look_and_write(pair: &mut Pair, has_unique_index: bool) {
    pair.refer(&["INV-1", "INV-2"]);
    let mut handler = pair.shop.connect();
    let insert = pair.row(0, "Paid", "intent");
    let set_paid = format!(
        "update invoices set invoice_status = 'Paid', amount_paid = 100, balance_due = 0, paid_date = now()
        where id = '{}'",
        pair.invoices[0]
    );
    attempt(&mut handler, &format!("begin; {insert}; {set_paid}")).expect("it begins");
    let call = format!("select invoice_sync.sync_invoice('{}')", pair.invoices[1]);
    let mut button = pair.shop.connect();
    std::thread::scope(|scope| {
        let pressed = scope.spawn(move || attempt(&mut button, &call));
        if has_unique_index {
            wait_for_a_waiting_session(&mut pair.shop.db);
            attempt(&mut handler, "commit").expect("it ends");
        }
        pressed.join().expect("no panic").expect("it ends");
    });
    if !has_unique_index {
        attempt(&mut handler, "commit").expect("it ends");
    }
}

#[test]
fn a_handlers_row_of_another_invoice_that_comes_between_look_and_write_is_found() {
    let mut pair = Pair::open();
    pair.shop.execute(UNIQUE_BY_INTENT);
    handler_between_look_and_write(&mut pair, true);
    assert_eq!(
        books(&mut pair),
        [
            "INV-1 Paid 100 Paid".to_owned(),
            "INV-2 Sent 0".to_owned(),
            format!("unlinked_payment {}: INV-2", pair.intent),
        ],
        "with a unique index it is a conflict"
    );

    let mut pair = Pair::open();
    handler_between_look_and_write(&mut pair, false);
    pair.look(Look::RunSweep);
    assert_eq!(
        books(&mut pair),
        [
            "INV-1 Paid 100 Paid".to_owned(),
            "INV-2 Paid 100 Paid".to_owned(),
            pair.both(),
        ],
        "without one, the next sweep finds both"
    );
}

#[test]
fn a_handlers_row_of_the_same_invoice_that_comes_between_look_and_write_is_found() {
    let mut pair = Pair::open();
    // Nothing of the application's locks the invoice.
    pair.shop
        .execute("alter table payments drop constraint payments_invoice_id_fkey");
    pair.refer(&["INV-1"]);
    let mut handler = pair.shop.connect();
    let insert = pair.row(0, "Paid", "intent");
    attempt(&mut handler, &format!("begin; {insert}")).expect("it begins");
    pair.look(Look::Button(0));
    attempt(&mut handler, "commit").expect("it ends");
    pair.look(Look::RunSweep);
    assert_eq!(
        books(&mut pair),
        [
            "INV-1 Paid 100 Paid,Paid".to_owned(),
            "INV-2 Sent 0".to_owned(),
            format!("duplicate_payment {}: INV-1", pair.intent),
        ]
    );
}

#[test]
fn a_refunded_payment_that_the_application_records_for_another_invoice_is_refunded_there_too() {
    let mut pair = Pair::open();
    pair.refer(&["INV-1"]);
    pair.look(Look::RunSweep);
    let intent = pair.intent.clone();
    pair.shop.stripe.refund(&intent, Refund::whole());
    pair.look(Look::RunSweep);
    assert_eq!(books(&mut pair)[0], "INV-1 Paid 100 Refunded");

    let row = pair.row(1, "Paid", "intent");
    pair.shop.execute(&row);
    pair.shop.execute(
        "update invoices set invoice_status = 'Paid', amount_paid = 100, balance_due = 0, paid_date = now()
        where invoice_number = 'INV-2'",
    );
    pair.look(Look::RunSweep);
    pair.look(Look::RunSweep);

    let found = books(&mut pair);
    assert_eq!(found[1], "INV-2 Paid 100 Refunded", "{found:?}");
}

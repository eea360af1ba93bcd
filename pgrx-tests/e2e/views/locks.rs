//! What is locked while views are written, and until when.

use super::{books, lost, shop};
use crate::harness::wait_until;

/// What writes a view of invoices that PostgreSQL does not update by itself.
const WRITE_INVOICE: &str = "
    create function write_invoice() returns trigger language plpgsql as $$
    begin
        update kept.invoices set invoice_status = new.invoice_status, amount_paid = new.amount_paid,
            balance_due = new.balance_due, paid_date = new.paid_date
        where id = old.id;
        return new;
    end $$;
    create trigger write_invoice instead of update on invoices for each row execute function write_invoice();";

/// Customers of invoices, one for all.
const CUSTOMERS: &str = "
    create table kept.customers (name text primary key);
    insert into kept.customers values ('Ada');";

/// Invoices with their customers.
const WITH_CUSTOMERS: &str = "
    create view invoices as
        select i.*, c.name as customer_name from kept.invoices i left join kept.customers c on c.name = i.customer;
    create view payments as select * from kept.payments;";

#[test]
fn the_row_behind_the_view_is_locked_and_no_other() {
    let mut shop = shop(&[CUSTOMERS, WITH_CUSTOMERS, WRITE_INVOICE].concat());
    let id = lost(&mut shop, "INV-1");
    let (mut of_customer, mut of_invoice) = (shop.connect(), shop.connect());
    let mut theirs = of_customer.transaction().expect("it begins");
    theirs
        .batch_execute("select from kept.customers for update")
        .expect("the customer is locked");
    let mut handler = of_invoice.transaction().expect("it begins");
    let change = format!(
        "update kept.invoices set amount_paid = 25, balance_due = 100 where id = '{id}';
        insert into kept.payments (invoice_id, payment_name, payment_status, total_amount)
        values ('{id}', 'Cash', 'Paid', 25)"
    );
    handler.batch_execute(&change).expect("it is written");

    let (mut button, call) = (
        shop.connect(),
        format!("select invoice_sync.sync_invoice('{id}')"),
    );
    let waiting = std::thread::spawn(move || button.batch_execute(&call));
    let waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%sync_invoice%'
        and pid <> pg_backend_pid()";
    wait_until("the button waits", || !shop.rows(waits).is_empty());
    handler.commit().expect("it commits");
    waiting
        .join()
        .expect("it does not panic")
        .expect("the button is answered, although the customer is locked");

    // What the handler wrote counts: it was read after the lock.
    assert_eq!(books(&mut shop, &id), "Paid 150 Paid 25, Paid 125");
    assert_eq!(shop.open_issues(), ["overpaid INV-1"]);
    drop(theirs);
}

#[test]
fn an_invoice_locked_by_another_is_left_to_a_later_sweep() {
    let mut shop = shop(&[CUSTOMERS, WITH_CUSTOMERS, WRITE_INVOICE].concat());
    let (one, other) = (lost(&mut shop, "INV-1"), lost(&mut shop, "INV-2"));
    let mut theirs = shop.connect();
    let mut theirs = theirs.transaction().expect("it begins");
    theirs
        .batch_execute(&format!(
            "select from kept.invoices where id = '{one}' for update"
        ))
        .expect("the invoice is locked");

    shop.execute("set lock_timeout = '1s'");
    shop.sweep();
    assert_eq!(books(&mut shop, &one), "Sent 0");
    assert_eq!(books(&mut shop, &other), "Paid 125 Paid 125");
    drop(theirs);
    shop.sweep();
    assert_eq!(books(&mut shop, &one), "Paid 125 Paid 125");
}

#[test]
fn a_view_without_a_key_of_one_table_is_locked_as_a_whole_row() {
    const BY_EXPRESSION: &str = "
        create view invoices as
            select upper(i.id::text) as key, i.*, c.name as customer_name
            from kept.invoices i join kept.customers c on c.name = i.customer;
        create view payments as select * from kept.payments;";
    let mut shop = shop(&[CUSTOMERS, BY_EXPRESSION, WRITE_INVOICE].concat());
    shop.execute(
        "drop view payments;
        alter table kept.payments drop constraint payments_invoice_id_fkey, alter invoice_id type text;
        create view payments as select * from kept.payments;
        update invoice_sync.settings set invoice_id_column = 'key'",
    );
    lost(&mut shop, "INV-1");
    let mut theirs = shop.connect();
    let mut theirs = theirs.transaction().expect("it begins");
    theirs
        .batch_execute("select from kept.invoices for update")
        .expect("the invoice is locked");
    let payments = "select count(*) from kept.payments";
    shop.execute("set lock_timeout = '1s'");
    shop.sweep();
    assert_eq!(shop.text(payments).as_deref(), Some("0"));
    drop(theirs);
    shop.sweep();
    assert_eq!(shop.text(payments).as_deref(), Some("1"));
    let status = "select invoice_status from kept.invoices";
    assert_eq!(shop.text(status).as_deref(), Some("Paid"));
}

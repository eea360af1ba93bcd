//! 200 rounds of two calls of `sync_invoice` and a webhook handler that start at the same time.

use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use postgres::Client;
use stripe_double::Double;

use super::{UNIQUE_BY_INTENT, insert_payment, set_paid};
use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::server::{attempt, attempt_json};

const ROUNDS: usize = 200;

/// In one transaction: locks the invoice, inserts the payment if there is none,
/// updates the invoice.
fn handler_that_locks(sale: &Sale) -> String {
    let Sale {
        invoice, intent, ..
    } = sale;
    format!(
        "begin;
        select from invoices where id = '{invoice}' for update;
        insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
        select '{invoice}', 'Webhook', 'Paid', 100, '{intent}'
        where not exists (select from payments where stripe_payment_intent = '{intent}');
        {};
        commit",
        set_paid(sale)
    )
}

/// Locks nothing, and leaves it to the unique index.
fn handler_that_does_not_lock(sale: &Sale) -> String {
    format!(
        "begin; {} on conflict do nothing; {}; commit",
        insert_payment(sale),
        set_paid(sale)
    )
}

/// From when on the handler runs, so that it meets the buttons at every step
/// of their way: at once, or when Stripe has been asked by one, or by both.
fn let_the_buttons_ahead(round: usize, stripe: &Double) {
    let patience = Instant::now() + Duration::from_secs(5);
    while stripe.count_of("/v1/") < round % 3 && Instant::now() < patience {
        std::hint::spin_loop();
    }
}

/// As Stripe does: what fails is delivered again.
fn deliver(handler: &mut Client, webhook: &str) -> Result<(), String> {
    loop {
        match attempt(handler, webhook) {
            Err(error) if error.sqlstate == "40P01" => {
                attempt(handler, "rollback").map_err(|error| format!("{error:?}"))?;
            }
            other => return other.map_err(|error| format!("handler: {error:?}")),
        }
    }
}

fn race(webhook: fn(&Sale) -> String, tables: &str) {
    let mut shop = Shop::open();
    shop.execute(tables);
    shop.execute(&format!(
        "alter database {} set deadlock_timeout = '10ms'",
        shop.name()
    ));
    let sales = Sale::many(&mut shop, ROUNDS);
    let (line, failures) = (Barrier::new(3), Mutex::new(Vec::<String>::new()));
    let note = |result: Result<(), String>| {
        if let Err(failure) = result {
            failures.lock().expect("no panic").push(failure);
        }
    };
    let mut buttons = [shop.connect(), shop.connect()];
    let mut handler = shop.connect();
    let stripe = &shop.stripe;

    std::thread::scope(|scope| {
        for button in &mut buttons {
            scope.spawn(|| {
                for sale in &sales {
                    line.wait();
                    let answer = attempt_json(button, &sale.sync());
                    note(
                        answer
                            .map(|_| ())
                            .map_err(|error| format!("button: {error:?}")),
                    );
                    line.wait();
                }
            });
        }
        for (round, sale) in sales.iter().enumerate() {
            stripe.reset_requests();
            line.wait();
            let_the_buttons_ahead(round, stripe);
            note(deliver(&mut handler, &webhook(sale)));
            line.wait();
        }
    });

    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{failures:#?}");
    let wrong = shop.texts(
        "select format('%s %s %s: %s', i.invoice_number, i.invoice_status, i.amount_paid,
                       string_agg(p.payment_name || ' ' || p.total_amount, ', '))
        from invoices i left join payments p on p.invoice_id = i.id
        group by i.id
        having count(p.id) <> 1 or sum(p.total_amount) <> 100
            or i.invoice_status <> 'Paid' or i.amount_paid <> 100 or i.balance_due <> 0",
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    let by_whom = shop.texts("select distinct payment_name from payments order by 1");
    assert_eq!(
        by_whom.len(),
        2,
        "it was a race: both have won: {by_whom:?}"
    );
}

#[test]
fn two_buttons_and_a_handler_that_locks_leave_one_payment() {
    race(handler_that_locks, "");
}

#[test]
fn two_buttons_and_a_handler_that_does_not_lock_leave_one_payment() {
    race(handler_that_does_not_lock, UNIQUE_BY_INTENT);
}

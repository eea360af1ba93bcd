//! Every pair of doors at the same moment: on one invoice, and on two invoices that both
//! store the id of one payment.

use std::sync::Barrier;

use postgres::Client;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::sender::{SECRET, now, signature};
use crate::harness::server::attempt;

/// A way by which a payment comes into the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Button,
    Sweep,
    RunSweep,
    Webhook,
    Backfill,
    /// The application's own handler, which locks the invoice.
    Handler,
}

const OURS: [Door; 5] = [
    Door::Button,
    Door::Sweep,
    Door::RunSweep,
    Door::Webhook,
    Door::Backfill,
];

/// What bears on one round.
struct Round {
    invoice: String,
    intent: String,
    /// The body of Stripe's webhook.
    event: String,
}

impl Door {
    fn statement(self, round: &Round) -> String {
        let Round {
            invoice,
            intent,
            event,
        } = round;
        match self {
            Self::Button => format!("select invoice_sync.sync_invoice('{invoice}')"),
            Self::Sweep => "select invoice_sync.sweep()".to_owned(),
            Self::RunSweep => "call invoice_sync.run_sweep()".to_owned(),
            Self::Backfill => {
                "call invoice_sync.backfill(now() - interval '1 day')".to_owned()
            }
            Self::Webhook => format!(
                "select invoice_sync.handle_webhook($body${event}$body$::text, '{}'::text)",
                signature(SECRET, now(), event)
            ),
            Self::Handler => format!(
                "begin;
                select from invoices where id = '{invoice}' for update;
                insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
                select '{invoice}', 'Webhook', 'Paid', 100, '{intent}'
                where not exists (select from payments where stripe_payment_intent = '{intent}');
                update invoices
                set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0, paid_date = now()
                where id = '{invoice}';
                commit"
            ),
        }
    }

    fn enter(self, session: &mut Client, round: &Round) {
        match attempt(session, &self.statement(round)) {
            Ok(()) => {}
            // One backfill at a time.
            Err(error) if self == Self::Backfill && error.sqlstate == "55000" => {}
            Err(error) => panic!("{self:?}: {error:?}"),
        }
    }
}

/// How often each pair meets.
fn rounds() -> usize {
    std::env::var("INVOICE_SYNC_RACES").map_or(10, |rounds| {
        rounds.parse().expect("INVOICE_SYNC_RACES is a number")
    })
}

fn pairs(doors: &[Door]) -> Vec<[Door; 2]> {
    let rest = |(place, first): (usize, &Door)| {
        let first = *first;
        doors[place..].iter().map(move |second| [first, *second])
    };
    doors.iter().enumerate().flat_map(rest).collect()
}

#[derive(Clone, Copy)]
enum Invoices {
    One,
    /// Which both store the payment's id.
    Two,
}

fn race(doors: &[Door], invoices: Invoices) {
    let mut shop = Shop::with_webhooks();
    for pair in pairs(doors) {
        for round in 0..rounds() {
            let how = format!("{pair:?}, round {round}");
            meet(&mut shop, pair, invoices, &how);
        }
    }
}

fn meet(shop: &mut Shop, pair: [Door; 2], invoices: Invoices, how: &str) {
    shop.execute(
        "truncate payments, invoices cascade;
        truncate invoice_sync.backfill, invoice_sync.invoice_check",
    );
    let sale = Sale::unbooked(shop, "INV-1");
    let mut targets = vec![sale.invoice.clone(), sale.invoice.clone()];
    if matches!(invoices, Invoices::Two) {
        targets[1] = shop
            .db
            .query_one(
                "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
                values ('INV-2', 'Customer', 'Sent', 100, $1) returning id::text",
                &[&sale.session],
            )
            .expect("the invoice is inserted")
            .get(0);
    }
    let event = shop
        .stripe
        .events()
        .into_iter()
        .rfind(|event| event["type"] == "checkout.session.completed")
        .expect("Stripe tells of the sale");
    let line = Barrier::new(2);
    std::thread::scope(|scope| {
        for (door, invoice) in pair.into_iter().zip(targets) {
            let round = Round {
                invoice,
                intent: sale.intent.clone(),
                event: event.to_string(),
            };
            let (mut session, line) = (shop.connect(), &line);
            scope.spawn(move || {
                line.wait();
                door.enter(&mut session, &round);
            });
        }
    });
    assert_eq!(
        shop.texts("select format('%s %s', stripe_payment_intent, count(*)) from payments group by stripe_payment_intent"),
        [Some(format!("{} 1", sale.intent))],
        "{how}: the payment is in the books once"
    );
    assert_eq!(
        shop.text("select count(*) from invoices where invoice_status = 'Paid'"),
        Some("1".into()),
        "{how}: it pays one invoice"
    );
}

#[test]
fn any_two_doors_on_one_invoice_book_the_payment_once() {
    let mut doors = OURS.to_vec();
    doors.push(Door::Handler);
    race(&doors, Invoices::One);
}

#[test]
fn any_two_doors_on_two_invoices_with_one_payment_book_it_once() {
    race(&OURS, Invoices::Two);
}

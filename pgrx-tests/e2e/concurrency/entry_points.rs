//! Each pair of entry points at the same time: on one invoice, on two invoices with the id of one payment, and while
//! the payment changes at Stripe.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use postgres::Client;
use stripe_double::{Action, Dispute, Fault, Refund};

use super::replay;
use crate::harness::sale::Sale;
use crate::harness::sender::{SECRET, deliver, now, signature};
use crate::harness::server::attempt;
use crate::harness::{Shop, wait_until};

/// A way by which a payment comes into the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryPoint {
    Button,
    Sweep,
    RunSweep,
    Webhook,
    Backfill,
    /// The application's own handler, which locks the invoice.
    Handler,
}

const OURS: [EntryPoint; 5] = [
    EntryPoint::Button,
    EntryPoint::Sweep,
    EntryPoint::RunSweep,
    EntryPoint::Webhook,
    EntryPoint::Backfill,
];

/// What bears on one meeting.
struct Meeting {
    invoice: String,
    intent: String,
    /// The body of Stripe's webhook.
    event: String,
    /// Before the sale, seconds since 1970.
    since: i64,
}

impl EntryPoint {
    fn statement(self, meeting: &Meeting) -> String {
        let Meeting {
            invoice,
            intent,
            event,
            since,
        } = meeting;
        match self {
            Self::Button => format!("select invoice_sync.sync_invoice('{invoice}')"),
            Self::Sweep => "select invoice_sync.sweep()".to_owned(),
            Self::RunSweep => "call invoice_sync.run_sweep()".to_owned(),
            Self::Backfill => format!("call invoice_sync.backfill(to_timestamp({since}))"),
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

    /// Others' locks and deadlocks are no error of an entry point.
    fn enter(self, session: &mut Client, meeting: &Meeting) {
        loop {
            match attempt(session, &self.statement(meeting)) {
                Ok(()) => return,
                // One backfill at a time.
                Err(error) if self == Self::Backfill && error.sqlstate == "55000" => return,
                Err(error) if self == Self::Webhook && error.sqlstate == NOT_STORED => {}
                Err(error) => panic!("{self:?}: {error:?}"),
            }
        }
    }
}

/// Somebody else is at the same event; Stripe delivers it again.
const NOT_STORED: &str = "58000";

fn deliver_as_stripe_does(shop: &mut Shop, event: &str) {
    while let Err(error) = deliver(&mut shop.db, event) {
        assert_eq!(error.sqlstate, NOT_STORED, "{error:?}");
    }
}

/// How often each pair meets.
fn rounds() -> usize {
    std::env::var("INVOICE_SYNC_RACES").map_or(4, |rounds| {
        rounds.parse().expect("INVOICE_SYNC_RACES is a number")
    })
}

fn pairs(entry_points: &[EntryPoint]) -> Vec<[EntryPoint; 2]> {
    let rest = |(place, first): (usize, &EntryPoint)| {
        let first = *first;
        entry_points[place..]
            .iter()
            .map(move |second| [first, *second])
    };
    entry_points.iter().enumerate().flat_map(rest).collect()
}

/// What happens at Stripe while the entry points' answers are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Refund,
    Dispute,
    /// A refund that was there before fails.
    FailedRefund,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    OneInvoice,
    /// Which both store the payment's id.
    TwoInvoices,
    InFlight(News),
}

/// So long are rounds apart by Stripe's clock.
const ROUND_SECONDS: i64 = 300;

/// A shop where the same two entry points meet again and again. By Stripe's clock it is yesterday:
/// the feed is not read again for events that may come late.
struct Arena {
    shop: Shop,
    pair: [EntryPoint; 2],
    sessions: [Client; 2],
}

impl Arena {
    fn of(pair: [EntryPoint; 2]) -> Self {
        let mut shop = Shop::with_webhooks();
        let name = shop.name().to_owned();
        let all_rounds = i64::try_from(rounds()).expect("fits") * ROUND_SECONDS;
        shop.stripe
            .set_clock(shop.stripe.now() - 60 * 60 - all_rounds);
        shop.execute(&format!(
            "alter table payments add column refunded numeric(12, 3) not null default 0;
            update invoice_sync.settings
            set payment_refunded_column = 'refunded', webhook_budget_ms = 200;
            alter database {name} set deadlock_timeout = '20ms'"
        ));
        shop.skip_look_back();
        let sessions = [shop.connect(), shop.connect()];
        Self {
            shop,
            pair,
            sessions,
        }
    }

    /// As if nothing had ever been sold; what Stripe reported before is known.
    fn clear(&mut self) {
        self.shop.stripe.clear_faults();
        self.shop.execute(
            "delete from payments;
            delete from invoices;
            delete from invoice_sync.change;
            delete from invoice_sync.alert_issue;
            delete from invoice_sync.issue;
            delete from invoice_sync.invoice_check;
            delete from invoice_sync.stripe_payment;
            delete from invoice_sync.backfill",
        );
    }

    /// Both entry points at once, and `meanwhile` beside them.
    fn meet(
        &mut self,
        sale: &Sale,
        targets: [String; 2],
        meanwhile: impl FnOnce(&mut Shop, &dyn Fn() -> bool),
    ) {
        let event = event_of(&self.shop, "checkout.session.completed");
        let meeting = |invoice| Meeting {
            invoice,
            intent: sale.intent.clone(),
            event: event.clone(),
            since: self.shop.stripe.now() - ROUND_SECONDS / 2,
        };
        let meetings = targets.map(meeting);
        let line = Barrier::new(2);
        std::thread::scope(|scope| {
            let entry_points = self.pair.iter().zip(&mut self.sessions).zip(&meetings);
            let entering: Vec<_> = entry_points
                .map(|((entry_point, session), meeting)| {
                    let line = &line;
                    scope.spawn(move || {
                        line.wait();
                        entry_point.enter(session, meeting);
                    })
                })
                .collect();
            let are_through = || entering.iter().all(|entry_point| entry_point.is_finished());
            meanwhile(&mut self.shop, &are_through);
            for entry_point in entering {
                if let Err(panic) = entry_point.join() {
                    std::panic::resume_unwind(panic);
                }
            }
        });
    }

    /// All that is left to do is done.
    fn settle(&mut self) {
        self.shop.execute(
            "update invoice_sync.event set next_attempt_at = '-infinity' where state = 'pending'",
        );
        self.shop.make_all_due();
        self.shop.execute("call invoice_sync.run_sweep()");
    }

    /// `number status paid: row refunded, …` of each invoice, then the open issues, then
    /// what is still to be done.
    fn books(&mut self) -> Vec<String> {
        let lines = self.shop.texts(
            "select concat_ws(' ', i.invoice_number, i.invoice_status, i.amount_paid::int || ':',
                              string_agg(format('%s %s %s', p.payment_status, p.total_amount::int, p.refunded::int),
                                         ', ') filter (where p.id is not null))
            from invoices i left join payments p on p.invoice_id = i.id
            group by i.id order by i.invoice_number",
        );
        let mut lines: Vec<String> = lines.into_iter().flatten().collect();
        lines.extend(self.shop.open_issues());
        let pending = self.shop.texts(
            "select format('%s is left: %s', type, result) from invoice_sync.event where state = 'pending'",
        );
        lines.extend(pending.into_iter().flatten());
        lines
    }

    fn round(&mut self, scene: Scene, round: usize) {
        let how = format!("{:?} {scene:?}, round {round}", self.pair);
        self.clear();
        self.shop.stripe.advance_clock(ROUND_SECONDS);
        let sale = Sale::unbooked(&mut self.shop, "INV-1");
        let (before, wanted) = match scene {
            Scene::OneInvoice => {
                let targets = [sale.invoice.clone(), sale.invoice.clone()];
                let before = replay::rows(&mut self.shop);
                self.meet(&sale, targets, |_, _| ());
                self.settle();
                (before, vec!["INV-1 Paid 100: Paid 100 0".to_owned()])
            }
            Scene::TwoInvoices => {
                let other = self.second(&sale);
                let before = replay::rows(&mut self.shop);
                self.meet(&sale, [sale.invoice.clone(), other], |_, _| ());
                self.settle();
                (before, self.one_of_two())
            }
            Scene::InFlight(news) => self.in_flight(&sale, news, round),
        };
        let found = self.books();
        assert!(
            found == wanted,
            "{how}: {found:#?}, and not {wanted:#?}\n{}",
            replay::reported(&mut self.shop).join("\n")
        );
        if !self.pair.contains(&EntryPoint::Handler) {
            replay::assert_explains(&mut self.shop, before, &how);
        }
        if round == 0 {
            self.assert_quiet(&wanted, &how);
        }
    }

    /// Another invoice that stores the same session.
    fn second(&mut self, sale: &Sale) -> String {
        let insert = "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
            values ('INV-2', 'Customer', 'Sent', 100, $1) returning id::text";
        let row = self.shop.db.query_one(insert, &[&sale.session]);
        row.expect("the invoice is inserted").get(0)
    }

    /// The first to come has it, and the other is reported.
    fn one_of_two(&mut self) -> Vec<String> {
        let winner =
            "select i.invoice_number from payments p join invoices i on i.id = p.invoice_id";
        let (paid, unpaid) = ("Paid 100: Paid 100 0", "Sent 0:");
        match self.shop.text(winner).as_deref() {
            Some("INV-1") => vec![
                format!("INV-1 {paid}"),
                format!("INV-2 {unpaid}"),
                "unlinked_payment INV-2".to_owned(),
            ],
            _ => vec![
                format!("INV-1 {unpaid}"),
                format!("INV-2 {paid}"),
                "unlinked_payment INV-1".to_owned(),
            ],
        }
    }

    /// Answers are held back until Stripe has news, which come by webhook in every other
    /// round, and by the feed else. Gives the rows before the entry points met, and what the
    /// books are to say.
    fn in_flight(&mut self, sale: &Sale, news: News, round: usize) -> (replay::Rows, Vec<String>) {
        let (is_booked, by_webhook) = (round % 2 == 1, round % 4 < 2);
        let before = replay::rows(&mut self.shop);
        if is_booked {
            self.shop.sync(&sale.invoice);
        }
        let mut refund = None;
        if news == News::FailedRefund {
            refund = Some(self.shop.stripe.refund(&sale.intent, Refund::whole()));
            if is_booked {
                self.shop.sync(&sale.invoice);
            }
        }
        let reported = self.shop.stripe.events().len();
        self.shop.make_all_due();
        self.shop
            .stripe
            .fault(Fault::new(Action::Hold).on_path("/v1/checkout/sessions"));
        let targets = [sale.invoice.clone(), sale.invoice.clone()];
        self.meet(sale, targets, |shop, are_through| {
            let patience = Instant::now() + Duration::from_secs(120);
            while shop.stripe.held() == 0 && !are_through() && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(1));
            }
            match (news, &refund) {
                (News::Refund, _) => drop(shop.stripe.refund(&sale.intent, Refund::whole())),
                (News::Dispute, _) => {
                    drop(
                        shop.stripe
                            .dispute(&sale.intent, Dispute::new("needs_response")),
                    );
                }
                (News::FailedRefund, Some(refund)) => shop.stripe.update_refund(refund, "failed"),
                (News::FailedRefund, None) => unreachable!("it was made above"),
            }
            if by_webhook {
                let events = shop.stripe.events();
                for event in &events[reported..] {
                    deliver_as_stripe_does(shop, &event.to_string());
                }
            }
            shop.stripe.release_held();
        });
        self.settle();
        (before, self.after(news))
    }

    /// What went back before it was booked pays nothing.
    fn after(&mut self, news: News) -> Vec<String> {
        let booked_as = self.shop.text(
            "select after ->> 'payment_status' from invoice_sync.full_change where action = 'insert'",
        );
        let invoice = match booked_as.as_deref() {
            Some("Paid") => "INV-1 Paid 100:",
            _ if news == News::FailedRefund => "INV-1 Paid 100:",
            _ => "INV-1 Sent 0:",
        };
        match news {
            News::Refund => vec![
                format!("{invoice} Refunded 100 100"),
                "refunded INV-1".to_owned(),
            ],
            News::Dispute => vec![
                format!("{invoice} Disputed 100 0"),
                "disputed INV-1".to_owned(),
            ],
            News::FailedRefund => vec![format!("{invoice} Paid 100 0")],
        }
    }

    /// How many there were; the server has counted them once the sessions are gone.
    fn deadlocks(self) -> String {
        let Self {
            mut shop, sessions, ..
        } = self;
        drop(sessions);
        wait_until("the sessions are gone", || {
            let others = "select count(*) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
            shop.text(others).as_deref() == Some("0")
        });
        let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
        shop.text(deadlocks).unwrap_or_default()
    }

    /// Nothing is left to ask, and nothing changes any more.
    fn assert_quiet(&mut self, wanted: &[String], how: &str) {
        // Of two answers about one payment the older one was asked for again.
        self.shop.execute("call invoice_sync.run_sweep()");
        self.shop.stripe.reset_requests();
        self.shop.execute("call invoice_sync.run_sweep()");
        let asked = self.shop.stripe.counts_by_path();
        assert_eq!(asked.values().sum::<usize>(), 1, "{how}: {asked:?}");
        assert_eq!(self.books(), wanted, "{how}: later");
    }
}

/// The body of the latest event of this type.
fn event_of(shop: &Shop, kind: &str) -> String {
    let events = shop.stripe.events();
    let event = events.iter().rfind(|event| event["type"] == kind);
    event.expect("Stripe tells of the sale").to_string()
}

fn race(entry_points: &[EntryPoint], scene: Scene) {
    for pair in pairs(entry_points) {
        let mut arena = Arena::of(pair);
        let begun = Instant::now();
        for round in 0..rounds() {
            arena.round(scene, round);
        }
        let deadlocks = arena.deadlocks();
        println!(
            "{pair:?} {scene:?}: {} rounds in {:?}, {deadlocks} deadlocks",
            rounds(),
            begun.elapsed(),
        );
        // What a sweep in the caller's one transaction has locked, it has to the end; all
        // others keep to one order.
        if !pair.contains(&EntryPoint::Sweep) {
            assert_eq!(deadlocks, "0", "{pair:?} {scene:?}");
        }
    }
}

#[test]
fn any_two_entry_points_on_one_invoice_book_the_payment_once() {
    let mut entry_points = OURS.to_vec();
    entry_points.push(EntryPoint::Handler);
    race(&entry_points, Scene::OneInvoice);
}

#[test]
fn any_two_entry_points_on_two_invoices_with_one_payment_book_it_once() {
    race(&OURS, Scene::TwoInvoices);
}

#[test]
fn any_two_entry_points_while_the_payment_is_refunded_end_with_the_refund() {
    race(&OURS, Scene::InFlight(News::Refund));
}

#[test]
fn any_two_entry_points_while_the_payment_is_disputed_end_with_the_dispute() {
    race(&OURS, Scene::InFlight(News::Dispute));
}

#[test]
fn any_two_entry_points_while_its_refund_fails_end_with_the_payment() {
    race(&OURS, Scene::InFlight(News::FailedRefund));
}

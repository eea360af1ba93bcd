//! Random histories of sales, refunds and disputes, whose events arrive in any order, twice or late, by webhook or feed,
//! while the feed fails: the final books equal those of a shop that received everything in order.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use stripe_double::{Action, Checkout, Dispute, EventDelay, Fault, Intent, Purchase, Refund};

use super::run;
use crate::harness::Shop;
use crate::harness::books::{books, differences};
use crate::harness::dice::Dice;
use crate::harness::sender::{SECRET, deliver};

/// Some of the types that a webhook endpoint must subscribe to.
const DELIVERED: [&str; 9] = [
    "checkout.session.completed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
];

/// An event is seen so much later than newer ones, at the most, in seconds.
const LATE: i64 = 10 * 60;

/// Two shops whose money goes through one Stripe account.
struct World {
    dice: Dice,
    /// Sees everything in any order.
    shop: Shop,
    /// Sees everything in order.
    twin: Shop,
    /// Stripe's time.
    now: i64,
    invoices: usize,
    paid: Vec<Purchase>,
    disputes: Vec<String>,
    /// Events that were delivered, or not, in earlier acts.
    past: usize,
    pages_that_failed: usize,
}

impl World {
    fn new() -> Self {
        let mut shop = Shop::with_webhooks();
        let mut twin = Shop::open();
        twin.not_at_rest("it asks the stand-in of the other shop");
        twin.use_secret("stripe_webhook_secret", SECRET);
        let base = shop.stripe.url();
        twin.configure("stripe_api_base", &base);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let today = i64::try_from(since.expect("past 1970").as_secs()).expect("fits");
        // The first look at the feed goes back a day.
        let now = today - 23 * 60 * 60;
        shop.stripe.set_clock(now);
        shop.configure("http_timeout", "300ms");
        Self {
            dice: Dice::new(),
            shop,
            twin,
            now,
            invoices: 0,
            paid: Vec::new(),
            disputes: Vec::new(),
            past: 0,
            pages_that_failed: 0,
        }
    }

    /// The clock goes on, or stands still, and the next event is seen at once or late.
    fn go_on(&mut self) {
        if self.dice.once_in(3) {
            self.now += i64::try_from(self.dice.below(20)).expect("fits");
            self.shop.stripe.set_clock(self.now);
        }
        let delay = match self.dice.below(4) {
            0 => EventDelay::Held,
            1 => EventDelay::Lists(1),
            _ => EventDelay::None,
        };
        self.shop.stripe.set_event_delay(delay);
    }

    fn sell(&mut self) {
        self.go_on();
        let number = self.invoices;
        self.invoices += 1;
        let id = format!("7d8e6b50-0000-4000-8000-{number:012}");
        let checkout = |amount| Checkout::new(amount, "usd").metadata("invoice_id", &*id);
        let stripe = &self.shop.stripe;
        let (mut session, mut intent, mut pending) = (None, None, false);
        match self.dice.below(8) {
            0 => {
                let paid = stripe.intent(Intent::new(10_000, "usd")).pay();
                intent = Some(paid.intent_id());
                self.paid.push(paid);
            }
            1 => self.paid.push(stripe.checkout(checkout(10_000)).pay()),
            2 => {
                let deposit = stripe.checkout(checkout(4_000)).pay();
                let balance = stripe.checkout(checkout(6_000)).pay();
                session = Some(balance.session_id());
                self.paid.extend([deposit, balance]);
            }
            3 => {
                let paid = stripe.checkout(checkout(10_000)).pay();
                session = Some(paid.session_id());
                pending = true;
                self.paid.push(paid);
            }
            4 => session = Some(stripe.checkout(checkout(10_000)).expire().session_id()),
            5 => {
                let paid = stripe.checkout(checkout(10_000)).pay_receiving(7_000);
                session = Some(paid.session_id());
                self.paid.push(paid);
            }
            _ => {
                let paid = stripe.checkout(checkout(10_000)).pay();
                session = Some(paid.session_id());
                self.paid.push(paid);
            }
        }
        for shop in [&mut self.shop, &mut self.twin] {
            shop.db
                .execute(
                    "insert into invoices (id, invoice_number, customer, invoice_status, total_amount,
                                           stripe_session_id, stripe_payment_intent)
                    values ($1::text::uuid, $2, 'Customer', 'Sent', 100, $3, $4)",
                    &[&id, &format!("INV-{number}"), &session, &intent],
                )
                .expect("the invoice is inserted");
            if pending {
                shop.db
                    .execute(
                        "insert into payments (invoice_id, payment_name, total_amount, stripe_session_id)
                        values ($1::text::uuid, 'Expected', 100, $2)",
                        &[&id, &session],
                    )
                    .expect("the payment is inserted");
            }
        }
    }

    /// Something becomes of a payment that was made at any time.
    fn change_one(&mut self) {
        self.go_on();
        let stripe = &self.shop.stripe;
        if !self.disputes.is_empty() && self.dice.once_in(4) {
            let dispute = self
                .disputes
                .swap_remove(self.dice.below(self.disputes.len()));
            let end = ["won", "lost"][self.dice.below(2)];
            stripe.update_dispute(&dispute, end);
            return;
        }
        if self.paid.is_empty() {
            return;
        }
        let paid = self.paid.swap_remove(self.dice.below(self.paid.len()));
        match self.dice.below(4) {
            0 => drop(paid.refund(Refund::whole())),
            1 => {
                paid.refund(Refund::of(1_000));
                self.paid.push(paid);
            }
            2 => {
                let refund = paid.refund(Refund::of(500));
                stripe.update_refund(&refund, "failed");
                self.paid.push(paid);
            }
            _ => self
                .disputes
                .push(paid.dispute(Dispute::new("needs_response"))),
        }
    }

    /// Brings what has happened to both shops, and compares their books.
    fn tell(&mut self, act: &str) {
        let reported_late_until = self.now + LATE;
        for event in self.deliveries() {
            if self.dice.once_in(6) {
                self.sweep_with_trouble();
            }
            if self.dice.once_in(3) {
                let later = i64::try_from(self.dice.below(120)).expect("fits");
                self.now = (self.now + later).min(reported_late_until);
                self.shop.stripe.set_clock(self.now);
            }
            deliver(&mut self.shop.db, &event.to_string())
                .unwrap_or_else(|error| panic!("{}: {error:?}", event["type"]));
        }
        self.sweep_with_trouble();
        self.shop.stripe.release_events();
        self.past = self.shop.stripe.events().len();
        for shop in [&mut self.shop, &mut self.twin] {
            settle(shop);
        }
        let found = books(&mut self.shop.db);
        let wanted = books(&mut self.twin.db);
        let differences = differences(&found, &wanted);
        assert!(
            differences.is_empty(),
            "seed {}, {act}: {differences:#?}",
            self.dice.seed
        );
    }

    /// Some of what has happened, some of it twice, in any order.
    fn deliveries(&mut self) -> Vec<Value> {
        let mut deliveries = Vec::new();
        for event in self.shop.stripe.events().split_off(self.past) {
            if DELIVERED.contains(&event["type"].as_str().unwrap_or_default()) {
                let times = [0, 0, 0, 1, 1, 2][self.dice.below(6)];
                deliveries.extend(std::iter::repeat_n(event, times));
            }
        }
        self.dice.shuffle(&mut deliveries);
        deliveries
    }

    /// Sweeps while Stripe's feed fails on one of its pages, or does not.
    fn sweep_with_trouble(&mut self) {
        let page = 1 + u64::try_from(self.dice.below(4)).expect("fits");
        let on_page =
            |action, request| Fault::new(action).on_path("/v1/events").nth(page + request);
        let stripe = &self.shop.stripe;
        match self.dice.below(7) {
            0 => stripe.fault(on_page(Action::Status(500), 0).should_retry("false")),
            1 => stripe.fault(on_page(Action::InvalidJson, 0)),
            2 => stripe.fault(on_page(Action::Html(200), 0)),
            // What is tried again fails again.
            3 => (0..4).for_each(|again| stripe.fault(on_page(Action::Reset, again))),
            4 => (0..4).for_each(|again| stripe.fault(on_page(Action::Hang, again))),
            5 => stripe.fault(on_page(Action::TruncatedBody, 0)),
            _ => {}
        }
        let call = match self.dice.below(2) {
            0 => "call invoice_sync.run_sweep('3 seconds')",
            _ => "select invoice_sync.sweep(max_duration => '3 seconds')",
        };
        self.shop.execute(call);
        let failed = self.shop.text(
            "select (error ->> 'sqlstate' in ('08006', '08P01'))::text from invoice_sync.run
            where kind = 'sweep' order by id desc limit 1",
        );
        self.pages_that_failed += usize::from(failed.as_deref() == Some("true"));
        self.shop.stripe.clear_faults();
    }
}

/// Sweeps until all is seen, and what was put off is tried again.
fn settle(shop: &mut Shop) {
    for _ in 0..2 {
        run(&mut shop.db);
        shop.execute(
            "update invoice_sync.event set next_attempt_at = now() where state = 'pending'",
        );
    }
    run(&mut shop.db);
}

/// How many acts a history has.
fn acts() -> usize {
    std::env::var("INVOICE_SYNC_ACTS").map_or(8, |acts| {
        acts.parse().expect("INVOICE_SYNC_ACTS is a number")
    })
}

#[test]
fn whatever_way_events_come_the_books_end_the_same() {
    let mut world = World::new();
    for act in 0..acts() {
        // Now and then more than a page of events.
        let sales = if world.dice.once_in(5) { 45 } else { 6 };
        (0..sales).for_each(|_| world.sell());
        world.tell(&format!("sales of act {act}"));
        let changes = world.dice.below(10);
        (0..changes).for_each(|_| world.change_one());
        world.tell(&format!("changes of act {act}"));
        world.now += 60 * 60;
        world.shop.stripe.set_clock(world.now);
    }
    println!("{} sweeps met a feed that failed", world.pages_that_failed);
    assert!(world.pages_that_failed > 0, "the feed never failed");
    let pages = world.shop.stripe.requests().into_iter();
    let second_pages = pages.filter(|seen| {
        seen.path == "/v1/events"
            && (seen.param("starting_after").is_some() || seen.param("ending_before").is_some())
    });
    assert!(second_pages.count() > 0, "there was never a second page");
}

//! Plays the steps that are Stripe's, the application's or time's. A step about something that is
//! not there, or not so, is passed over.

use serde_json::Value;
use stripe_double::{Action, Checkout, Dispute, Fault, Intent, Refund};

use super::step::{Bill, Names, Order, Sale, Step, Trouble};
use super::watch::Who;
use super::world::{Purchase, World};
use crate::harness::dice::Dice;
use crate::harness::sender::deliver;

/// The types that a webhook's endpoint is told to subscribe to.
const DELIVERED: [&str; 14] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
];

impl World<'_> {
    /// Plays a step, and tells what is wrong afterwards.
    pub fn play(&mut self, step: &Step) -> Result<(), String> {
        let who = self.act(step)?;
        self.hear();
        self.watch(who)
    }

    /// Plays a step; tells who may have written.
    pub fn act(&mut self, step: &Step) -> Result<Who, String> {
        match step {
            Step::Checkout { .. }
            | Step::Intent { .. }
            | Step::Pay(_)
            | Step::Expire(_)
            | Step::Refund { .. }
            | Step::RefundBecomes(..)
            | Step::Dispute(_)
            | Step::DisputeBecomes(..) => {
                self.happens_at_stripe(step);
                Ok(Who::Application)
            }
            Step::Handler { .. }
            | Step::MarkPaid(_)
            | Step::Cash { .. }
            | Step::Cancel(_)
            | Step::Delete(_)
            | Step::Total { .. }
            | Step::Store { .. } => {
                self.application_writes(step);
                Ok(Who::Application)
            }
            Step::Deliver {
                count,
                order,
                twice,
            } => {
                self.deliver(*count, *order, *twice)?;
                Ok(Who::Machine)
            }
            Step::Lose(count) => {
                self.hear();
                let count = (*count).min(self.waiting.len());
                self.waiting.drain(..count);
                Ok(Who::Application)
            }
            Step::Again(number) => {
                if !self.came.is_empty() {
                    let event = self.came[self.came.len() - 1 - number % self.came.len()].clone();
                    self.deliver_one(&event)?;
                }
                Ok(Who::Machine)
            }
            Step::Fetching(asks) => {
                self.execute(&format!(
                    "update invoice_sync.settings set stripe_fetch_on_webhook = {asks}"
                ));
                Ok(Who::Application)
            }
            Step::Trouble(trouble, times) => {
                self.trouble(*trouble, *times);
                Ok(Who::Application)
            }
            Step::Time(seconds) => {
                self.time(*seconds);
                Ok(Who::Application)
            }
            _ => self.go_through(step),
        }
    }

    /// Notes what Stripe has to tell since.
    pub fn hear(&mut self) {
        let mut events = self.stripe.events();
        let new = events.split_off(self.events_seen);
        self.events_seen += new.len();
        let told = new.into_iter().filter(|event| {
            let kind = event["type"].as_str().unwrap_or_default();
            DELIVERED.contains(&kind)
        });
        self.waiting.extend(told);
    }

    fn happens_at_stripe(&mut self, step: &Step) {
        match *step {
            Step::Checkout {
                sale,
                bill,
                amount,
                gratuity,
                names,
                stored,
                pending,
            } => self.open_checkout(sale, bill, (amount, gratuity), names, (stored, pending)),
            Step::Intent {
                sale,
                bill,
                amount,
                gratuity,
                named,
                stored,
            } => self.pay_intent(sale, bill, (amount, gratuity), (named, stored)),
            Step::Pay(sale) => self.with_open(sale, |world, purchase| {
                world.stripe.purchase(&*purchase.handle).pay();
            }),
            Step::Expire(sale) => self.with_open(sale, |world, purchase| {
                world.stripe.purchase(&*purchase.handle).expire();
            }),
            Step::Refund {
                sale,
                amount,
                pending,
            } => self.with_charge(sale, |world, purchase, left| {
                let amount = amount.unwrap_or(left);
                if amount > left || left == 0 || is_disputed(world, purchase) {
                    return;
                }
                let status = if pending { "pending" } else { "succeeded" };
                let refund = Refund::of(amount).status(status);
                let id = world.stripe.refund(&purchase.handle, refund);
                purchase.refunds.push(id);
            }),
            Step::RefundBecomes(sale, status) => self.with_charge(sale, |world, purchase, _| {
                let Some(id) = purchase.refunds.last() else {
                    return;
                };
                let is = world.stripe.object(id).unwrap_or_default()["status"].clone();
                if is == "pending" || (is == "succeeded" && status == "failed") {
                    world.stripe.update_refund(id, status);
                }
            }),
            Step::Dispute(sale) => self.with_charge(sale, |world, purchase, left| {
                if purchase.disputes.is_empty() && left > 0 {
                    let dispute = Dispute::new("needs_response");
                    let id = world.stripe.dispute(&purchase.handle, dispute);
                    purchase.disputes.push(id);
                }
            }),
            Step::DisputeBecomes(sale, status) => self.with_charge(sale, |world, purchase, _| {
                if let Some(id) = purchase.disputes.last()
                    && is_disputed(world, purchase)
                {
                    world.stripe.update_dispute(id, status);
                }
            }),
            _ => {}
        }
    }

    fn open_checkout(
        &mut self,
        sale: Sale,
        bill: Bill,
        (amount, gratuity): (i64, i64),
        names: Names,
        (stored, pending): (bool, bool),
    ) {
        let id = self.bills[bill].id.clone();
        let mut checkout = Checkout::new(amount, "usd");
        if gratuity > 0 {
            checkout = checkout.metadata("gratuity_amount", decimal(gratuity));
        }
        if matches!(names, Names::Session | Names::Both) {
            checkout = checkout.metadata("invoice_id", &*id);
        }
        if matches!(names, Names::Intent | Names::Both) {
            checkout = checkout.intent_metadata("invoice_id", &*id);
        }
        let session = self.stripe.checkout(checkout).session_id();
        if stored {
            self.store_ids(bill, Some(&session), None);
        }
        if pending && !self.bills[bill].deleted {
            let amount = self.money(amount - gratuity);
            self.execute(&format!(
                "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
                values ('{id}', 'Expected', 'Pending', {amount}, '{session}')"
            ));
        }
        self.sales.insert(
            sale,
            Purchase {
                bill,
                handle: session.clone(),
                session: Some(session),
                gratuity,
                named: names != Names::Nowhere,
                refunds: Vec::new(),
                disputes: Vec::new(),
                careless: false,
            },
        );
        self.played += 1;
    }

    fn pay_intent(
        &mut self,
        sale: Sale,
        bill: Bill,
        (amount, gratuity): (i64, i64),
        (named, stored): (bool, bool),
    ) {
        let mut intent = Intent::new(amount, "usd");
        if gratuity > 0 {
            intent = intent.metadata("gratuity_amount", decimal(gratuity));
        }
        if named {
            intent = intent.metadata("invoice_id", &*self.bills[bill].id);
        }
        let handle = self.stripe.intent(intent).pay().intent_id();
        if stored {
            self.store_ids(bill, None, Some(&handle));
        }
        self.sales.insert(
            sale,
            Purchase {
                bill,
                handle,
                session: None,
                gratuity,
                named,
                refunds: Vec::new(),
                disputes: Vec::new(),
                careless: false,
            },
        );
        self.played += 1;
    }

    fn store_ids(&mut self, bill: Bill, session: Option<&str>, intent: Option<&str>) {
        if self.bills[bill].deleted {
            return;
        }
        let columns = [
            ("stripe_session_id", session),
            ("stripe_payment_intent", intent),
        ];
        for (column, id) in columns {
            if let Some(id) = id {
                self.stored.entry(id.to_owned()).or_default().insert(bill);
                let invoice = self.bills[bill].id.clone();
                self.execute(&format!(
                    "update invoices set {column} = '{id}' where id = '{invoice}'"
                ));
            }
        }
    }

    fn with_open(&mut self, sale: Sale, act: impl FnOnce(&Self, &Purchase)) {
        let Some(purchase) = self.sales.get(&sale) else {
            return;
        };
        let object = self.stripe.object(&purchase.handle).unwrap_or_default();
        if object["status"] == "open" {
            act(self, purchase);
            self.played += 1;
        }
    }

    /// `act` is handed how much of the charge is left to refund.
    fn with_charge(&mut self, sale: Sale, act: impl FnOnce(&Self, &mut Purchase, i64)) {
        let Some(mut purchase) = self.sales.get(&sale).cloned() else {
            return;
        };
        if self.is_paid(&purchase) {
            let (received, refunded) = self.received(&purchase);
            act(self, &mut purchase, received - refunded);
            self.sales.insert(sale, purchase);
            self.played += 1;
        }
    }

    /// How much Stripe received for a purchase, and how much of that went back.
    pub fn received(&self, purchase: &Purchase) -> (i64, i64) {
        let intent = self.intent(purchase).and_then(|id| self.stripe.object(&id));
        let received = intent.map_or(0, |intent| intent["amount_received"].as_i64().unwrap_or(0));
        let refunds = purchase.refunds.iter().map(|id| {
            let refund = self.stripe.object(id).unwrap_or_default();
            let counts = refund["status"] == "succeeded" || refund["status"] == "pending";
            i64::from(counts) * refund["amount"].as_i64().unwrap_or(0)
        });
        (received, refunds.sum())
    }

    fn application_writes(&mut self, step: &Step) {
        match *step {
            Step::Handler { sale, careful } => self.handle(sale, careful),
            Step::MarkPaid(bill) => self.set_invoice(bill, |known| {
                known.set_by_hand = true;
                "invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0".to_owned()
            }),
            Step::Cash { bill, amount, told } => self.enter_cash(bill, amount, told),
            Step::Cancel(bill) => self.set_invoice(bill, |known| {
                known.cancelled = true;
                "invoice_status = 'Cancelled'".to_owned()
            }),
            Step::Delete(bill) => {
                let id = self.bills[bill].id.clone();
                self.bills[bill].deleted = true;
                self.execute(&format!(
                    "delete from payments where invoice_id = '{id}'; delete from invoices where id = '{id}'"
                ));
            }
            Step::Total { bill, amount } => {
                let amount = self.money(amount);
                self.set_invoice(bill, |known| {
                    known.total_changed = true;
                    format!("total_amount = {amount}, balance_due = {amount} - amount_paid")
                });
            }
            Step::Store { bill, sale } => {
                let Some(purchase) = self.sales.get(&sale).cloned() else {
                    return;
                };
                let intent = match purchase.session {
                    Some(_) => None,
                    None => Some(&*purchase.handle),
                };
                self.store_ids(bill, purchase.session.as_deref(), intent);
                self.played += 1;
            }
            _ => {}
        }
    }

    fn set_invoice(
        &mut self,
        bill: Bill,
        assignments: impl FnOnce(&mut super::world::Known) -> String,
    ) {
        let known = &mut self.bills[bill];
        if known.deleted || known.cancelled {
            return;
        }
        let assignments = assignments(known);
        let id = known.id.clone();
        self.execute(&format!(
            "update invoices set {assignments} where id = '{id}'"
        ));
        self.played += 1;
    }

    /// As applications do it: the row, and the invoice's sums.
    fn handle(&mut self, sale: Sale, careful: bool) {
        let Some(purchase) = self.sales.get(&sale).cloned() else {
            return;
        };
        let known = self.bills[purchase.bill].clone();
        if known.deleted || known.cancelled || !self.is_paid(&purchase) {
            return;
        }
        let intent = self.intent(&purchase).unwrap_or_default();
        let (received, _) = self.received(&purchase);
        let session = purchase.session.as_deref();
        let looks = format!(
            "where not exists (select from payments where stripe_payment_intent = '{intent}' or stripe_session_id = '{}')",
            session.unwrap_or_default()
        );
        let booked = self
            .texts("select stripe_payment_intent from payments where payment_status <> 'Pending'");
        if !careful && booked.contains(&intent) {
            self.sales.entry(sale).and_modify(|it| it.careless = true);
        }
        self.execute(&format!(
            "insert into payments (invoice_id, payment_name, payment_status, payment_method, total_amount,
                                   gratuity, transaction_date, stripe_session_id, stripe_payment_intent)
            select '{invoice}', 'Handled', 'Paid', 'card', {amount}, {gratuity}, current_date, {session}, '{intent}'
            {looks}
            on conflict do nothing;
            update invoices i
            set amount_paid = greatest(i.amount_paid, p.paid),
                balance_due = greatest(i.total_amount - greatest(i.amount_paid, p.paid), 0),
                invoice_status = case
                    when greatest(i.amount_paid, p.paid) >= i.total_amount then 'Paid'
                    when i.invoice_status = 'Paid' then 'Paid'
                    when p.paid > 0 then 'Partial'
                    else i.invoice_status
                end
            from (select coalesce(sum(total_amount), 0) as paid from payments
                  where invoice_id = '{invoice}' and payment_status = 'Paid') p
            where i.id = '{invoice}'",
            invoice = known.id,
            amount = self.money(received - purchase.gratuity),
            gratuity = self.money(purchase.gratuity),
            session = session.map_or("null".to_owned(), |id| format!("'{id}'")),
            looks = if careful { &looks } else { "" },
        ));
        self.bills[purchase.bill].set_by_hand = true;
        self.played += 1;
    }

    fn enter_cash(&mut self, bill: Bill, amount: i64, told: bool) {
        let known = &mut self.bills[bill];
        if known.deleted || known.cancelled {
            return;
        }
        known.cash = true;
        let id = known.id.clone();
        let amount = self.money(amount);
        self.execute(&format!(
            "insert into payments (invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date)
            values ('{id}', 'Over the counter', 'Paid', 'cash', {amount}, current_date)"
        ));
        if told {
            self.execute(&format!(
                "update invoices
                set amount_paid = amount_paid + {amount},
                    balance_due = greatest(total_amount - amount_paid - {amount}, 0),
                    invoice_status = case when amount_paid + {amount} >= total_amount or invoice_status = 'Paid'
                        then 'Paid' else 'Partial' end
                where id = '{id}'"
            ));
            self.bills[bill].set_by_hand = true;
        }
        self.played += 1;
    }

    fn deliver(&mut self, count: usize, order: Order, twice: bool) -> Result<(), String> {
        self.hear();
        let count = count.min(self.waiting.len());
        let mut events: Vec<Value> = self.waiting.drain(..count).collect();
        match order {
            Order::AsTheyHappened => {}
            Order::Backwards => events.reverse(),
            Order::Shuffled(seed) => Dice::of(seed).shuffle(&mut events),
        }
        for event in &events {
            self.deliver_one(event)?;
            if twice {
                self.deliver_one(event)?;
            }
        }
        self.played += usize::from(count > 0);
        self.came.extend(events);
        Ok(())
    }

    pub fn deliver_one(&mut self, event: &Value) -> Result<(), String> {
        deliver(&mut self.db, &event.to_string())
            .map(drop)
            .map_err(|error| format!("webhook {} failed: {error:?}", event["type"]))
    }

    fn trouble(&mut self, trouble: Trouble, times: u64) {
        let action = match trouble {
            Trouble::Error500 => Action::Status(500),
            Trouble::RateLimited => Action::RateLimited,
            Trouble::Reset => Action::Reset,
            Trouble::Truncated => Action::TruncatedBody,
            Trouble::Slow => Action::Latency(std::time::Duration::from_millis(30)),
            Trouble::Outage => Action::Status(503),
        };
        // Tried again at once, so that a life does not wait.
        let mut fault = Fault::new(action).on_path("/v1/").retry_after(0);
        fault = match trouble {
            Trouble::Outage => fault.times(times * 8).should_retry("false"),
            Trouble::Reset | Trouble::Truncated => fault.times(1),
            _ => fault.times(times),
        };
        self.stripe.fault(fault);
        self.trouble = true;
    }

    pub fn time(&mut self, seconds: i64) {
        self.stripe.age(seconds);
        self.execute(&format!("call lives.age({seconds})"));
    }
}

/// Whether a dispute of a purchase is under way or was lost.
pub fn is_disputed(world: &World, purchase: &Purchase) -> bool {
    let last = purchase.disputes.last();
    let dispute = last
        .and_then(|id| world.stripe.object(id))
        .unwrap_or_default();
    dispute["status"] == "needs_response"
}

fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

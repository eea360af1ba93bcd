//! Plays the steps that happen at Stripe: checkouts, payments, refunds, disputes.

use stripe_double::{Checkout, Dispute, Intent, Refund};

use super::step::{Bill, Names, Sale, Step};
use super::world::{Purchase, World};

impl World<'_> {
    pub(super) fn happens_at_stripe(&mut self, step: &Step) {
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

//! Plays a step. One about something that is not there, or not so, is passed over.

use serde_json::Value;
use stripe_double::{Action, Fault};

use super::step::{Order, Step, Trouble};
use super::watch::Who;
use super::world::World;
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
        let new = self.stripe.events_after(self.events_seen);
        self.events_seen += new.len();
        let told = new.into_iter().filter(|event| {
            let kind = event["type"].as_str().unwrap_or_default();
            DELIVERED.contains(&kind)
        });
        self.waiting.extend(told);
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
        self.execute(include_str!("../harness/age.sql"));
        self.execute(&format!("call pg_temp.age({seconds})"));
    }
}

//! The functions that execute the owner's code, and their callers.

use postgres::Client;
use stripe_double::Checkout;

use super::{Roles, Scene};
use crate::harness::sender::{SECRET, now, signature};
use crate::harness::{connect_as, tell};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EntryPoint {
    Sweep,
    SweepDry,
    RunSweep,
    Sync,
    SyncDry,
    Webhook,
    Resolve,
    Undo,
    Doctor,
    PaidWithoutPayment,
    OtherViews,
}

pub const ENTRY_POINTS: &[EntryPoint] = &[
    EntryPoint::Sweep,
    EntryPoint::SyncDry,
    EntryPoint::Doctor,
    EntryPoint::Undo,
    EntryPoint::RunSweep,
    EntryPoint::SweepDry,
    EntryPoint::Resolve,
    EntryPoint::OtherViews,
    EntryPoint::Webhook,
    EntryPoint::PaidWithoutPayment,
    EntryPoint::Sync,
];

impl EntryPoint {
    /// `run_sweep` cannot be called in a transaction.
    pub fn is_open_to(self, caller: Caller) -> bool {
        self.is_in_transactions() || caller != Caller::Gateway
    }

    /// Whether it can be called in a transaction of the caller's.
    pub fn is_in_transactions(self) -> bool {
        self != Self::RunSweep
    }

    /// Whether there is always code of the owner's to be called.
    pub fn fires(self) -> bool {
        !matches!(
            self,
            Self::Doctor | Self::OtherViews | Self::PaidWithoutPayment
        )
    }

    /// Makes what there is to do, and gives the call.
    pub fn set(self, scene: &mut Scene) -> String {
        match self {
            Self::Sweep => {
                lost(scene);
                "select invoice_sync.sweep()".to_owned()
            }
            Self::SweepDry => {
                lost(scene);
                "select invoice_sync.sweep(dry_run => true)".to_owned()
            }
            Self::RunSweep => {
                lost(scene);
                "call invoice_sync.run_sweep()".to_owned()
            }
            Self::Sync => format!("select invoice_sync.sync_invoice('{}')", lost(scene)),
            Self::SyncDry => format!("select invoice_sync.sync_invoice('{}', true)", lost(scene)),
            Self::Webhook => {
                lost(scene);
                let body = scene
                    .shop
                    .stripe
                    .events()
                    .into_iter()
                    .rfind(|event| event["type"] == "checkout.session.completed")
                    .expect("a session was completed")
                    .to_string();
                let signature = signature(SECRET, now(), &body);
                format!("select invoice_sync.handle_webhook($body${body}$body$, '{signature}')")
            }
            Self::Resolve => {
                let number = scene.next_number();
                scene.as_attacker(&format!(
                    "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
                    values ('{number}', 'Ada', 'Paid', 125, 125, 0)"
                ));
                scene.shop.execute("select invoice_sync.sweep()");
                let issue = scene
                    .shop
                    .text("select max(id) from invoice_sync.open_issues where kind = 'paid_without_payment'")
                    .expect("the sweep found it");
                format!(
                    "select invoice_sync.resolve_issue({issue}, 'set_status', arguments => '{{\"status\": \"Cancelled\"}}')"
                )
            }
            Self::Undo => {
                let invoice = lost(scene);
                scene
                    .shop
                    .execute(&format!("select invoice_sync.sync_invoice('{invoice}')"));
                let run = scene
                    .shop
                    .text("select max(run_id) from invoice_sync.change")
                    .expect("it was repaired");
                format!("select invoice_sync.undo({run})")
            }
            Self::Doctor => "select * from invoice_sync.doctor()".to_owned(),
            Self::PaidWithoutPayment => {
                "select * from invoice_sync.paid_without_payment".to_owned()
            }
            Self::OtherViews => "select * from invoice_sync.stripe_without_payment;
                select * from invoice_sync.status; select * from invoice_sync.metrics;
                select * from invoice_sync.open_issues; select * from invoice_sync.recent_runs"
                .to_owned(),
        }
    }
}

/// An invoice whose webhook was lost, inserted by its table's owner; gives its id.
fn lost(scene: &mut Scene) -> String {
    let number = scene.next_number();
    let paid = scene
        .shop
        .stripe
        .checkout(Checkout::new(12_500, "usd"))
        .pay();
    let inserted = scene
        .attacker
        .query_one(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount, balance_due, stripe_session_id)
            values ($1, 'Ada', 'Sent', 125, 125, $2) returning id::text",
            &[&number, &paid.session_id()],
        )
        .unwrap_or_else(|error| panic!("{}", tell(&error)));
    inserted.get(0)
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Caller {
    Superuser,
    Operator,
    /// As an RPC gateway does it: a session that may take several roles, and a transaction as one of them.
    Gateway,
}

impl Caller {
    pub const ALL: [Self; 3] = [Self::Superuser, Self::Operator, Self::Gateway];

    /// With things of the caller's own in it, which nobody else should touch.
    pub fn session(self, scene: &Scene) -> Client {
        let mut session = match self {
            Self::Superuser => scene.shop.connect(),
            Self::Operator => connect_as(scene.shop.name(), &scene.roles.operator),
            Self::Gateway => connect_as(scene.shop.name(), &scene.roles.gateway),
        };
        session
            .batch_execute(
                "do 'begin end'; prepare callers as select 1; listen callers; set \"callers.own\" = 'as it was'",
            )
            .expect("anybody may");
        session
    }

    /// Begins a transaction; an operator does without.
    pub fn begin(self, session: &mut Client, roles: &Roles) {
        let begin = match self {
            Self::Operator => return,
            Self::Superuser => "begin".to_owned(),
            Self::Gateway => format!(
                "begin;
                set local role {operator};
                select pg_catalog.set_config('request.jwt.claims', '{{\"role\": \"service_role\"}}', true)",
                operator = roles.operator
            ),
        };
        session
            .batch_execute(&format!(
                "{begin}; declare callers cursor for select n from generate_series(1, 3) n"
            ))
            .expect("anybody may");
    }

    /// Gives whether PostgreSQL refused what the attack had left, which may cost the caller
    /// an error, but no more.
    pub fn call(self, session: &mut Client, call: &str, place: &str) -> bool {
        let Err(error) = session.batch_execute(call) else {
            return false;
        };
        let message = tell(&error);
        assert!(
            message.contains("within security-restricted operation"),
            "{place}: {call}: {message}"
        );
        true
    }
}

//! Plays the steps that go through the extension's entry points: one after the other, two at the same
//! moment, with Stripe's answers held back, with an invoice locked, or terminated.

use std::sync::Barrier;

use postgres::Client;
use serde_json::Value;
use stripe_double::{Action, Fault};

use super::step::{Bill, EntryPoint, Step};
use super::watch::Who;
use super::world::World;
use crate::harness::sender::{now, signature};
use crate::harness::wait_until;

/// What is asked of a session: a statement, and of a webhook its body and signature.
struct Call {
    sql: String,
    parameters: Vec<String>,
    entry_point: EntryPoint,
}

/// How a call went wrong.
struct Refused {
    sqlstate: String,
    words: String,
}

impl World<'_> {
    pub(super) fn go_through(&mut self, step: &Step) -> Result<Who, String> {
        match step {
            Step::EntryPoint(entry_point) => {
                if let Some(call) = self.call(*entry_point) {
                    let outcome = call.make(&mut self.db);
                    self.accept(&call, outcome)?;
                    self.played += 1;
                }
                Ok(Who::Machine)
            }
            Step::Together(one, other) => {
                self.together(*one, *other)?;
                Ok(Who::Machine)
            }
            Step::Held {
                entry_point,
                meanwhile,
            } => {
                self.hold(*entry_point, meanwhile)?;
                Ok(Who::Both)
            }
            Step::Locked { bill, entry_points } => {
                self.lock(*bill, entry_points)?;
                Ok(Who::Machine)
            }
            Step::Killed(entry_point) => {
                self.kill(*entry_point)?;
                Ok(Who::Machine)
            }
            Step::Undo(back) => {
                self.undo(*back)?;
                Ok(Who::Person)
            }
            Step::Resolve { issue, action } => {
                self.resolve(*issue, *action)?;
                Ok(Who::Person)
            }
            Step::Acknowledge(issue) => {
                if let Some(id) = self.issue(*issue) {
                    self.execute(&format!("select invoice_sync.acknowledge_issue({id})"));
                }
                Ok(Who::Person)
            }
            Step::Rest => {
                self.rest()?;
                Ok(Who::Machine)
            }
            _ => Ok(Who::Machine),
        }
    }

    /// What a entry point is asked; nothing where no webhook waits.
    fn call(&mut self, entry_point: EntryPoint) -> Option<Call> {
        let id = |world: &Self, bill: Bill| world.bills[bill].id.clone();
        let sql = match entry_point {
            EntryPoint::RunSweep => "call invoice_sync.run_sweep()".to_owned(),
            EntryPoint::Sweep => "select invoice_sync.sweep()".to_owned(),
            EntryPoint::DrySweep => "select invoice_sync.sweep(dry_run => true)".to_owned(),
            EntryPoint::Button(bill) => {
                format!("select invoice_sync.sync_invoice('{}')", id(self, bill))
            }
            EntryPoint::DryButton(bill) => {
                let id = id(self, bill);
                format!("select invoice_sync.sync_invoice(invoice_id => '{id}', dry_run => true)")
            }
            EntryPoint::Backfill => {
                "call invoice_sync.backfill(now() - interval '3 days')".to_owned()
            }
            EntryPoint::Webhook(number) => {
                self.hear();
                if self.waiting.is_empty() {
                    return None;
                }
                let event = self.waiting.remove(number % self.waiting.len());
                let body = event.to_string();
                let signed = signature(crate::harness::sender::SECRET, now(), &body);
                self.came.push(event);
                return Some(Call {
                    sql: "select invoice_sync.handle_webhook($1::text, $2::text)".to_owned(),
                    parameters: vec![body, signed],
                    entry_point,
                });
            }
        };
        Some(Call {
            sql,
            parameters: Vec::new(),
            entry_point,
        })
    }

    /// Whether a call may have gone so.
    fn accept(
        &mut self,
        call: &Call,
        outcome: Result<Option<Value>, Refused>,
    ) -> Result<(), String> {
        let report = match outcome {
            Ok(report) => report,
            Err(refused) => {
                let expected: &[&str] = match call.entry_point {
                    EntryPoint::Button(bill) | EntryPoint::DryButton(bill)
                        if self.bills[bill].deleted =>
                    {
                        &["P0002"]
                    }
                    EntryPoint::Button(_) | EntryPoint::DryButton(_) if self.trouble => {
                        &["08006", "08P01"]
                    }
                    // Another is under way, or there is nothing to do.
                    EntryPoint::Backfill if self.trouble => &["08006", "08P01", "55000", "22023"],
                    EntryPoint::Backfill => &["55000", "22023"],
                    _ => &[],
                };
                if expected.contains(&&*refused.sqlstate) {
                    return Ok(());
                }
                return Err(format!(
                    "{:?} failed: {} {}",
                    call.entry_point, refused.sqlstate, refused.words
                ));
            }
        };
        let text = report.map(|report| report.to_string()).unwrap_or_default();
        if text.contains("XX000") {
            return Err(format!(
                "{:?} tells of an internal error: {text}",
                call.entry_point
            ));
        }
        Ok(())
    }

    fn together(&mut self, one: EntryPoint, other: EntryPoint) -> Result<(), String> {
        let calls: Vec<Call> = [one, other]
            .into_iter()
            .filter_map(|entry_point| self.call(entry_point))
            .collect();
        let start = Barrier::new(calls.len());
        let sessions: Vec<Client> = calls.iter().map(|_| self.session()).collect();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = calls
                .iter()
                .zip(sessions)
                .map(|(call, mut session)| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        (call.make(&mut session), session)
                    })
                })
                .collect();
            running
                .into_iter()
                .map(|call| call.join().expect("no panic"))
                .collect()
        });
        for (call, (outcome, session)) in calls.iter().zip(outcomes) {
            self.spare.push(session);
            if !self.delivers_again(call, &outcome) {
                self.accept(call, outcome)?;
            }
        }
        self.played += 1;
        Ok(())
    }

    /// Whether an event could not be stored, because the other session held it longer than a delivery may take, as
    /// may be on a busy machine: Stripe delivers it again.
    fn delivers_again(&mut self, call: &Call, outcome: &Result<Option<Value>, Refused>) -> bool {
        if !matches!(outcome, Err(refused) if refused.sqlstate == "58000") {
            return false;
        }
        let is_it = |event: &Value| call.parameters.contains(&event.to_string());
        let Some(place) = self.came.iter().position(is_it) else {
            return false;
        };
        let event = self.came.remove(place);
        self.waiting.push(event);
        true
    }

    fn hold_answers(&self) {
        for path in ["/v1/checkout", "/v1/payment_intents", "/v1/charges"] {
            self.stripe
                .fault(Fault::new(Action::Hold).on_path(path).always());
        }
    }

    fn hold(&mut self, entry_point: EntryPoint, meanwhile: &[Step]) -> Result<(), String> {
        self.mend();
        let Some(call) = self.call(entry_point) else {
            return Ok(());
        };
        self.hold_answers();
        let mut session = self.session();
        let (outcome, happened) = std::thread::scope(|scope| {
            let running = scope.spawn(|| call.make(&mut session));
            wait_until("an answer is held, or none was asked for", || {
                self.stripe.held() > 0 || running.is_finished()
            });
            self.stripe.clear_faults();
            let mut happened = Ok(Who::Both);
            for step in meanwhile {
                happened = happened.and_then(|_| self.act(step));
            }
            self.stripe.release_held();
            (running.join().expect("no panic"), happened)
        });
        self.spare.push(session);
        happened?;
        self.played += 1;
        self.accept(&call, outcome)
    }

    fn lock(&mut self, bill: Bill, entry_points: &[EntryPoint]) -> Result<(), String> {
        let mut application = self.session();
        let id = &self.bills[bill].id;
        let locked = format!("begin; select from invoices where id = '{id}' for update");
        application
            .batch_execute(&locked)
            .map_err(|error| error.to_string())?;
        self.execute("set lock_timeout = '150ms'");
        for entry_point in entry_points {
            if let Some(call) = self.call(*entry_point) {
                let outcome = call.make(&mut self.db);
                self.accept(&call, outcome)?;
                self.played += 1;
            }
        }
        self.execute("reset lock_timeout");
        application
            .batch_execute("rollback")
            .map_err(|error| error.to_string())?;
        self.spare.push(application);
        Ok(())
    }

    fn kill(&mut self, entry_point: EntryPoint) -> Result<(), String> {
        if std::env::var("INVOICE_SYNC_LIVES_SPARE").is_ok() {
            return Ok(());
        }
        self.mend();
        let Some(call) = self.call(entry_point) else {
            return Ok(());
        };
        self.hold_answers();
        let mut session = self.session();
        let process: i32 = session
            .query_one("select pg_backend_pid()", &[])
            .map_err(|error| error.to_string())?
            .get(0);
        std::thread::scope(|scope| {
            let running = scope.spawn(|| call.make(&mut session));
            wait_until("an answer is held, or none was asked for", || {
                self.stripe.held() > 0 || running.is_finished()
            });
            let _ = self
                .db
                .execute("select pg_terminate_backend($1)", &[&process]);
            self.stripe.clear_faults();
            let _ = running.join();
            self.stripe.release_held();
        });
        wait_until("the session has ended", || {
            self.texts(&format!(
                "select pid from pg_stat_activity where pid = {process}"
            ))
            .is_empty()
        });
        self.played += 1;
        Ok(())
    }

    /// Ends Stripe's trouble.
    pub fn mend(&mut self) {
        self.stripe.clear_faults();
        self.trouble = false;
    }

    fn undo(&mut self, back: usize) -> Result<(), String> {
        let runs = self.texts(
            "select run_id from invoice_sync.full_change c join invoice_sync.run r on r.id = c.run_id
            where r.kind not in ('undo') and c.undone_by is null group by run_id order by run_id desc",
        );
        let Some(run) = runs.get(back) else {
            return Ok(());
        };
        let touched = self.texts(&format!(
            "select distinct invoice_id from invoice_sync.full_change where run_id = {run}"
        ));
        for bill in &mut self.bills {
            bill.undone |= touched.contains(&bill.id);
        }
        self.played += 1;
        self.db
            .query_one(&format!("select invoice_sync.undo({run})"), &[])
            .map(drop)
            .map_err(|error| format!("undo of run {run}: {}", crate::harness::tell(&error)))
    }

    fn issue(&mut self, number: usize) -> Option<String> {
        let issues =
            self.texts("select id from invoice_sync.issue where state <> 'resolved' order by id");
        (!issues.is_empty()).then(|| issues[number % issues.len()].clone())
    }

    fn resolve(&mut self, number: usize, action: usize) -> Result<(), String> {
        let Some(issue) = self.issue(number) else {
            return Ok(());
        };
        let actions = self.texts(&format!(
            "select action from invoice_sync.issue_actions({issue}) where action <> 'link_payment'"
        ));
        if actions.is_empty() {
            return Ok(());
        }
        let action = &actions[action % actions.len()];
        let invoice = self.texts(&format!(
            "select invoice_id from invoice_sync.issue where id = {issue}"
        ));
        for bill in &mut self.bills {
            bill.decided |= invoice.contains(&bill.id) && action != "repair_again";
        }
        let arguments = match &**action {
            "set_status" | "revert_to_unpaid" => r#"{"status": "Sent", "new_word": true}"#,
            _ => "{}",
        };
        self.played += 1;
        let outcome = self.db.query_one(
            &format!(
                "select invoice_sync.resolve_issue({issue}, '{action}', 'a note', '{arguments}')"
            ),
            &[],
        );
        let Err(error) = outcome else {
            return Ok(());
        };
        let sqlstate = error
            .code()
            .map(|code| code.code().to_owned())
            .unwrap_or_default();
        // The facts have moved, or the action does not fit them; or Stripe cannot be asked.
        if ["55000", "22023", "P0002"].contains(&&*sqlstate)
            || self.trouble && ["08006", "08P01"].contains(&&*sqlstate)
        {
            return Ok(());
        }
        Err(format!(
            "{action} of issue {issue}: {}",
            crate::harness::tell(&error)
        ))
    }
}

impl Call {
    fn make(&self, session: &mut Client) -> Result<Option<Value>, Refused> {
        let parameters: Vec<&(dyn postgres::types::ToSql + Sync)> =
            self.parameters.iter().map(|text| text as _).collect();
        let outcome = if self.sql.starts_with("call") {
            session.batch_execute(&self.sql).map(|()| None)
        } else {
            session
                .query_one(&self.sql, &parameters)
                .map(|row| row.get(0))
        };
        outcome.map_err(|error| Refused {
            sqlstate: error
                .code()
                .map(|code| code.code().to_owned())
                .unwrap_or_default(),
            words: crate::harness::tell(&error),
        })
    }
}

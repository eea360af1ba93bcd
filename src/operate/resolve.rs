//! `resolve_issue`: carries out what a person decided about an issue, and records it.

mod facts;
mod writes;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Value, json};

use super::actions::{Action, actions_of};
use super::read_for;
use crate::apply::batch::differences;
use crate::apply::case::{Case as Subject, are_outdated, judge};
use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::holdback;
use crate::apply::invoices::apply;
use crate::apply::outcome::{describe, status_moved};
use crate::apply::payment_locks::lock_payments_of;
use crate::apply::report::Report;
use crate::apply::report::record::digest;
use crate::domain::evidence::Evidence;
use crate::domain::identity::PaymentIds;
use crate::domain::issue::IssueKind;
use crate::domain::moved_status::{Course, moved};
use crate::domain::plan::Plan;
use crate::host::deferred::fire_callers;
use crate::host::mapping::Mapping;
use crate::host::read::Reading;
use crate::host::settings::{Settings, invalid};
use crate::host::write::{InvoiceUpdate, update_invoices};
use crate::ledger::changes::{self, Change, Entry};
use crate::ledger::decisions;
use crate::ledger::decisions::{Resolution, StoredIssue};
use crate::ledger::events::Verdict;
use crate::ledger::held_repairs::{self, Held};
use crate::ledger::issues;
use crate::ledger::payment_ids;
use crate::ledger::runs::Kind;
use crate::ledger::undone;
use crate::operate::resolve::writes::{Write, WriteFacts, not_now};
use crate::pg::{Problem, in_subtransaction};
use crate::run::run_lock::require_fresh_snapshots;
use crate::run::sync_invoice::{Answer, all_ids, ask};

/// A person's decision about an issue.
pub(crate) struct Decision<'a> {
    pub(crate) issue: i64,
    pub(crate) action: &'a str,
    pub(crate) note: Option<&'a str>,
    /// `{"status": …}`, `{"invoice_id": …}` or nothing; and `{"seen": …}`, the issue's evidence as the person saw
    /// it.
    pub(crate) arguments: Value,
    pub(crate) mode: Mode,
}

/// Carries out a decision in a run of its own.
///
/// Fails with P0002 for an unknown issue, 22023 for an action or arguments that do not fit, 55000 if the issue is
/// resolved or the facts have changed, and as `sync_invoice` if Stripe must be asked and cannot be.
pub(crate) fn resolve_issue(decision: &Decision) -> Result<Value, Problem> {
    if decision.mode == Mode::Write {
        require_fresh_snapshots()?;
    }
    let issue = decisions::open_issue(decision.issue, false)?;
    let action = fitting(&issue, decision.action)?;
    let (mapping, settings) = Mapping::load()?;
    let case = Case {
        decision,
        issue,
        action,
        mapping: &mapping,
        settings: &settings,
    };
    if action.only_settles() {
        case.settle()
    } else {
        case.act()
    }
}

/// Returns the action with that name. Fails with 22023 if the issue does not allow it.
fn fitting(issue: &StoredIssue, name: &str) -> Result<Action, Problem> {
    let allowed = issue.kind().map_or(&[] as &[Action], actions_of);
    let found = allowed.iter().find(|action| action.as_str() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = allowed.iter().map(|action| action.as_str()).collect();
        let hint = if names.is_empty() {
            "It is resolved automatically when its cause is gone; it can be acknowledged and snoozed."
                .to_owned()
        } else {
            format!("Allowed actions: {}.", names.join(", "))
        };
        invalid(format!(
            "action \"{name}\" is not allowed for issue {}",
            issue.id
        ))
        .hint(hint)
    })
}

struct Case<'a> {
    decision: &'a Decision<'a>,
    issue: StoredIssue,
    action: Action,
    mapping: &'a Mapping,
    settings: &'a Settings,
}

impl Case<'_> {
    /// Settles the issue without changing anything else. The facts are checked by the rows alone; if only Stripe
    /// can show that they have changed, the issue is raised again later.
    fn settle(&self) -> Result<Value, Problem> {
        let mode = self.decision.mode;
        let reading = match &self.issue.invoice_id {
            Some(invoice) => read_for(mode, self.mapping, invoice)?,
            None => None,
        };
        self.must_be_as_seen()?;
        if let Some(reading) = &reading {
            let plan = judge(&self.context(None, mode)?, reading, &[]);
            self.must_still_stand(&plan, !self.rests_on_stripe(&plan))?;
        }
        let report = Report::open(Kind::ResolveIssue, mode);
        Ok(self.close(report, Vec::new(), String::new()))
    }

    /// Asks Stripe, then carries the action out. A dry run does so, too, and rolls back, because only a write shows
    /// what the application's triggers do.
    fn act(&self) -> Result<Value, Problem> {
        let invoice = self.invoice()?;
        let reading = self.read(invoice, Mode::DryRun)?;
        let invoice = reading.invoice.id.as_str();
        let mut ids = all_ids(&reading);
        let about = self.issue.object.iter().cloned();
        for id in about.chain(holdback::ids_held(&self.issue.evidence)) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let answer = ask(self.mapping, self.settings, invoice, ids)?;
        if self.decision.mode == Mode::Write {
            return self.act_on(invoice, &answer);
        }
        let mut shown = None;
        let taken_back = in_subtransaction(|| {
            shown = Some(self.act_on(invoice, &answer)?);
            Err::<(), _>(not_now("a dry run is taken back"))
        });
        match (shown, taken_back) {
            (Some(shown), _) => Ok(shown),
            (None, Err(problem)) => Err(problem),
            (None, Ok(())) => Ok(Value::Null),
        }
    }

    /// Locks the invoice and decides about it, writes if the issue has not changed, and applies the evidence again.
    fn act_on(&self, invoice: &str, answer: &Answer) -> Result<Value, Problem> {
        fire_callers();
        let context = self.context(answer.livemode, Mode::Write)?;
        let said = answer.evidence.as_deref();
        let before = self.read(invoice, Mode::Write)?;
        lock_payments_of(said.unwrap_or_default());
        self.must_be_as_seen()?;
        if are_outdated(invoice, said.unwrap_or_default()) {
            return Err(not_now("the facts of the issue have changed")
                .detail("A newer state of its payments than in Stripe's answer is known.")
                .hint("Call the function again."));
        }
        let evidence = self.decided_on(invoice, said.unwrap_or_default());
        let plan = judge(&context, &before, &evidence);
        match self.action {
            Action::RepairAgain => self.must_be_what_was_undone(&plan)?,
            Action::LinkPayment => {
                self.must_be_what_was_received(&evidence)?;
                self.must_be_booked_by(&plan, before.invoice.account.as_deref())?;
            }
            // What a trigger did is seen only when it is done.
            Action::SetStatus if self.issue.kind() == Some(IssueKind::OverriddenByTrigger) => {
                self.must_still_stand(&plan, false)?;
            }
            _ => self.must_still_stand(&plan, true)?,
        }
        let write = WriteFacts {
            context: &context,
            reading: &before,
            evidence: &evidence,
            plan: &plan,
            facts: &self.issue.evidence,
            object: self.issue.object.as_deref(),
            status: self.argument("status"),
            new_word: self.decision.arguments.get("new_word") == Some(&Value::Bool(true)),
        }
        .write(self.action)?;
        let done = if write.is_nothing() {
            describe(&plan)
        } else {
            write.describe()
        };

        let mut report = Report::open(Kind::ResolveIssue, Mode::Write);
        report.count_requests(answer.requests, answer.retries);
        let run = report.run().unwrap_or_default();
        self.carry_out(run, &write, &before, &context, &evidence)?;
        if self.is_about_undone() {
            // The open issue prevents the repair, so it ends first.
            decisions::resolve(self.issue.id, self.resolution(run));
            decisions::end_undone(invoice, &self.issue.evidence);
        }
        let again = Subject {
            invoice,
            evidence: said.map(|_| evidence.as_slice()),
            in_question: &[],
            is_new: false,
            is_alone: false,
        };
        let verdicts = apply(&context, &[again], &mut report)?;
        let changes = undone::changes_of_run(run);
        let must_write = self.action == Action::LinkPayment || self.is_about_undone();
        if must_write && changes.is_empty() && !plan.changes_nothing() {
            let why = verdicts.into_iter().flatten().next();
            return Err(not_now("the repair could not be made").detail(match why {
                Some(Verdict::Again(why) | Verdict::Done(why) | Verdict::Applied(why)) => why,
                None => "The invoice no longer exists.".to_owned(),
            }));
        }
        if self.action == Action::LinkPayment {
            self.apply_to_former_invoice(invoice, &context, said, &mut report)?;
        }
        decisions::sign_changes(run, &self.decision_evidence());
        let mut changes = undone::changes_of_run(run);
        changes.reverse();
        let changes = changes.into_iter().map(Change::from).collect();
        Ok(self.close(report, changes, done))
    }

    /// Returns whether the issue is about a repair that somebody undid.
    fn is_about_undone(&self) -> bool {
        self.issue.kind() == Some(IssueKind::RepairUndone)
    }

    fn carry_out(
        &self,
        run: i64,
        write: &Write,
        before: &Reading,
        context: &Context,
        evidence: &[Evidence],
    ) -> Result<(), Problem> {
        if write.is_nothing() {
            return Ok(());
        }
        let row_ids = write.carry_out(self.mapping, before)?;
        payment_ids::note(std::iter::once((before.invoice.id.as_str(), &row_ids)));
        let mut after = self.read(&before.invoice.id, Mode::Write)?;
        write.must_have_stayed(&after)?;
        let mut next = judge(context, &after, evidence);
        // Otherwise what is still to be done writes the further columns.
        if after.payment_rows != before.payment_rows && next.changes_nothing() {
            let update = InvoiceUpdate {
                reading: &after,
                change: None,
                follows_payments: true,
            };
            update_invoices(self.mapping, &[update])?;
            after = self.read(&before.invoice.id, Mode::Write)?;
            next = judge(context, &after, evidence);
        }
        if let Write::Insert(_) | Write::Link(_) = write {
            self.note_moved_status(run, before, &after, &next);
        }
        if let (Write::Invoice(_), Some(_)) = (write, &next.invoice) {
            return Err(not_now("the next sweep would change it back")
                .detail(format!(
                    "According to the payments, the next sweep would make these changes: {}.",
                    describe(&next)
                ))
                .hint("Change the payments first."));
        }
        let mut said = json!({ "decided": true });
        if let (Write::Insert(_), Value::Object(stripe)) = (write, digest(evidence))
            && let Some(said) = said.as_object_mut()
        {
            said.extend(stripe);
        }
        let entry = Entry {
            invoice: &before.invoice.id,
            changes: &differences(self.mapping, before, &after),
            evidence: said,
        };
        changes::record(run, &[entry]);
        Ok(())
    }

    /// Reports a status that a trigger changed when the payment was written.
    fn note_moved_status(&self, run: i64, before: &Reading, after: &Reading, plan: &Plan) {
        let invoice = &after.invoice;
        let course = Course {
            before: before.invoice.status,
            with_payments: invoice.status,
            written: None,
        };
        if let Some(moved) = moved(&before.invoice, invoice, course, plan) {
            let subject = issues::Subject {
                invoice: Some(&invoice.id),
                number: invoice.number.as_deref(),
            };
            issues::raise(run, &[(subject, &status_moved(invoice, moved))]);
        }
    }

    /// Applies the evidence to the invoice that the issue was about, which may no longer have the issue.
    fn apply_to_former_invoice(
        &self,
        booked_for: &str,
        context: &Context,
        said: Option<&[Evidence]>,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let Some(other) = self
            .issue
            .invoice_id
            .as_deref()
            .filter(|other| *other != booked_for)
        else {
            return Ok(());
        };
        let again = Subject {
            invoice: other,
            evidence: said,
            in_question: self.issue.object.as_slice(),
            is_new: false,
            is_alone: false,
        };
        apply(context, &[again], report).map(|_| ())
    }

    /// Ends the run, and resolves the issue if the facts are gone or the action settles it.
    fn close(&self, report: Report, changes: Vec<Change>, done: String) -> Value {
        let dry_run = self.decision.mode == Mode::DryRun;
        let mut resolved = self.action.settles_remaining_facts() || dry_run;
        if let Some(run) = report.run() {
            resolved |= !decisions::is_open(self.issue.id);
            if resolved {
                decisions::resolve(self.issue.id, self.resolution(run));
            }
        }
        let run = report.run().filter(|_| !dry_run);
        report.close();
        let id = self.issue.id;
        let done = if done.is_empty() {
            "nothing was changed".to_owned()
        } else {
            done
        };
        let message = if dry_run {
            format!("Nothing was written. The action would make these changes: {done}.")
        } else if resolved {
            format!("Issue {id} is resolved: {done}.")
        } else {
            let summary = decisions::open_issue(id, false).map(|issue| issue.summary);
            format!(
                "Issue {id} is not resolved: {}",
                summary.unwrap_or_default()
            )
        };
        json!({
            "success": true,
            "dryRun": dry_run,
            "runId": run,
            "issue": id,
            "action": self.action.as_str(),
            "resolved": resolved && !dry_run,
            "changes": changes.iter().map(Change::to_json).collect::<Vec<_>>(),
            "message": message,
        })
    }

    fn resolution(&self, run: i64) -> Resolution<'_> {
        Resolution {
            run,
            action: self.action.as_str(),
            note: self.decision.note,
            settled: self.action.settles_remaining_facts(),
        }
    }

    /// Returns what the evidence of a change says of the decision.
    fn decision_evidence(&self) -> Value {
        json!({
            "issue": self.issue.id,
            "action": self.action.as_str(),
            "note": self.decision.note,
        })
    }

    /// Returns the invoice that the action is about.
    fn invoice(&self) -> Result<&str, Problem> {
        if self.action == Action::LinkPayment {
            return self.argument("invoice_id").ok_or_else(|| {
                invalid("the action requires an invoice".to_owned())
                    .hint("Example: arguments => '{\"invoice_id\": \"…\"}', with the invoice's primary key.")
            });
        }
        // Every kind that allows such an action is about an invoice.
        self.issue
            .invoice_id
            .as_deref()
            .ok_or_else(|| not_now("the issue does not concern an invoice"))
    }

    fn argument(&self, name: &str) -> Option<&str> {
        self.decision.arguments.get(name).and_then(Value::as_str)
    }

    fn read(&self, invoice: &str, mode: Mode) -> Result<Reading, Problem> {
        read_for(mode, self.mapping, invoice)?.ok_or_else(|| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("invoice \"{invoice}\" does not exist"),
            )
        })
    }

    fn context(&self, livemode: Option<bool>, mode: Mode) -> Result<Context<'_>, Problem> {
        let decided = self.action == Action::LinkPayment || self.is_about_undone();
        Ok(Context {
            mapping: self.mapping,
            rules: self.mapping.rules(self.settings, livemode)?,
            mode,
            on_override: if decided {
                OnOverride::Decided
            } else {
                OnOverride::Again
            },
        })
    }

    /// Returns the evidence that the decision is about. If the person links a payment to an invoice, this overrides
    /// the invoice named by the payment's metadata. Payments of other undone repairs are left out.
    fn decided_on(&self, invoice: &str, said: &[Evidence]) -> Vec<Evidence> {
        let object = self.issue.object.as_deref().unwrap_or_default();
        match self.action {
            Action::LinkPayment => {
                let holds = held_repairs::held(invoice);
                let mut evidence =
                    holdback::without_others(&holds, invoice, said, |_, ids| ids.contains(object));
                for finding in &mut evidence {
                    if let Evidence::Payment(payment) = finding
                        && payment.ids.contains(object)
                    {
                        payment.invoice_references.clear();
                        payment.is_renewal_of_named = false;
                    }
                }
                evidence
            }
            Action::RepairAgain if self.is_about_undone() => {
                let holds = held_repairs::held(invoice);
                let released =
                    |held: &Held, ids: &PaymentIds| held.id == self.issue.id && held.is_of(ids);
                holdback::without_others(&holds, invoice, said, released)
            }
            _ => said.to_vec(),
        }
    }
}

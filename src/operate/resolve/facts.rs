//! Checks that the facts are still those that a person decided on.

use serde_json::Value;

use super::Case;
use crate::apply::context::Mode;
use crate::apply::holdback;
use crate::domain::account::account_of;
use crate::domain::evidence::{Evidence, PaymentState, merge_payments};
use crate::domain::issue::IssueKind;
use crate::domain::plan::{PaymentChange, Plan};
use crate::ledger::{decisions, issues};
use crate::operate::resolve::writes::not_now;
use crate::pg::Problem;

impl Case<'_> {
    /// Fails with 55000 if the issue was resolved meanwhile or its facts differ from those that the person has
    /// seen; called once the invoice is locked. In a write the issue stays locked, so that it cannot change before
    /// it is settled.
    pub(super) fn must_be_as_seen(&self) -> Result<(), Problem> {
        let locked = self.decision.mode == Mode::Write;
        let now = decisions::open_issue(self.issue.id, locked)?;
        let given = self.decision.arguments.get("seen");
        let seen = given.filter(|given| !given.is_null());
        for seen in seen.into_iter().chain([&self.issue.evidence]) {
            if !issues::same_facts(seen, &now.evidence) {
                return Err(not_now("the facts of the issue have changed")
                    .detail(format!("The issue now says: {}", now.summary))
                    .hint("Read the issue in invoice_sync.open_issues, and decide again."));
            }
        }
        Ok(())
    }

    /// Returns whether the rows alone cannot show that the issue is resolved.
    pub(super) fn rests_on_stripe(&self, plan: &Plan) -> bool {
        let by_rows = [
            IssueKind::PaidWithoutPayment,
            IssueKind::AmountMismatch,
            IssueKind::Overpaid,
        ];
        let kind = self.issue.kind();
        self.issue.object.is_some()
            || !by_rows
                .iter()
                .any(|own| Some(*own) == kind && !plan.undecided.contains(own))
    }

    /// Fails with 55000 if the repair would change more than what was undone.
    pub(super) fn must_be_what_was_undone(&self, plan: &Plan) -> Result<(), Problem> {
        if !self.is_about_undone() {
            return Ok(());
        }
        match holdback::beyond(&self.issue.evidence, plan) {
            Some(more) => Err(self.moved(&format!(
                "the repair would also make these changes: {more}."
            ))),
            None => Ok(()),
        }
    }

    /// Fails with 55000 if Stripe received another amount than the issue states.
    pub(super) fn must_be_what_was_received(&self, evidence: &[Evidence]) -> Result<(), Problem> {
        let object = self.issue.object.as_deref().unwrap_or_default();
        let done = self.issue.evidence.get("received").and_then(Value::as_str);
        let now = merge_payments(evidence).into_iter().find_map(|payment| {
            let received = match payment.state {
                PaymentState::Received(money) => money.to_string(),
                _ => return None,
            };
            payment.ids.contains(object).then_some(received)
        });
        if done.is_none() || done == now.as_deref() {
            return Ok(());
        }
        Err(self.moved(&format!(
            "Stripe received {}.",
            now.as_deref().unwrap_or("nothing")
        )))
    }

    /// Fails with 55000 if the plan does not contain the issue with the same facts.
    pub(super) fn must_still_stand(&self, plan: &Plan, must_be_found: bool) -> Result<(), Problem> {
        let found = plan.issues.iter().find(|issue| {
            Some(issue.kind) == self.issue.kind() && issue.object == self.issue.object
        });
        let now = match found {
            Some(found) if issues::same_facts(&found.evidence, &self.issue.evidence) => {
                return Ok(());
            }
            Some(found) => found.summary.clone(),
            None if must_be_found => "This is no longer the case.".to_owned(),
            None => return Ok(()),
        };
        Err(self.moved(&now))
    }

    /// Fails with 55000 if the plan, for an invoice of this account, does not book the payment that is to be linked.
    pub(super) fn must_be_booked_by(
        &self,
        plan: &Plan,
        account: Option<&str>,
    ) -> Result<(), Problem> {
        let object = self.issue.object.as_deref();
        let refused = not_now("the payment cannot be recorded for that invoice");
        if object.and_then(account_of) != account {
            let theirs = account.unwrap_or("the account of the key");
            let id = object.unwrap_or_default();
            return Err(refused.detail(format!(
                "The invoice belongs to {theirs}, and {id} is a payment in another Stripe account."
            )));
        }
        let books = plan.payments.iter().any(|change| match change {
            PaymentChange::Insert(new) => object.is_some_and(|id| new.ids.contains(id)),
            PaymentChange::Update(update) => object.is_some_and(|id| update.ids.contains(id)),
        });
        if books {
            return Ok(());
        }
        let why = plan
            .issues
            .iter()
            .find(|issue| issue.object.as_deref() == object);
        let why = why.map_or_else(|| plan.reasons.join("; "), |issue| issue.summary.clone());
        Err(refused.detail(why))
    }

    fn moved(&self, now: &str) -> Problem {
        not_now("the facts of the issue have changed")
            .detail(format!("The issue says: {} Now: {now}", self.issue.summary))
            .hint("Call invoice_sync.sync_invoice to update the issue.")
    }
}

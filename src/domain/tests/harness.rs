//! How a case is written down and compared with the plan.

use super::builders::{World, eur};
use crate::domain::evidence::{Evidence, StripePayment};
use crate::domain::invoice::InvoiceStatus;
use crate::domain::issue::{IssueKind, Severity};
use crate::domain::plan::{InvoiceChange, NewPayment, PaymentChange, PaymentUpdate};
use crate::domain::recheck::{HELD, Recheck};

/// One case: the world, what Stripe says, and the whole plan that follows.
/// What is not expected must not happen.
pub(super) struct Case {
    name: &'static str,
    world: World,
    evidence: Vec<Evidence>,
    payments: Vec<PaymentChange>,
    invoice: InvoiceChange,
    issues: Vec<(IssueKind, Severity, Option<String>)>,
    undecided: Vec<IssueKind>,
    recheck: Recheck,
}

pub(super) fn case(name: &'static str, world: World) -> Case {
    Case {
        name,
        world,
        evidence: Vec::new(),
        payments: Vec::new(),
        invoice: InvoiceChange::default(),
        issues: Vec::new(),
        undecided: Vec::new(),
        recheck: Recheck::Never,
    }
}

impl Case {
    pub(super) fn stripe_says(mut self, payment: &StripePayment) -> Self {
        self.evidence.push(Evidence::Payment(payment.clone()));
        self
    }

    pub(super) fn stripe_answers(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    pub(super) fn inserts(mut self, payment: NewPayment) -> Self {
        self.payments.push(PaymentChange::Insert(payment));
        self
    }

    pub(super) fn updates(mut self, update: PaymentUpdate) -> Self {
        self.payments.push(PaymentChange::Update(update));
        self
    }

    pub(super) fn changes_invoice(mut self, change: InvoiceChange) -> Self {
        self.invoice = change;
        self
    }

    /// Raises a warning; `object` is the Stripe object, `""` the invoice itself.
    pub(super) fn warns(self, kind: IssueKind, object: &str) -> Self {
        self.raises(kind, Severity::Warning, object)
    }

    pub(super) fn raises(mut self, kind: IssueKind, severity: Severity, object: &str) -> Self {
        let object = Some(object.to_owned()).filter(|object| !object.is_empty());
        if object.is_some() {
            self.recheck = self.recheck.sooner(HELD);
        }
        self.issues.push((kind, severity, object));
        self
    }

    pub(super) fn leaves_undecided(mut self, kinds: &[IssueKind]) -> Self {
        self.undecided = kinds.to_vec();
        self
    }

    pub(super) fn asks_again(mut self, recheck: Recheck) -> Self {
        self.recheck = recheck;
        self
    }

    /// What differs from what was expected, one sentence each.
    fn differences(&self) -> Vec<String> {
        let plan = self.world.reconcile(&self.evidence);
        let mut found = Vec::new();
        let mut differ = |what: &str, expected: String, actual: String| {
            if expected != actual {
                found.push(format!(
                    "{}: {what}\n  expected {expected}\n  but was  {actual}",
                    self.name
                ));
            }
        };
        let issues: Vec<_> = plan
            .issues
            .iter()
            .map(|issue| (issue.kind, issue.severity, issue.object.clone()))
            .collect();
        let undecided: Vec<_> = plan.undecided.iter().copied().collect();
        let invoice = plan.invoice.clone().unwrap_or_default();
        differ("payments", show(&self.payments), show(&plan.payments));
        differ("invoice", show(&self.invoice), show(&invoice));
        differ("issues", show(&self.issues), show(&issues));
        differ("undecided", show(&self.undecided), show(&undecided));
        differ("recheck", show(&self.recheck), show(&plan.recheck));
        let after = self.world.apply(&plan);
        for (what, evidence) in [("again", self.evidence.as_slice()), ("locally", &[])] {
            let again = after.reconcile(evidence);
            differ(
                &format!("once applied, decided {what}"),
                show(&(Vec::<PaymentChange>::new(), None::<InvoiceChange>)),
                show(&(again.payments, again.invoice)),
            );
        }
        found
    }
}

fn show(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// Fails with all the differences of all the cases.
pub(super) fn check(cases: Vec<Case>) {
    let differences: Vec<String> = cases.iter().flat_map(Case::differences).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// The invoice over 100.00 EUR is paid now.
pub(super) fn paid_in_full(paid_at: i64) -> InvoiceChange {
    InvoiceChange {
        status: Some(InvoiceStatus::Paid),
        amount_paid: Some(eur(100_00)),
        balance: Some(eur(0)),
        paid_at: Some(paid_at),
    }
}

/// The invoice over 100.00 EUR is paid in part now.
pub(super) fn paid_in_part(cents: i64) -> InvoiceChange {
    InvoiceChange {
        status: Some(InvoiceStatus::Partial),
        amount_paid: Some(eur(cents)),
        balance: Some(eur(100_00 - cents)),
        paid_at: None,
    }
}

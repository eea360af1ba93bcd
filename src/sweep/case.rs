//! An invoice that is to be judged: what is known about it, and the decision.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::treatment::Treatment;
use crate::domain::evidence::Evidence;
use crate::domain::identity::PaymentIds;
use crate::domain::plan::{PaymentChange, Plan};
use crate::domain::recheck::Recheck;
use crate::domain::reconcile::{Facts, reconcile, reconcile_unwritten};
use crate::domain::rules::{Elsewhere, Memory};
use crate::host::elsewhere::{Claim, elsewhere};
use crate::host::read::{Reading, read};
use crate::host::write::now;
use crate::ledger::memory;
use crate::pg::Problem;

/// An invoice, and what Stripe said about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    /// The invoice's id, as the database writes it.
    pub(crate) invoice: &'a str,
    /// `None` where Stripe was not asked.
    pub(crate) evidence: Option<&'a [Evidence]>,
}

impl Case<'_> {
    /// Every id of a payment that this invoice may be about to book.
    fn payment_ids(&self) -> impl Iterator<Item = &str> {
        let found = self.evidence.unwrap_or_default();
        found.iter().flat_map(Evidence::payment_ids)
    }
}

/// A case with its place among all that are treated.
pub(super) type Placed<'a> = (usize, Case<'a>);

/// Parts cases that do not bear on each other from those that come after one
/// about the same invoice or the same payment: what was written for the first
/// decides about them.
pub(super) fn without_rivals<'a>(cases: &[Placed<'a>]) -> (Vec<Placed<'a>>, Vec<Placed<'a>>) {
    let mut invoices = BTreeSet::new();
    let mut payments = BTreeSet::new();
    cases.iter().partition(|(_, case)| {
        let ids: Vec<&str> = case.payment_ids().collect();
        let is_first = invoices.insert(case.invoice);
        let claims_first = !ids.iter().any(|id| payments.contains(id));
        payments.extend(ids);
        is_first && claims_first
    })
}

/// Whether the payments in the books stood there before this treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Booked {
    Before,
    JustNow,
}

/// A case with what bears on its decision. Once its invoice is locked, what is remembered
/// is read anew.
#[derive(Clone, Debug)]
pub(super) struct Matter<'a> {
    pub(super) place: usize,
    pub(super) case: Case<'a>,
    memory: Memory,
    elsewhere: Elsewhere,
}

impl<'a> Matter<'a> {
    /// As if no other invoice's books were of concern.
    fn new(place: usize, case: Case<'a>, memories: &mut BTreeMap<String, Memory>) -> Self {
        Self {
            place,
            case,
            memory: memories.remove(case.invoice).unwrap_or_default(),
            elsewhere: Elsewhere::default(),
        }
    }

    /// Notes in whose books its payments are; gives whether that says more than was known.
    pub(super) fn note_elsewhere(&mut self, found: Elsewhere) -> bool {
        let is_new = found
            .0
            .iter()
            .any(|it| self.elsewhere.0.get(it.0) != Some(it.1));
        self.elsewhere.0.extend(found.0);
        is_new
    }

    pub(super) fn decide(&self, treatment: &Treatment, reading: &Reading, booked: Booked) -> Plan {
        let facts = self.facts(treatment, reading, booked);
        let evidence = self.evidence().unwrap_or_default();
        self.asking_again(reconcile(&facts, &evidence, &treatment.rules))
    }

    /// The same where it is not written.
    pub(super) fn decide_unwritten(&self, treatment: &Treatment, reading: &Reading) -> Plan {
        let facts = self.facts(treatment, reading, Booked::Before);
        let evidence = self.evidence().unwrap_or_default();
        self.asking_again(reconcile_unwritten(&facts, &evidence, &treatment.rules))
    }

    fn facts<'f>(
        &'f self,
        treatment: &Treatment,
        reading: &'f Reading,
        booked: Booked,
    ) -> Facts<'f> {
        Facts {
            invoice: &reading.invoice,
            rows: &reading.payments,
            memory: &self.memory,
            elsewhere: &self.elsewhere,
            has_refunded_column: treatment.mapping.payments.refunded.is_some(),
            just_booked: booked == Booked::JustNow,
            now: now(),
        }
    }

    /// Where something has to be asked again, the next sweep does.
    fn asking_again(&self, mut plan: Plan) -> Plan {
        if self.is_outdated() {
            plan.recheck = Recheck::NextSweep;
        }
        plan
    }

    /// What Stripe said, but for what is older than what is known by now: it has to be
    /// asked again.
    pub(super) fn evidence(&self) -> Option<Cow<'a, [Evidence]>> {
        let said = self.case.evidence?;
        if !self.is_outdated() {
            return Some(Cow::Borrowed(said));
        }
        let holds = said.iter().filter(|finding| !self.outdates(finding));
        Some(holds.cloned().collect())
    }

    pub(super) fn is_outdated(&self) -> bool {
        let said = self.case.evidence.unwrap_or_default();
        said.iter().any(|finding| self.outdates(finding))
    }

    fn outdates(&self, finding: &Evidence) -> bool {
        matches!(finding, Evidence::Payment(payment) if self.memory.outdates(payment))
    }

    /// Takes over what is remembered by now; gives whether that is something else.
    pub(super) fn learn(&mut self, memories: &mut BTreeMap<String, Memory>) -> bool {
        let now = memories.remove(self.case.invoice).unwrap_or_default();
        let before = std::mem::replace(&mut self.memory, now);
        before != self.memory
    }
}

/// A case as it was found, and what was first decided about it.
#[derive(Clone, Debug)]
pub(super) struct Opened<'a> {
    pub(super) matter: Matter<'a>,
    pub(super) reading: Reading,
    pub(super) plan: Plan,
}

impl<'a> Opened<'a> {
    fn new(treatment: &Treatment, matter: Matter<'a>, reading: Reading) -> Self {
        Self {
            plan: matter.decide(treatment, &reading, Booked::Before),
            matter,
            reading,
        }
    }

    /// What was decided, where it is not written.
    pub(super) fn unwritten(&self, treatment: &Treatment) -> Plan {
        self.matter.decide_unwritten(treatment, &self.reading)
    }
}

/// The payments that a plan books.
pub(super) fn claims(plan: &Plan) -> Vec<PaymentIds> {
    let changes = plan.payments.iter();
    changes
        .filter_map(|change| match change {
            PaymentChange::Insert(payment) => Some(payment.ids.clone()),
            PaymentChange::Update(_) => None,
        })
        .collect()
}

/// Reads what there is about these invoices, without a lock, and decides; one
/// that is gone is left out.
pub(super) fn open<'a>(
    treatment: &Treatment,
    cases: &[Placed<'a>],
) -> Result<Vec<Opened<'a>>, Problem> {
    let ids: Vec<&str> = cases.iter().map(|(_, case)| case.invoice).collect();
    let mut readings = read(treatment.mapping, &ids)?;
    let mut memories = recall(cases.iter().map(|(_, case)| *case));
    let mut opened: Vec<Opened> = cases
        .iter()
        .filter_map(|(place, case)| {
            let reading = readings.remove(case.invoice)?;
            let matter = Matter::new(*place, *case, &mut memories);
            Some(Opened::new(treatment, matter, reading))
        })
        .collect();
    look_elsewhere(treatment, &mut opened);
    Ok(opened)
}

/// What is remembered of these cases by now.
pub(super) fn recall<'a>(cases: impl IntoIterator<Item = Case<'a>>) -> BTreeMap<String, Memory> {
    let cases = cases.into_iter();
    let cases = cases.map(|case| (case.invoice, case.evidence.unwrap_or_default()));
    memory::recall(&cases.collect::<Vec<_>>())
}

/// Whether something newer is known by now than what Stripe said.
pub(crate) fn are_outdated(invoice: &str, evidence: &[Evidence]) -> bool {
    let case = Case {
        invoice,
        evidence: Some(evidence),
    };
    Matter::new(0, case, &mut recall([case])).is_outdated()
}

/// What is to be done about an invoice as it was read; nothing is written.
pub(crate) fn judge(treatment: &Treatment, reading: &Reading, evidence: &[Evidence]) -> Plan {
    let id = reading.invoice.id.as_str();
    let case = Case {
        invoice: id,
        evidence: Some(evidence),
    };
    let matter = Matter::new(0, case, &mut recall([case]));
    let mut opened = Opened::new(treatment, matter, reading.clone());
    look_elsewhere(treatment, std::slice::from_mut(&mut opened));
    opened.plan
}

/// Other invoices' books are looked into only for what would be booked.
fn look_elsewhere(treatment: &Treatment, opened: &mut [Opened]) {
    let claiming: Vec<(&mut Opened, Vec<PaymentIds>)> = opened
        .iter_mut()
        .map(|opened| {
            let payments = claims(&opened.plan);
            (opened, payments)
        })
        .filter(|(_, payments)| !payments.is_empty())
        .collect();
    if claiming.is_empty() {
        return;
    }
    let claims: Vec<Claim> = claiming
        .iter()
        .map(|(opened, payments)| Claim {
            invoice: opened.matter.case.invoice,
            payments,
        })
        .collect();
    let found = elsewhere(treatment.mapping, &claims);
    for ((opened, _), found) in claiming.into_iter().zip(found) {
        if !found.0.is_empty() {
            opened.matter.elsewhere = found;
            opened.plan = opened
                .matter
                .decide(treatment, &opened.reading, Booked::Before);
        }
    }
}

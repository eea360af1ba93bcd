//! One invoice with the evidence about it, and the decision on both.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::apply::context::{Context, Mode};
use crate::apply::payment_locks::{lock_payments, payments_of};
use crate::domain::evidence::Evidence;
use crate::domain::identity::PaymentIds;
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::plan::{PaymentChange, Plan};
use crate::domain::recheck::Recheck;
use crate::domain::reconcile::{Before, Facts, reconcile, reconcile_unwritten};
use crate::domain::rules::OtherInvoices;
use crate::host::lock::{Patience, try_lock_invoice};
use crate::host::moment::now;
use crate::host::other_invoices::{Claim, other_invoices};
use crate::host::read::{Reading, read};
use crate::ledger::held_repairs::HeldRepairs;
use crate::ledger::recall;
use crate::ledger::recall::Stored;
use crate::pg::{Problem, in_subtransaction};

/// An invoice, with Stripe's answers about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    /// The invoice's id, as the database writes it.
    pub(crate) invoice: &'a str,
    /// `None` if Stripe was not asked.
    pub(crate) evidence: Option<&'a [Evidence]>,
    /// Ids that were looked up only because open issues of the invoice are about them.
    pub(crate) in_question: &'a [String],
    /// Whether the ledger has none of its payments, so that something will probably be written.
    pub(crate) is_new: bool,
    /// Whether no other invoice was found that stores an id of the payments in the evidence.
    pub(crate) is_alone: bool,
}

impl Case<'_> {
    /// Returns all ids of payments that this invoice may book.
    fn payment_ids(&self) -> impl Iterator<Item = &str> {
        let found = self.evidence.unwrap_or_default();
        found.iter().flat_map(Evidence::payment_ids)
    }

    /// Returns whether no other invoice has a payment with this id.
    pub(crate) fn is_alone_with(&self, id: &str) -> bool {
        let found = self.evidence.unwrap_or_default().iter();
        let mut found = found.filter(|finding| matches!(finding, Evidence::Payment(_)));
        self.is_alone && found.any(|finding| finding.payment_ids().any(|it| it == id))
    }
}

/// A case with its index among all cases of the run.
pub(crate) type IndexedCase<'a> = (usize, Case<'a>);

/// Splits off the cases that follow another case about the same invoice or the same payment. They are decided after
/// the first one is written, because its rows affect the decision.
pub(crate) fn split_conflicting<'a>(
    cases: &[IndexedCase<'a>],
) -> (Vec<IndexedCase<'a>>, Vec<IndexedCase<'a>>) {
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

/// What earlier runs stored about an invoice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    stored: Stored,
    /// Payments whose repair somebody undid, each with its ids.
    undone: Vec<Vec<String>>,
}

/// A case with what is stored about its invoice. This is read again once the invoice is locked.
#[derive(Clone, Debug)]
pub(crate) struct RecalledCase<'a> {
    pub(crate) place: usize,
    pub(crate) case: Case<'a>,
    known: Known,
    other_invoices: OtherInvoices,
    /// Whether its rows were written in this pass.
    is_written: bool,
}

impl<'a> RecalledCase<'a> {
    /// Creates it without payments of other invoices.
    fn new(place: usize, case: Case<'a>, known: &mut BTreeMap<String, Known>) -> Self {
        Self {
            place,
            case,
            known: known.remove(case.invoice).unwrap_or_default(),
            other_invoices: OtherInvoices::default(),
            is_written: false,
        }
    }

    pub(crate) fn has_check(&self) -> bool {
        self.known.stored.has_check
    }

    /// Returns the repairs of the invoice that wait for a person's decision.
    pub(crate) fn held(&self) -> &HeldRepairs {
        &self.known.stored.held
    }

    /// Records which other invoices have booked its payments. Returns whether that adds to what was known.
    pub(crate) fn note_other_invoices(&mut self, found: OtherInvoices) -> bool {
        let is_new = found
            .0
            .iter()
            .any(|it| self.other_invoices.0.get(it.0) != Some(it.1));
        self.other_invoices.0.extend(found.0);
        is_new
    }

    /// Records that its rows are written, and adds the ids of those for which there is no column, by the rows' keys.
    pub(crate) fn note_written(&mut self, rows: &BTreeMap<String, PaymentIds>) {
        self.is_written = true;
        self.known.stored.row_ids.extend(rows.clone());
    }

    /// Returns the payments that the plan books or completes before Stripe knows all their values.
    pub(crate) fn newly_awaited(&self, plan: &Plan) -> BTreeSet<String> {
        let before = &self.known.stored.awaited;
        plan.awaited.difference(before).cloned().collect()
    }

    pub(crate) fn decide(&self, context: &Context, reading: &Reading) -> Plan {
        self.decide_on(self.facts(context, reading), context)
    }

    /// As [`Self::decide`], when payments were just written; `before` is what was read before.
    pub(crate) fn decide_on_written(
        &self,
        context: &Context,
        reading: &Reading,
        before: &Reading,
    ) -> Plan {
        let facts = Facts {
            before: Some(Before::of(&before.invoice, &before.payments)),
            ..self.facts(context, reading)
        };
        self.decide_on(facts, context)
    }

    fn decide_on(&self, facts: Facts, context: &Context) -> Plan {
        let evidence = self.evidence().unwrap_or_default();
        self.with_recheck(reconcile(&facts, &evidence, &context.rules))
    }

    /// As [`Self::decide`], for a plan that is not written.
    pub(crate) fn decide_unwritten(&self, context: &Context, reading: &Reading) -> Plan {
        let facts = self.facts(context, reading);
        let evidence = self.evidence().unwrap_or_default();
        self.with_recheck(reconcile_unwritten(&facts, &evidence, &context.rules))
    }

    /// As [`Self::decide`], without the payments for which `left_out` is true.
    pub(crate) fn decide_without(
        &self,
        context: &Context,
        reading: &Reading,
        left_out: &dyn Fn(&PaymentIds) -> bool,
    ) -> Plan {
        let mut evidence = self.evidence().unwrap_or_default().into_owned();
        evidence.retain(|finding| !matches!(finding, Evidence::Payment(it) if left_out(&it.ids)));
        let facts = self.facts(context, reading);
        reconcile(&facts, &evidence, &context.rules)
    }

    fn facts<'f>(&'f self, context: &Context, reading: &'f Reading) -> Facts<'f> {
        Facts {
            invoice: &reading.invoice,
            rows: &reading.payments,
            memory: &self.known.stored.memory,
            undone: &self.known.undone,
            finished: &self.known.stored.finished,
            awaited: &self.known.stored.awaited,
            other_invoices: &self.other_invoices,
            in_question: self.case.in_question,
            has_refunded_column: context.mapping.payments.refunded.is_some(),
            rows_have_no_ids: context.mapping.payments.have_no_ids(),
            rows_are_unwritten: !self.is_written,
            row_ids: &self.known.stored.row_ids,
            invoice_is_record: context.mapping.payments.are_own(),
            before: None,
            now: now(),
        }
    }

    /// Sets the next lookup to the next sweep if some of the evidence is outdated.
    fn with_recheck(&self, mut plan: Plan) -> Plan {
        if self.is_outdated() {
            plan.recheck = Recheck::NextSweep;
        }
        plan
    }

    /// Returns the evidence without answers that are older than what is stored; these are looked up again.
    pub(crate) fn evidence(&self) -> Option<Cow<'a, [Evidence]>> {
        let said = self.case.evidence?;
        if !self.is_outdated() {
            return Some(Cow::Borrowed(said));
        }
        let holds = said.iter().filter(|finding| !self.outdates(finding));
        Some(holds.cloned().collect())
    }

    pub(crate) fn is_outdated(&self) -> bool {
        let said = self.case.evidence.unwrap_or_default();
        said.iter().any(|finding| self.outdates(finding))
    }

    fn outdates(&self, finding: &Evidence) -> bool {
        matches!(finding, Evidence::Payment(payment) if self.known.stored.memory.outdates(payment))
    }

    /// Replaces what is known by what is stored now. Returns whether it differs.
    pub(crate) fn update_known(&mut self, known: &mut BTreeMap<String, Known>) -> bool {
        let now = known.remove(self.case.invoice).unwrap_or_default();
        let before = std::mem::replace(&mut self.known, now);
        before != self.known
    }
}

/// A case with the rows as first read, and the first decision.
#[derive(Clone, Debug)]
pub(crate) struct DecidedCase<'a> {
    pub(crate) recalled: RecalledCase<'a>,
    pub(crate) reading: Reading,
    pub(crate) plan: Plan,
    /// Whether its invoice and payments were locked before all of this was read.
    pub(crate) is_locked: bool,
}

impl<'a> DecidedCase<'a> {
    fn new(context: &Context, recalled: RecalledCase<'a>, reading: Reading) -> Self {
        Self {
            plan: recalled.decide(context, &reading),
            recalled,
            reading,
            is_locked: false,
        }
    }

    /// Returns the ids of the booked payments, without pending rows; if Stripe was asked, only of payments in its
    /// answers. Failed rows are included: a row that counted before may have been marked so.
    pub(crate) fn booked_ids(&self) -> impl Iterator<Item = &str> {
        let rows = self.reading.payments.iter();
        let evidence = self.recalled.case.evidence;
        let is_in_answers = move |row: &PaymentRow| {
            evidence.is_none_or(|said| {
                said.iter().any(|finding| {
                    matches!(finding, Evidence::Payment(it) if it.ids.same_payment(&row.ids))
                })
            })
        };
        rows.filter(move |row| row.status != PaymentStatus::Pending && is_in_answers(row))
            .flat_map(|row| row.ids.each())
    }

    /// Whether it has no rows of payments to lock, and books no payment but those in the evidence.
    fn needs_no_other_lock(&self) -> bool {
        let locked = payments_of(self.recalled.case.evidence.unwrap_or_default());
        let is_locked = |ids: &PaymentIds| locked.iter().any(|it| it == ids);
        let claimed = claims(&self.reading, &self.plan);
        self.reading.payments.is_empty() && claimed.iter().all(is_locked)
    }

    /// Returns the plan for the case that it is not written.
    pub(crate) fn unwritten(&self, context: &Context) -> Plan {
        self.recalled.decide_unwritten(context, &self.reading)
    }
}

/// Returns the payments that this invoice has not booked, and another one may have: those without a row, and those
/// whose row is pending.
pub(crate) fn claims(reading: &Reading, plan: &Plan) -> Vec<PaymentIds> {
    let waits = |row: &str| {
        let mut rows = reading.payments.iter();
        rows.any(|it| it.id == row && it.status.may_still_come())
    };
    let confirmed = plan.payments.iter().filter_map(|change| match change {
        PaymentChange::Insert(_) => None,
        PaymentChange::Update(update) => waits(&update.row).then(|| update.ids.clone()),
    });
    plan.without_row.iter().cloned().chain(confirmed).collect()
}

/// Reads the invoices and decides, without waiting for locks. Invoices that no longer exist are left out.
pub(crate) fn open<'a>(
    context: &Context,
    cases: &[IndexedCase<'a>],
) -> Result<Vec<DecidedCase<'a>>, Problem> {
    let is_locked = lock_ahead(context, cases);
    let ids: Vec<&str> = cases.iter().map(|(_, case)| case.invoice).collect();
    let mut readings = read(context.mapping, &ids)?;
    let mut known = recall(cases.iter().map(|(_, case)| *case));
    let mut decided: Vec<DecidedCase> = cases
        .iter()
        .filter_map(|(place, case)| {
            let reading = readings.remove(case.invoice)?;
            let recalled = RecalledCase::new(*place, *case, &mut known);
            Some(DecidedCase::new(context, recalled, reading))
        })
        .collect();
    search_other_invoices(context, &mut decided);
    for decided in &mut decided {
        decided.is_locked = is_locked && decided.needs_no_other_lock();
    }
    Ok(decided)
}

/// Locks a new payment's invoice and the payment before anything is read of them, if nobody else has locked one of them:
/// nothing has to be read again before it is written. Returns whether both are locked.
fn lock_ahead(context: &Context, cases: &[IndexedCase]) -> bool {
    let [(_, case)] = cases else {
        return false;
    };
    if !case.is_new || context.mode != Mode::Write {
        return false;
    }
    let payments = payments_of(case.evidence.unwrap_or_default());
    let locked = in_subtransaction(|| {
        Ok(try_lock_invoice(context.mapping, case.invoice)
            && lock_payments(&[payments], Patience::Skip) == [true])
    });
    // The usual way finds out, and reports, what is wrong.
    locked.unwrap_or(false)
}

/// Reads what is stored now about the invoices of these cases.
pub(crate) fn recall<'a>(cases: impl IntoIterator<Item = Case<'a>>) -> BTreeMap<String, Known> {
    let cases = cases.into_iter();
    let cases = cases.map(|case| (case.invoice, case.evidence.unwrap_or_default()));
    let stored = recall::recall(&cases.collect::<Vec<_>>()).into_iter();
    stored
        .map(|(invoice, stored)| {
            let undone = stored.held.undone_payments(&invoice);
            (invoice, Known { stored, undone })
        })
        .collect()
}

/// Returns whether something newer than this evidence is stored.
pub(crate) fn are_outdated(invoice: &str, evidence: &[Evidence]) -> bool {
    let case = Case {
        invoice,
        evidence: Some(evidence),
        in_question: &[],
        is_new: false,
        is_alone: false,
    };
    RecalledCase::new(0, case, &mut recall([case])).is_outdated()
}

/// Decides about an invoice as it was read, without writing anything.
pub(crate) fn judge(context: &Context, reading: &Reading, evidence: &[Evidence]) -> Plan {
    judged(context, reading, evidence).plan
}

/// As [`judge`], as if there were no rows that do not count.
pub(crate) fn judge_anew(context: &Context, reading: &Reading, evidence: &[Evidence]) -> Plan {
    let mut decided = judged(context, reading, evidence);
    decided.recalled.other_invoices.forget_uncounted();
    decided.recalled.decide(context, reading)
}

fn judged<'a>(
    context: &Context,
    reading: &'a Reading,
    evidence: &'a [Evidence],
) -> DecidedCase<'a> {
    let id = reading.invoice.id.as_str();
    let case = Case {
        invoice: id,
        evidence: Some(evidence),
        in_question: &[],
        is_new: false,
        is_alone: false,
    };
    let recalled = RecalledCase::new(0, case, &mut recall([case]));
    let mut decided = DecidedCase::new(context, recalled, reading.clone());
    search_other_invoices(context, std::slice::from_mut(&mut decided));
    decided
}

/// Returns the claim of an invoice on these payments.
pub(crate) fn claim<'a>(
    context: &Context,
    invoice: &'a str,
    reading: &Reading,
    payments: &'a [PaymentIds],
) -> Claim<'a> {
    let currency = reading.invoice.currency.as_ref().ok().copied();
    Claim {
        invoice,
        currency: currency.unwrap_or(context.mapping.default_currency),
        payments,
    }
}

/// Searches other invoices for the payments that the plans would book, and for those of which an invoice has only a
/// part, and decides again where some are found.
fn search_other_invoices(context: &Context, decided: &mut [DecidedCase]) {
    let claiming: Vec<(&mut DecidedCase, Vec<PaymentIds>)> = decided
        .iter_mut()
        .map(|decided| {
            let mut payments = claims(&decided.reading, &decided.plan);
            payments.extend(decided.plan.in_part.iter().cloned());
            (decided, payments)
        })
        .filter(|(_, payments)| !payments.is_empty())
        .collect();
    if claiming.is_empty() {
        return;
    }
    let claims: Vec<Claim> = claiming
        .iter()
        .map(|(decided, payments)| {
            let invoice = decided.recalled.case.invoice;
            claim(context, invoice, &decided.reading, payments)
        })
        .collect();
    let found = other_invoices(context.mapping, &claims);
    for ((decided, _), found) in claiming.into_iter().zip(found) {
        if !found.0.is_empty() {
            decided.recalled.other_invoices = found;
            decided.plan = decided.recalled.decide(context, &decided.reading);
        }
    }
}

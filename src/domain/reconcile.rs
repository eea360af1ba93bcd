//! Decides what is done about one invoice.
//!
//! [`reconcile`] is pure and total: it takes the facts of one invoice and Stripe's evidence, and returns a [`Plan`]
//! for any input. It only increases: the amount paid and the status rise by evidence and never fall, and no row is
//! deleted.

mod accounts;
mod answers;
mod balance_due;
mod booking;
mod books;
mod currencies;
mod denied;
mod invoice;
mod payments;
mod receipt;
mod reductions;
mod refunds_in_vain;
mod row_ids;
mod row_issues;
mod rows_by_hand;
mod settlement;
mod sharing;
mod stripe_invoices;
mod ties;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use self::answers::{ids_of, lacks_invoice, with_known_invoices};
use self::receipt::Receipt;
use super::evidence::{Evidence, StripePayment, merge_payments};
use super::identity::{PaymentIds, is_payment_link};
use super::invoice::{Invoice, InvoiceStatus};
use super::issue::{Issue, IssueKind, Severity};
use super::money::{Currency, Money};
use super::payment::{PaymentRow, PaymentStatus};
use super::plan::Plan;
use super::recheck::{HELD, Recheck};
use super::reductions::Reduced;
use super::rules::{Memory, OtherInvoices, Remembered, Rules};

/// The facts about one invoice in the database, read under one lock.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) invoice: &'a Invoice,
    pub(crate) rows: &'a [PaymentRow],
    /// What earlier runs learned about this invoice's Stripe payments.
    pub(crate) memory: &'a Memory,
    /// Payments whose repair somebody undid, each with its ids.
    pub(crate) undone: &'a [Vec<String>],
    /// Stored ids that Stripe was asked about, and whose objects will not change any more: never paid, or booked.
    pub(crate) finished: &'a BTreeSet<String>,
    /// Payments whose rows lack values that Stripe did not know yet.
    pub(crate) awaited: &'a BTreeSet<String>,
    /// Other invoices that have one of the evidence's payments in their books, by the name that people use.
    pub(crate) other_invoices: &'a OtherInvoices,
    /// Ids that were looked up only because open issues of the invoice are about them.
    pub(crate) in_question: &'a [String],
    /// Whether the host's payments have a column for the refunded amount.
    pub(crate) has_refunded_column: bool,
    /// Whether the payments have no column for Stripe's ids.
    pub(crate) rows_have_no_ids: bool,
    /// Whether the rows are still those of the application: this pass has not written them.
    pub(crate) rows_are_unwritten: bool,
    /// The ids of rows that have none, by the rows' keys, as earlier runs stored them.
    pub(crate) row_ids: &'a BTreeMap<String, PaymentIds>,
    /// Whether the application records no payments, so that an invoice may be paid without any.
    pub(crate) invoice_is_record: bool,
    /// The books before payments of this invoice were just written under the same lock; `None` if none were.
    pub(crate) before: Option<Before<'a>>,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// The books of an invoice before its payments were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    pub(crate) invoice: &'a Invoice,
    pub(crate) rows: &'a [PaymentRow],
}

impl<'a> Before<'a> {
    pub(crate) fn of(invoice: &'a Invoice, rows: &'a [PaymentRow]) -> Self {
        Self { invoice, rows }
    }
}

impl Facts<'_> {
    /// Returns whether the invoice or one of its rows refers to this payment, or the invoice to what it replaced.
    fn refer_to(&self, payment: &StripePayment) -> bool {
        let ids = &payment.ids;
        let mut stored = self.invoice.stored_ids.iter();
        stored.any(|id| ids.contains(id.trim()) || payment.former_ids.iter().any(|it| it == id))
            || self.rows.iter().any(|row| row.ids.same_payment(ids))
    }

    /// Returns the rows of this payment, without rows that book its refunds.
    fn rows_of(&self, ids: &PaymentIds) -> impl Iterator<Item = &PaymentRow> {
        let rows = self.rows.iter();
        rows.filter(|row| row.amount_minor() >= 0 && row.ids.same_payment(ids))
    }

    /// Returns whether a payment was looked up because an issue names it, and the invoice no longer refers to it.
    /// This is never so for a payment that was learned to be the invoice's when it did, and for one whose repair
    /// somebody undid: the issue about the undone repair is about it.
    fn is_let_go(&self, payment: &StripePayment) -> bool {
        let ids = &payment.ids;
        let names = |known: &[String]| known.iter().any(|id| ids.contains(id));
        let is_own = |known: &Remembered| known.is_own && known.received > 0;
        let is_own = self.memory.of(ids).is_some_and(is_own);
        names(self.in_question)
            && !self.refer_to(payment)
            && !is_own
            && !self.undone.iter().any(|payment| names(payment))
    }
}

/// Decides about the invoice. `evidence` has one finding for each object that was looked up, in any order. An id of
/// the invoice without a finding was not looked up, and nothing is concluded from that.
pub(crate) fn reconcile(facts: &Facts, evidence: &[Evidence], rules: &Rules) -> Plan {
    decide(facts, evidence, rules, Application::Applied)
}

/// Makes the plan for the case that it is not applied. Its issues are those of the current rows, so that a pass that
/// reads only the rows finds the same ones.
pub(crate) fn reconcile_unwritten(facts: &Facts, evidence: &[Evidence], rules: &Rules) -> Plan {
    let decided = reconcile(facts, evidence, rules);
    let current = decide(facts, evidence, rules, Application::NotApplied);
    let mut plan = Plan {
        issues: current.issues,
        undecided: current.undecided,
        ..decided
    };
    plan.note_unwritten();
    plan
}

/// Whether the plan is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    Applied,
    NotApplied,
}

fn decide(facts: &Facts, evidence: &[Evidence], rules: &Rules, application: Application) -> Plan {
    let evidence = &*accounts::evidence_of(facts.invoice, evidence);
    let memory = accounts::memory_of(facts.invoice, facts.memory);
    let facts = &Facts {
        memory: &memory,
        ..facts.clone()
    };
    let payments = with_known_invoices(merge_payments(evidence), facts.memory);
    let mut rows = row_ids::with_stored(facts.rows, facts.row_ids);
    let named = ties::name_by_balance_transactions(&mut rows, &payments);
    let facts = &Facts {
        rows: &rows,
        ..facts.clone()
    };
    let stored_ids_are_booked =
        !facts.rows_have_no_ids && books::are_booked(&facts.invoice.stored_ids, facts.rows);
    let mut rows = ties::with_tied_ids(facts, &payments);
    let presumed = ties::presume_ties(&mut rows, facts, evidence, &payments);
    let facts = &Facts {
        rows: &rows,
        ..facts.clone()
    };
    let mut draft = Draft::new(facts, evidence);
    draft.plan.stored_ids_are_booked = stored_ids_are_booked;
    draft.plan.row_ids = named;
    draft.note_presumed(presumed);
    match &facts.invoice.currency {
        Err(text) => {
            draft.issues.push(unreadable_currency(facts.invoice, text));
            draft.recheck = HELD;
            // Nothing was decided, so no open issue is resolved.
            draft.plan.judged.clear();
            draft.plan.undecided.extend([
                IssueKind::PaidWithoutPayment,
                IssueKind::AmountMismatch,
                IssueKind::Overpaid,
                IssueKind::DuplicatePayment,
            ]);
            draft.conclude_nothing_from_no_change();
        }
        Ok(currency) => {
            let rows = currencies::readable(facts, *currency);
            let facts = &Facts {
                rows: &rows,
                ..facts.clone()
            };
            let receipts = draft.receipts(&payments, *currency, facts, rules);
            draft.note_denied(&payments, *currency, facts);
            draft.add_up_payments();
            let mut rows = facts.rows.to_vec();
            if facts.rows_have_no_ids {
                draft.presume_rows(&mut rows, &receipts, facts);
            }
            let facts = &Facts {
                rows: &rows,
                ..facts.clone()
            };
            draft.decide(*currency, facts, evidence, &receipts, rules, application);
        }
    }
    draft.finish()
}

/// A plan under construction.
struct Draft {
    /// Rows that are counted with another row's payment until Stripe is asked.
    presumed: BTreeSet<String>,
    plan: Plan,
    issues: Vec<Issue>,
    recheck: Recheck,
    /// Refunds and disputes by each id of the payment: stored knowledge, overridden by evidence.
    known: BTreeMap<String, Remembered>,
    /// When Stripe received a payment, by each of its ids.
    received_at: BTreeMap<String, i64>,
    reduced: Vec<Reduced>,
    /// Payments of which Stripe says that they are not paid.
    unpaid: Vec<StripePayment>,
    /// The ids of objects by which nothing had to be paid, such as the session of a subscription that began with a trial.
    free: BTreeSet<String>,
    /// Whether a Stripe Invoice was not read that may say what was taken off.
    lacks_reductions: bool,
    /// The Stripe Invoices whose rows were compared with several payments.
    compared: BTreeSet<String>,
}

impl Draft {
    fn new(facts: &Facts, evidence: &[Evidence]) -> Self {
        Self {
            presumed: BTreeSet::new(),
            plan: Plan {
                judged: evidence
                    .iter()
                    .flat_map(|finding| ids_of(finding).filter(|id| !lacks_invoice(finding, id)))
                    .map(str::to_owned)
                    .collect(),
                booked: facts
                    .rows
                    .iter()
                    .filter(|row| row.was_received())
                    .flat_map(|row| row.ids.each())
                    .map(str::to_owned)
                    .collect(),
                ..Plan::default()
            },
            issues: Vec::new(),
            recheck: Recheck::Never,
            known: facts.memory.0.clone(),
            received_at: BTreeMap::new(),
            reduced: Vec::new(),
            unpaid: Vec::new(),
            free: BTreeSet::new(),
            lacks_reductions: false,
            compared: BTreeSet::new(),
        }
    }

    /// Returns the payments that were received for this invoice. All evidence is recorded before any payment is booked,
    /// because the refund of one payment affects the decision about another.
    fn receipts<'p>(
        &mut self,
        payments: &'p [StripePayment],
        currency: Currency,
        facts: &Facts,
        rules: &Rules,
    ) -> Vec<Receipt<'p>> {
        let payments = payments.iter();
        payments
            .filter_map(|payment| self.judge_payment(payment, currency, facts, rules))
            .collect()
    }

    fn decide(
        &mut self,
        currency: Currency,
        facts: &Facts,
        evidence: &[Evidence],
        receipts: &[Receipt],
        rules: &Rules,
        application: Application,
    ) {
        for receipt in rows_by_hand::in_order(receipts, facts) {
            if self.is_booked_elsewhere(receipt, facts) {
                self.do_not_learn(receipt);
                continue;
            }
            self.note_refund(receipt, facts);
            self.note_dispute(receipt, facts);
            self.book(receipt, facts, rules);
        }
        let after = if application == Application::NotApplied {
            if books::bring_money(facts.rows, &self.plan.payments) {
                // Money was received, but it is not booked.
                self.conclude_nothing_from_absence();
            }
            facts.rows.to_vec()
        } else {
            books::project(facts.rows, &self.plan.payments)
        };
        for finding in evidence {
            self.note_absence(finding, facts.invoice, &after);
        }
        let secured = books::secured(&after, &self.known);
        self.plan.secured = Some(Money::new(secured, currency));
        self.note_awaited(receipts, &after, facts);
        self.note_unasked_ids(&after, facts);
        self.note_unknown_refunds(&after);
        self.note_undone(&after, facts);
        self.note_duplicates(&after, facts.invoice);
        self.note_unreadable_rows(&after, facts.invoice);
        if facts.invoice.status == InvoiceStatus::Closed {
            // A closed invoice is not changed, but may be opened again.
            self.plan.unjudged.insert(IssueKind::RepairUndone);
        } else {
            self.judge_invoice(currency, facts, receipts, &after, rules);
            self.note_reductions(facts, secured);
        }
    }

    /// Ties rows without ids to these payments.
    fn presume_rows(&mut self, rows: &mut [PaymentRow], receipts: &[Receipt], facts: &Facts) {
        let presumed = row_ids::presume(rows, receipts, facts);
        self.plan.row_ids.extend(presumed);
        for row in rows.iter().filter(|row| row.was_received()) {
            let ids = row.ids.each().map(str::to_owned);
            self.plan.booked.extend(ids);
        }
    }

    /// Raises an issue about an object that cannot be read, if the invoice or one of its rows refers to it.
    fn note_absence(&mut self, finding: &Evidence, invoice: &Invoice, after: &[PaymentRow]) {
        let stores = |id: &str| invoice.stored_ids.iter().any(|own| own.trim() == id.trim());
        let has = |id: &str| after.iter().any(|row| row.ids.contains(id));
        if !ids_of(finding).any(|id| stores(id) || has(id)) {
            return;
        }
        let label = invoice.label();
        let issue = match finding {
            Evidence::Payment(_) => return,
            Evidence::Missing { id, message } => Issue::new(
                IssueKind::StripeObjectMissing,
                Severity::Warning,
                format!("Invoice {label} refers to {id}, which does not exist in Stripe. Correct the id, or set the API key of the account that has the object."),
            )
            .about(Some(id.as_str()))
            .with_evidence(json!({ "id": id.as_str(), "stripe_says": message })),
            Evidence::OtherMode { id, message } => Issue::new(
                IssueKind::LivemodeMismatch,
                Severity::Warning,
                format!(
                    "Invoice {label} refers to {id}, which belongs to Stripe's other mode (test or live) and was not booked. Correct the id, or set an API key of that mode."
                ),
            )
            .about(Some(id.as_str()))
            .with_evidence(json!({ "id": id.as_str(), "stripe_says": message })),
            // The sessions that are made from it name it.
            Evidence::NotAnId { text } if is_payment_link(text) => return,
            Evidence::NotAnId { text } => Issue::new(
                IssueKind::StripeObjectMissing,
                Severity::Warning,
                format!(
                    "Invoice {label} contains \"{text}\", which is not the id of a Stripe payment, so Stripe was not asked. Correct or remove it."
                ),
            )
            .about(Some(text))
            .with_evidence(json!({ "id": text })),
        };
        self.issues.push(issue);
    }

    /// Leaves issues about missing money undecided if Stripe was not asked about an id of the invoice, now or when it
    /// gave its last word: no money was known of then.
    fn note_unasked_ids(&mut self, after: &[PaymentRow], facts: &Facts) {
        let judged = &self.plan.judged;
        let unasked = facts.invoice.stored_ids.iter().any(|id| {
            let was_never_paid =
                facts.finished.contains(id) && !facts.memory.has_received(id.trim());
            let was_asked = was_never_paid || judged.contains(id) || judged.contains(id.trim());
            !was_asked && !books::has_received(after, id)
        });
        if unasked {
            self.conclude_nothing_from_absence();
            self.recheck = Recheck::NextSweep;
        }
    }

    /// Has Stripe asked about rows that are presumed to be of another row's payment, and decides no issue about the sums
    /// until then.
    fn note_presumed(&mut self, presumed: BTreeSet<String>) {
        if !presumed.is_empty() {
            self.recheck = Recheck::NextSweep;
            self.conclude_nothing_from_absence();
            let undecided = [IssueKind::DuplicatePayment, IssueKind::Overpaid];
            self.plan.undecided.extend(undecided);
        }
        self.presumed = presumed;
    }

    /// Has Stripe asked about rows of which a part went back, if nothing says how much: until then they count nothing.
    fn note_unknown_refunds(&mut self, after: &[PaymentRow]) {
        let is_unknown = |row: &PaymentRow| {
            row.status == PaymentStatus::PartlyRefunded
                && !row.ids.is_empty()
                && !books::is_refund_known(row, &self.known)
        };
        if after.iter().any(is_unknown) {
            self.recheck = Recheck::NextSweep;
        }
    }

    /// Leaves issues about missing money undecided if a repair was undone and its payment is not in the books: the
    /// issue about the undone repair covers it.
    fn note_undone(&mut self, after: &[PaymentRow], facts: &Facts) {
        let is_missing = |ids: &Vec<String>| !ids.iter().any(|id| books::has_received(after, id));
        if facts.undone.iter().any(is_missing) {
            self.conclude_nothing_from_absence();
        }
    }

    /// Marks issues about missing money as undecided, because there may be money that this pass does not see.
    fn conclude_nothing_from_absence(&mut self) {
        self.plan
            .undecided
            .extend([IssueKind::PaidWithoutPayment, IssueKind::AmountMismatch]);
    }

    /// Marks issues about failed writes as undecided: a change that could not be decided now may be planned later.
    fn conclude_nothing_from_no_change(&mut self) {
        self.plan.unjudged.extend([
            IssueKind::ApplyFailed,
            IssueKind::OverriddenByTrigger,
            IssueKind::RepairUndone,
        ]);
    }

    fn finish(mut self) -> Plan {
        self.issues
            .sort_by_cached_key(|issue| (issue.kind, issue.object.clone(), wording(issue)));
        self.issues.dedup();
        // One issue per kind and object: the first, with the content of the others.
        self.issues.dedup_by(|later, first| {
            let same = later.kind == first.kind && later.object == first.object;
            if same {
                first.absorb(later);
            }
            same
        });
        // The facts of an issue about a Stripe object may change at Stripe.
        if self.issues.iter().any(|issue| issue.object.is_some()) {
            self.recheck = self.recheck.sooner(HELD);
        }
        self.plan.issues = self.issues;
        self.plan.recheck = self.recheck;
        self.plan.reasons.sort();
        self.plan.reasons.dedup();
        self.plan
    }
}

/// Returns the whole text of an issue, for a stable order.
fn wording(issue: &Issue) -> (String, String) {
    (issue.summary.clone(), issue.evidence.to_string())
}

fn unreadable_currency(invoice: &Invoice, text: &str) -> Issue {
    Issue::new(
        IssueKind::CurrencyMismatch,
        Severity::Warning,
        format!(
            "Invoice {} has the currency \"{text}\", which is not a currency code such as EUR, so nothing was booked. Correct the currency.",
            invoice.label()
        ),
    )
    .with_evidence(json!({ "invoice_currency": text }))
}

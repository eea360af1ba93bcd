//! Builders for invoices, rows and evidence, and the application of a plan to them.
//!
//! By default: invoice `inv-1` with number R-1 and a total of 100.00 EUR, Sent, unpaid, referring to the payment
//! intent `pi_1`; live mode.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::evidence::{
    Dispute, Disputes, Evidence, Gratuity, PaymentState, SessionSide, StripePayment,
};
use crate::domain::identity::{PaymentIds, StripeId};
use crate::domain::invoice::{Field, Invoice};
use crate::domain::money::{AmountUnit, Currency, Money};
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::plan::{NewPayment, PaymentChange, PaymentUpdate, Plan};
use crate::domain::reconcile::{Before, Facts, reconcile};
use crate::domain::rules::{
    InvoiceWords, Memory, OtherInvoices, OtherPart, PaymentWords, Remembered, Rules,
};

/// When the builders' payments were received.
pub(super) const RECEIVED_AT: i64 = 1_700_000_000;
/// The current time of the tests.
pub(super) const NOW: i64 = 1_800_000_000;

pub(super) fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a test's currency is a code of three letters")
}

pub(super) fn eur(cents: i64) -> Money {
    Money::new(cents, currency("eur"))
}

pub(super) fn rules() -> Rules {
    Rules {
        livemode: Some(true),
        invoice_words: InvoiceWords {
            paid: "Paid".into(),
            partial: Some("Partial".into()),
            closed: vec!["Cancelled".into(), "Void".into()],
            open: vec!["Sent".into()],
            refunded: vec!["Refunded".into()],
            after_paid: vec!["Shipped".into()],
        },
        payment_words: PaymentWords {
            paid: "Paid".into(),
            pending: vec!["Pending".into()],
            failed: vec!["Failed".into()],
            partly_refunded: vec!["Partially refunded".into()],
            refunded: Some("Refunded".into()),
            disputed: Some("Disputed".into()),
        },
        gratuity_unit: AmountUnit::Major,
    }
}

/// Sorts the texts into ids, as from an application's columns.
pub(super) fn ids(texts: &[&str]) -> PaymentIds {
    PaymentIds::from_columns(texts.iter().map(|text| Some(*text)))
}

pub(super) fn invoice(word: &str) -> Invoice {
    Invoice {
        id: "inv-1".into(),
        number: Some("R-1".into()),
        status: rules().invoice_words.class(word),
        status_word: word.into(),
        currency: Ok(currency("eur")),
        total: Field::Value(eur(100_00)),
        amount_paid: Field::Value(eur(0)),
        balance: Field::Value(eur(100_00)),
        paid_at: Field::Null,
        account: None,
        stored_ids: vec!["pi_1".into()],
    }
}

impl Invoice {
    /// Sets the amount paid, and the balance to match.
    pub(super) fn with_paid(mut self, cents: i64) -> Self {
        let total = self.total.value().map_or(0, |total| total.minor);
        self.amount_paid = Field::Value(eur(cents));
        self.balance = Field::Value(eur((total - cents).max(0)));
        self
    }

    pub(super) fn with_total(mut self, cents: i64) -> Self {
        self.total = Field::Value(eur(cents));
        self.with_paid(0)
    }

    pub(super) fn settled(mut self) -> Self {
        self.paid_at = Field::Value(());
        self.with_paid(100_00)
    }

    pub(super) fn storing(mut self, ids: &[&str]) -> Self {
        self.stored_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        self
    }
}

/// A payment row; without ids it stands for a row entered by hand.
pub(super) fn row(id: &str, word: &str, cents: i64, stripe_ids: &[&str]) -> PaymentRow {
    PaymentRow {
        id: id.into(),
        status: rules().payment_words.class(word),
        status_word: word.into(),
        amount: Field::Value(eur(cents)),
        gratuity: Field::Value(eur(0)),
        refunded: Field::Value(eur(0)),
        ids: ids(stripe_ids),
        other_object: None,
        paid_at: Some(RECEIVED_AT),
        unfilled: BTreeMap::new(),
    }
}

impl PaymentRow {
    pub(super) fn with_refunded(mut self, cents: i64) -> Self {
        self.refunded = Field::Value(eur(cents));
        self
    }

    pub(super) fn with_gratuity(mut self, cents: i64) -> Self {
        self.gratuity = Field::Value(eur(cents));
        self
    }
}

/// Stripe's answer about the payment with these ids.
pub(super) fn stripe(texts: &[&str], state: PaymentState) -> StripePayment {
    StripePayment {
        ids: ids(texts),
        former_ids: Vec::new(),
        state,
        as_of: 1,
        tells_returns: true,
        refunded: 0,
        dispute: None,
        withheld: 0,
        session_side: SessionSide::Read,
        livemode: Some(true),
        gratuity: Gratuity::None,
        is_renewal_of_named: false,
        invoice_was_read: false,
        invoice_references: Vec::new(),
        received_at: Some(RECEIVED_AT),
        balance_transaction: None,
        net: None,
        reductions: Default::default(),
        attributes: BTreeMap::new(),
        is_unsettled: false,
        request_id: Some("req_1".into()),
    }
}

pub(super) fn received(texts: &[&str], cents: i64) -> StripePayment {
    stripe(texts, PaymentState::Received(eur(cents)))
}

pub(super) fn waiting(texts: &[&str], status: &str) -> StripePayment {
    stripe(texts, PaymentState::Waiting(status.into()))
}

pub(super) fn never(texts: &[&str], status: &str) -> StripePayment {
    stripe(texts, PaymentState::Never(status.into()))
}

impl StripePayment {
    pub(super) fn with_refund(mut self, cents: i64) -> Self {
        self.refunded = cents;
        self
    }

    pub(super) fn with_dispute(self, status: &str) -> Self {
        self.with_dispute_over(status, i64::MAX)
    }

    pub(super) fn with_dispute_over(mut self, status: &str, cents: i64) -> Self {
        let mut disputes = Disputes {
            most_severe: self.dispute.take(),
            withheld: self.withheld,
        };
        disputes.add(Dispute::from_status(status), cents);
        self.with_disputes(disputes)
    }

    pub(super) fn with_gratuity(mut self, text: &str) -> Self {
        self.gratuity = Gratuity::Text(text.into());
        self
    }

    pub(super) fn naming(mut self, invoice: &str) -> Self {
        self.invoice_references.push(invoice.into());
        self
    }

    pub(super) fn without_session_read(mut self) -> Self {
        self.session_side = SessionSide::Unread;
        self
    }

    pub(super) fn in_test_mode(mut self) -> Self {
        self.livemode = Some(false);
        self
    }
}

pub(super) fn missing(id: &str) -> Evidence {
    Evidence::Missing {
        id: StripeId::parse(id).expect("a test's id is one of Stripe's"),
        message: format!("No such object: '{id}'"),
    }
}

pub(super) fn other_mode(id: &str) -> Evidence {
    Evidence::OtherMode {
        id: StripeId::parse(id).expect("a test's id is one of Stripe's"),
        message: "a similar object exists in test mode".into(),
    }
}

/// The insertion of a payment without a gratuity.
pub(super) fn booked(payment: &StripePayment, status: PaymentStatus, cents: i64) -> NewPayment {
    NewPayment {
        ids: payment.ids.clone(),
        status,
        amount: eur(cents),
        gratuity: eur(0),
        refunded: eur(payment.refunded),
        received_at: payment.received_at,
        attributes: payment.attributes.clone(),
        request_id: payment.request_id.clone(),
    }
}

/// An update of the row that changes nothing yet.
pub(super) fn updated(row: &str, payment: &StripePayment) -> PaymentUpdate {
    PaymentUpdate {
        row: row.into(),
        ids: payment.ids.clone(),
        status: None,
        amount: None,
        gratuity: None,
        refunded: None,
        missing_ids: PaymentIds::default(),
        attributes: BTreeMap::new(),
        received_at: payment.received_at,
        request_id: payment.request_id.clone(),
    }
}

/// One invoice with everything that a decision needs.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) invoice: Invoice,
    pub(super) rows: Vec<PaymentRow>,
    pub(super) memory: Memory,
    pub(super) undone: Vec<Vec<String>>,
    pub(super) finished: BTreeSet<String>,
    pub(super) awaited: BTreeSet<String>,
    pub(super) rules: Rules,
    pub(super) has_gratuity_column: bool,
    pub(super) has_refunded_column: bool,
    pub(super) just_booked: bool,
    pub(super) other_invoices: OtherInvoices,
    pub(super) in_question: Vec<String>,
}

pub(super) fn world(invoice: Invoice) -> World {
    World {
        invoice,
        rows: Vec::new(),
        memory: Memory::default(),
        undone: Vec::new(),
        finished: BTreeSet::new(),
        awaited: BTreeSet::new(),
        rules: rules(),
        has_gratuity_column: true,
        has_refunded_column: true,
        just_booked: false,
        other_invoices: OtherInvoices::default(),
        in_question: Vec::new(),
    }
}

impl World {
    /// Adds an issue of the invoice about this object.
    pub(super) fn in_question(mut self, id: &str) -> Self {
        self.in_question.push(id.into());
        self
    }

    /// Adds a repair of this payment that somebody undid.
    pub(super) fn undone(mut self, id: &str) -> Self {
        self.undone.push(vec![id.into()]);
        self
    }

    pub(super) fn booked_elsewhere(self, id: &str, invoice: &str) -> Self {
        self.with_part_elsewhere(id, invoice, 0)
    }

    /// Adds a part of the payment that another invoice has received.
    pub(super) fn with_part_elsewhere(self, id: &str, invoice: &str, cents: i64) -> Self {
        self.noting(id, |part| part.whole = cents, invoice)
    }

    /// Adds a pending row of another invoice for the payment.
    pub(super) fn awaited_elsewhere(self, id: &str, invoice: &str) -> Self {
        self.noting(id, |part| part.was_received = false, invoice)
    }

    /// Adds a row that has the payment and does not count.
    pub(super) fn booked_in_a_row_that_does_not_count(self, id: &str) -> Self {
        self.noting(id, |part| part.uncounted_row = Some("7".into()), "INV-1")
    }

    fn noting(mut self, id: &str, change: impl FnOnce(&mut OtherPart), invoice: &str) -> Self {
        let mut part = OtherPart {
            invoice: invoice.into(),
            id: invoice.into(),
            uncounted_row: None,
            was_received: true,
            whole: 0,
        };
        change(&mut part);
        self.other_invoices.note(id, part);
        self
    }

    pub(super) fn with_row(mut self, row: PaymentRow) -> Self {
        self.rows.push(row);
        self
    }

    /// Adds what an earlier run learned about the payment.
    pub(super) fn remembering(mut self, id: &str, received: i64, refunded: i64) -> Self {
        let known = Remembered {
            ids: ids(&[id]),
            as_of: 0,
            seen_at: 0,
            currency: Some(currency("eur")),
            received,
            refunded,
            refunded_latest: refunded,
            own_seen_at: 0,
            dispute: None,
            withheld: 0,
            is_own: true,
        };
        self.memory.0.insert(id.into(), known);
        self
    }

    pub(super) fn remembering_dispute(mut self, id: &str, status: &str) -> Self {
        self = self.remembering(id, 100_00, 0);
        if let Some(known) = self.memory.0.get_mut(id) {
            let dispute = Dispute::from_status(status);
            known.withheld = if dispute.withholds_money() { 100_00 } else { 0 };
            known.dispute = Some(dispute);
        }
        self
    }

    pub(super) fn without_word_for_refunded(mut self) -> Self {
        self.rules.payment_words.refunded = None;
        self
    }

    pub(super) fn without_word_for_disputed(mut self) -> Self {
        self.rules.payment_words.disputed = None;
        self
    }

    pub(super) fn without_refunded_column(mut self) -> Self {
        self.has_refunded_column = false;
        for row in &mut self.rows {
            row.refunded = Field::Unmapped;
        }
        self
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            invoice: &self.invoice,
            rows: &self.rows,
            memory: &self.memory,
            undone: &self.undone,
            finished: &self.finished,
            awaited: &self.awaited,
            other_invoices: &self.other_invoices,
            in_question: &self.in_question,
            has_refunded_column: self.has_refunded_column,
            rows_have_no_ids: false,
            rows_are_unwritten: true,
            row_ids: const { &BTreeMap::new() },
            invoice_is_record: false,
            before: self
                .just_booked
                .then(|| Before::of(&self.invoice, &self.rows)),
            now: NOW,
        }
    }

    pub(super) fn reconcile(&self, evidence: &[Evidence]) -> Plan {
        reconcile(&self.facts(), evidence, &self.rules)
    }

    /// Returns the world after the plan is applied. Values without a column are kept in memory only.
    pub(super) fn apply(&self, plan: &Plan) -> Self {
        let mut after = self.clone();
        after.just_booked = false;
        for change in &plan.payments {
            match change {
                PaymentChange::Insert(payment) => {
                    let row = self.inserted(payment, after.rows.len());
                    after.rows.push(row);
                }
                PaymentChange::Update(update) => {
                    let row = after.rows.iter_mut().find(|row| row.id == update.row);
                    self.overwrite(row.expect("a plan updates rows that exist"), update);
                }
            }
        }
        if let Some(change) = &plan.invoice {
            let invoice = &mut after.invoice;
            if let Some(word) = change.status.map(|status| self.invoice_word(status)) {
                invoice.status = self.rules.invoice_words.class(&word);
                invoice.status_word = word;
            }
            write(&mut invoice.amount_paid, change.amount_paid);
            write(&mut invoice.balance, change.balance);
            write(&mut invoice.paid_at, change.paid_at.map(|_| ()));
        }
        after.memory.0.extend(plan.learned.0.clone());
        after
    }

    fn inserted(&self, payment: &NewPayment, ordinal: usize) -> PaymentRow {
        let column = |exists: bool, field| if exists { field } else { Field::Unmapped };
        let word = self.payment_word(payment.status);
        PaymentRow {
            status: self.rules.payment_words.class(&word),
            amount: Field::Value(payment.amount),
            gratuity: column(self.has_gratuity_column, Field::Value(payment.gratuity)),
            refunded: column(self.has_refunded_column, Field::Value(payment.refunded)),
            ids: in_two_columns(payment.ids.clone()),
            paid_at: payment.received_at,
            ..row(&format!("inserted-{ordinal}"), &word, 0, &[])
        }
    }

    fn overwrite(&self, row: &mut PaymentRow, update: &PaymentUpdate) {
        if let Some(word) = update.status.map(|status| self.payment_word(status)) {
            row.status = self.rules.payment_words.class(&word);
            row.status_word = word;
        }
        write(&mut row.amount, update.amount);
        write(&mut row.gratuity, update.gratuity);
        write(&mut row.refunded, update.refunded);
        row.ids.complete_from(&update.missing_ids);
        row.ids = in_two_columns(std::mem::take(&mut row.ids));
        let is_filled = |path: &String| update.attributes.contains_key(path);
        row.unfilled.retain(|path, _| !is_filled(path));
    }

    fn payment_word(&self, status: PaymentStatus) -> String {
        let word = self.rules.payment_words.word(status);
        word.expect("a plan uses only the host's words").to_owned()
    }

    fn invoice_word(&self, status: crate::domain::invoice::InvoiceStatus) -> String {
        use crate::domain::invoice::InvoiceStatus::*;
        let words = &self.rules.invoice_words;
        match status {
            Paid => words.paid.clone(),
            Partial => words.partial.clone().expect("the host has this word"),
            Open | AfterPaid | Closed | Unknown => panic!("the machine never writes {status:?}"),
        }
    }
}

/// Sets a mapped column; a plan must not name others.
fn write<T: std::fmt::Debug>(field: &mut Field<T>, value: Option<T>) {
    if let Some(value) = value {
        assert!(field.is_mapped(), "{value:?} has no column");
        *field = Field::Value(value);
    }
}

/// Keeps the ids that fit into two columns, one for the session and one for the intent or else the charge.
fn in_two_columns(mut ids: PaymentIds) -> PaymentIds {
    if ids.intent.is_some() {
        ids.charge = None;
    }
    ids
}

//! The writes of an action to the application's rows: planned first, so that a dry run can show them.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Map, Value};

use crate::apply::case::judge_anew;
use crate::apply::context::Context;
use crate::domain::evidence::{Evidence, PaymentState, merge_payments};
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::InvoiceStatus;
use crate::domain::money::Money;
use crate::domain::plan::{NewPayment, PaymentChange, PaymentUpdate, Plan};
use crate::host::host_table::HostTable;
use crate::host::mapping::Mapping;
use crate::host::read::Reading;
use crate::host::restore::{self, Place};
use crate::host::settings::invalid;
use crate::host::{words, write};
use crate::operate::actions::Action;
use crate::pg::{Problem, in_subtransaction};

/// What the action writes before the evidence is applied again.
#[derive(Debug)]
pub(super) enum Write {
    /// Nothing: applying the evidence does everything.
    Nothing,
    /// Columns of the invoice, with values of their types.
    Invoice(Map<String, Value>),
    /// A payment that Stripe received, although a similar row exists.
    Insert(Box<NewPayment>),
    /// Stripe's ids for a row without ids.
    Link(Box<PaymentUpdate>),
}

/// The facts by which a write is planned.
pub(super) struct WriteFacts<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) reading: &'a Reading,
    pub(super) evidence: &'a [Evidence],
    /// The plan without the person's decision.
    pub(super) plan: &'a Plan,
    /// The evidence of the issue.
    pub(super) facts: &'a Value,
    /// The Stripe object that the issue is about.
    pub(super) object: Option<&'a str>,
    /// The status in the arguments.
    pub(super) status: Option<&'a str>,
    /// Whether the arguments confirm a status word that the database does not know.
    pub(super) new_word: bool,
}

impl WriteFacts<'_> {
    /// Returns what the action writes. Fails with 22023 for arguments that do not fit and with 55000 if there is
    /// nothing to do.
    pub(super) fn write(&self, action: Action) -> Result<Write, Problem> {
        let paid = self.plan.secured;
        match action {
            Action::SetStatus => self.invoice(None, Some(self.given_status()?)),
            Action::RevertToUnpaid => {
                let word = self.given_status()?;
                if !matches!(
                    self.mapping().invoice_words.class(word),
                    InvoiceStatus::Open | InvoiceStatus::Unknown
                ) {
                    return Err(invalid(format!(
                        "\"{word}\" is not the status of an unpaid invoice"
                    )));
                }
                self.invoice(paid, Some(word))
            }
            Action::FollowPayments => self.invoice(paid, self.status_for(paid)?),
            Action::MarkRefunded => {
                let dispute = self.facts.get("dispute_status").and_then(Value::as_str);
                if dispute.is_some_and(|status| status != "lost") {
                    return Err(not_now("the dispute is not decided")
                        .detail("If it is won, the money is returned."));
                }
                self.invoice(paid, self.status_for(paid)?)
            }
            Action::BookAnyway => self.insert(),
            Action::LinkRow => self.link(),
            _ => Ok(Write::Nothing),
        }
    }

    fn mapping(&self) -> &Mapping {
        self.context.mapping
    }

    fn given_status(&self) -> Result<&str, Problem> {
        self.status.ok_or_else(|| {
            invalid("the action requires a status".to_owned())
                .hint("Example: arguments => '{\"status\": \"Sent\"}'.")
        })
    }

    /// Returns the status word for an invoice with this amount paid; `None` leaves the status unchanged.
    fn status_for(&self, paid: Option<Money>) -> Result<Option<&str>, Problem> {
        let words = &self.mapping().invoice_words;
        let total = self.reading.invoice.total.value();
        let (paid, total) = (minor(paid), minor(total));
        if paid >= total {
            return Ok(self.status);
        }
        let word = match self.status {
            None if paid > 0 => words.partial.as_deref(),
            given => given,
        };
        match word {
            Some(word) if words.class(word) == InvoiceStatus::Paid => Err(invalid(format!(
                "the status \"{word}\" means that the invoice is paid"
            ))),
            None => self.given_status().map(Some),
            word => Ok(word),
        }
    }

    fn invoice(&self, paid: Option<Money>, status: Option<&str>) -> Result<Write, Problem> {
        let mapping = self.mapping();
        let values = restore::amounts(mapping, self.reading, paid, status)?;
        let typed = in_subtransaction(|| Ok(restore::typed(mapping, HostTable::Invoice, &values)))
            .map_err(|problem| {
                invalid("the columns do not accept these values".to_owned())
                    .detail(problem.to_string())
            })?;
        if let Some(word) = status.filter(|_| !self.new_word) {
            must_be_known(mapping, word)?;
        }
        let columns = self.reading.invoice_row.columns();
        let same = |(column, value): (&String, &Value)| columns.get(column).as_ref() == Some(value);
        if typed.iter().all(same) {
            return Err(
                not_now("nothing would change").detail("The invoice already has these values.")
            );
        }
        Ok(Write::Invoice(typed))
    }

    /// Returns the payment as it would be booked without the similar row, or without the row that does not count.
    fn insert(&self) -> Result<Write, Problem> {
        let similar_rows = self.similar_rows();
        let mut without = self.reading.clone();
        let keep: Vec<bool> = without
            .payments
            .iter()
            .map(|row| !similar_rows.contains(&row.id.as_str()))
            .collect();
        let mut kept = keep.iter();
        without.payments.retain(|_| kept.next() == Some(&true));
        let mut kept = keep.iter();
        without.payment_rows.retain(|_| kept.next() == Some(&true));
        judge_anew(self.context, &without, self.evidence)
            .payments
            .into_iter()
            .find_map(|change| match change {
                PaymentChange::Insert(new) if new.ids.key() == self.object => {
                    Some(Write::Insert(Box::new(new)))
                }
                _ => None,
            })
            .ok_or_else(|| {
                not_now("the payment cannot be recorded").detail(self.plan.reasons.join("; "))
            })
    }

    /// Returns the rows of the issue that may be the payment: one, or several that come to it together.
    fn similar_rows(&self) -> Vec<&str> {
        match self.facts.get("row") {
            Some(Value::Array(rows)) => rows.iter().filter_map(Value::as_str).collect(),
            row => row.and_then(Value::as_str).into_iter().collect(),
        }
    }

    fn link(&self) -> Result<Write, Problem> {
        if self.facts.get("uncounted_row").is_some() {
            return Err(
                not_now("the row does not count by the setting payment_condition")
                    .detail("It has the payment's id already.")
                    .hint("Restore it, or record the payment anew (book_anyway)."),
            );
        }
        let rows = self.similar_rows();
        let [row] = rows.as_slice() else {
            return Err(not_now("several rows come to the payment together")
                .detail("Its id in each of them would make them records of one payment, which counts once.")
                .hint("Merge them into one row first; or, if nothing needs to be done, use ignore."));
        };
        let ids = received(self.evidence, self.object)
            .ok_or_else(|| not_now("the payment no longer exists in Stripe"))?;
        Ok(Write::Link(Box::new(PaymentUpdate {
            row: (*row).to_owned(),
            ids: ids.clone(),
            status: None,
            amount: None,
            gratuity: None,
            refunded: None,
            missing_ids: ids,
            attributes: BTreeMap::new(),
            received_at: None,
            request_id: None,
        })))
    }
}

impl Write {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Describes the write in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Invoice(values) => {
                let parts: Vec<String> = values
                    .iter()
                    .map(|(column, value)| format!("{column} set to {value}"))
                    .collect();
                parts.join("; ")
            }
            Self::Insert(new) => format!(
                "payment {} of {} recorded",
                new.ids.key().unwrap_or_default(),
                new.amount
            ),
            Self::Link(update) => format!(
                "the id {} written into row {}",
                update.ids.key().unwrap_or_default(),
                update.row
            ),
        }
    }

    /// Writes, under the invoice's lock, as the owners of the tables. If payments have no column for ids, returns the
    /// ids of the rows, by the rows' keys.
    pub(super) fn carry_out(
        &self,
        mapping: &Mapping,
        reading: &Reading,
    ) -> Result<BTreeMap<String, PaymentIds>, Problem> {
        let mut row_ids = BTreeMap::new();
        match self {
            Self::Nothing => {}
            Self::Invoice(values) => {
                let place = Place {
                    table: HostTable::Invoice,
                    row: reading.invoice.id.clone(),
                };
                let mut all = values.clone();
                all.extend(write::invoice_update_values(mapping, reading, values));
                restore::update_row(mapping, &reading.invoice.id, &place, &all);
            }
            Self::Insert(new) => {
                let keys = write::insert_payments(mapping, &[(reading, new)])?;
                row_ids.extend(keys.into_iter().flatten().map(|key| (key, new.ids.clone())));
            }
            Self::Link(update) if mapping.payments.have_no_ids() => {
                row_ids.insert(update.row.clone(), update.ids.clone());
            }
            Self::Link(update) => write::update_payments(mapping, &[(reading, update)])?,
        }
        Ok(row_ids)
    }

    /// Fails with 55000 if the application's triggers changed what was written.
    pub(super) fn must_have_stayed(&self, after: &Reading) -> Result<(), Problem> {
        let Self::Invoice(values) = self else {
            return Ok(());
        };
        let columns = after.invoice_row.columns();
        let other = values
            .iter()
            .find(|(column, value)| columns.get(column).as_ref() != Some(value));
        other.map_or(Ok(()), |(column, wanted)| {
            let found = columns.get(column).unwrap_or_default();
            Err(
                not_now("a trigger in your database changed what was written").detail(format!(
                    "Column {column} was set to {wanted}, but is {found}."
                )),
            )
        })
    }
}

/// Returns the ids of the received payment that has `object` among its ids.
fn received(evidence: &[Evidence], object: Option<&str>) -> Option<PaymentIds> {
    let object = object?;
    merge_payments(evidence)
        .into_iter()
        .find(|payment| {
            payment.ids.contains(object) && matches!(payment.state, PaymentState::Received(_))
        })
        .map(|payment| payment.ids)
}

/// Fails with 22023 if neither the settings nor the table know the status word; it may be a typing error.
fn must_be_known(mapping: &Mapping, word: &str) -> Result<(), Problem> {
    if words::is_invoice_status(mapping, word) {
        return Ok(());
    }
    Err(invalid(format!("no invoice has the status \"{word}\""))
        .detail("The settings and the table's constraints and defaults do not contain it.")
        .hint(format!(
            "To use it nevertheless: arguments => '{{\"status\": \"{word}\", \"new_word\": true}}'."
        )))
}

fn minor(money: Option<Money>) -> i64 {
    money.map_or(0, |money| money.minor)
}

/// Returns an error with SQLSTATE 55000.
pub(super) fn not_now(message: &str) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        message,
    )
}

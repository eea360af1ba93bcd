//! Proposes columns by their names and types.

use std::collections::BTreeSet;

use super::ids;
use super::names::Choice;
use super::units::{Unit, without_unit};
use crate::domain::words::invoice::PAID;
use crate::domain::words::{is_among, squash};
use crate::host::catalog::{Column, Role, Table};

/// A setting that needs a column, and the usual names of such columns, the most likely first.
pub(super) struct WantedColumn {
    pub(super) setting: &'static str,
    role: Role,
    is_written: bool,
    names: &'static [&'static str],
}

const fn read(setting: &'static str, role: Role, names: &'static [&'static str]) -> WantedColumn {
    WantedColumn {
        setting,
        role,
        is_written: false,
        names,
    }
}

const fn written(
    setting: &'static str,
    role: Role,
    names: &'static [&'static str],
) -> WantedColumn {
    WantedColumn {
        setting,
        role,
        is_written: true,
        names,
    }
}

/// The setting of the column that says whether an invoice is closed, where its status says only whether it is paid.
pub(super) const CLOSED_COLUMN: &str = "invoice_closed_column";

/// Returns whether this squashed name is a usual one of the column of an invoice for this setting.
pub(super) fn is_name_of(setting: &str, squashed: &str) -> bool {
    let mut wanted = INVOICE.iter().filter(|wanted| wanted.setting == setting);
    wanted.any(|wanted| wanted.names.iter().any(|name| squash(name) == squashed))
}

/// Names of columns for the status of an invoice's or an order's payment, beside one for its own status.
pub(super) const OF_PAYMENT: [&str; 5] = [
    "payment_status",
    "payment_state",
    "paid_status",
    "financial_status",
    "charge_status",
];

/// Names of booleans that say whether an invoice or an order is paid.
pub(super) const PAID_FLAGS: [&str; 4] = ["is_paid", "paid", "fully_paid", "is_fully_paid"];

const OF_PAYMENT_OR_FLAG: [&str; 7] = [
    "payment_status",
    "payment_state",
    "paid_status",
    "financial_status",
    "charge_status",
    "is_paid",
    "paid",
];

/// Names of columns that say by their type whether something is paid.
const FLAGS: [&str; 9] = [
    "success",
    "successful",
    "succeeded",
    "is_paid",
    "paid",
    "paid_at",
    "paid_on",
    "paid_date",
    "date_paid",
];

/// The sessions of an invoice, or the payment link that they are made from.
const SESSION_OR_LINK: &[&str] = &[
    "stripe_session_id",
    "stripe_checkout_session_id",
    "stripe_checkout_session",
    "stripe_session",
    "stripe_checkout_id",
    "checkout_session_id",
    "checkout_session",
    "session_id",
    "stripe_payment_link_id",
];

const SESSION: &[&str] = SESSION_OR_LINK.split_at(SESSION_OR_LINK.len() - 1).0;

const INTENT: &[&str] = &[
    "stripe_payment_intent",
    "stripe_payment_intent_id",
    "payment_intent_id",
    "payment_intent",
    "stripe_intent_id",
    "stripe_intent",
    "stripe_pi_id",
    "intent_id",
    "stripe_payment_id",
    "stripe_charge_id",
    "charge_id",
];

pub(super) const INVOICE: [WantedColumn; 10] = [
    read(
        "invoice_number_column",
        Role::Key,
        &[
            "invoice_number",
            "number",
            "invoice_no",
            "invoice_nr",
            "no",
            "invoice_reference",
            "invoice_ref",
            "invoice_code",
            "order_number",
            "order_no",
            "booking_number",
            "confirmation_number",
            "confirmation_code",
            "booking_reference",
            "order_reference",
            "reference",
            "ref",
            "code",
        ],
    ),
    read(
        "invoice_status_column",
        Role::Status,
        &[
            "invoice_status",
            "status",
            "invoice_state",
            "state",
            "payment_status",
            "payment_state",
            "paid_status",
            "financial_status",
            "charge_status",
            "is_paid",
            "paid",
            "paid_at",
            "paid_on",
            "paid_date",
            "date_paid",
        ],
    ),
    read(
        CLOSED_COLUMN,
        Role::Status,
        &[
            "status",
            "state",
            "order_status",
            "booking_status",
            "order_state",
            "cancelled_at",
            "canceled_at",
            "voided_at",
            "cancelled_on",
            "canceled_on",
            "cancelled",
            "canceled",
            "is_cancelled",
            "is_canceled",
            "voided",
            "is_void",
        ],
    ),
    read(
        "invoice_total_column",
        Role::Amount,
        &[
            // Beside one of these, a total without a word for it is one without tax or shipping.
            "grand_total",
            "total_gross",
            "total_gross_amount",
            "gross_total",
            "total_incl_tax",
            "total_including_tax",
            "total_with_tax",
            "total_amount",
            "total",
            "amount_total",
            "invoice_total",
            "invoice_amount",
            "total_price",
            "total_value",
            "total_due",
            "gross_amount",
            "amount",
            "price",
        ],
    ),
    written(
        "invoice_amount_paid_column",
        Role::Amount,
        &[
            "amount_paid",
            "paid_amount",
            "total_paid",
            "paid_total",
            "payment_total",
            "amount_received",
            "received_amount",
            "already_paid",
            "paid",
        ],
    ),
    written(
        "invoice_balance_column",
        Role::Amount,
        &[
            "balance_due",
            "balance",
            "amount_remaining",
            "remaining_amount",
            "remaining_balance",
            // Beside one of these, what was due before anything was paid.
            "amount_due",
            "due_amount",
            "outstanding",
            "amount_outstanding",
            "outstanding_amount",
            "outstanding_balance",
            "open_amount",
        ],
    ),
    written(
        "invoice_paid_at_column",
        Role::Moment,
        &[
            "paid_date",
            "paid_at",
            "paid_on",
            "date_paid",
            "payment_date",
            "payment_received_at",
            "settled_at",
            "paid",
        ],
    ),
    read(
        "invoice_currency_column",
        Role::Word,
        &[
            "currency",
            "currency_code",
            "invoice_currency",
            "iso_currency",
        ],
    ),
    read("invoice_session_column", Role::Text, SESSION_OR_LINK),
    read("invoice_intent_column", Role::Text, INTENT),
];

pub(super) const PAYMENT: [WantedColumn; 8] = [
    written(
        "payment_status_column",
        Role::Status,
        &[
            "payment_status",
            "status",
            "payment_state",
            "state",
            "charge_status",
            "success",
            "successful",
            "succeeded",
            "is_paid",
            "paid",
        ],
    ),
    // The amount without the gratuity; a column for the total may include it.
    written(
        "payment_amount_column",
        Role::Amount,
        &[
            "base_amount",
            "amount",
            "payment_amount",
            "total_amount",
            "amount_paid",
            "paid_amount",
            "amount_received",
            "amount_total",
            "total",
            "value",
            "gross_amount",
        ],
    ),
    written(
        "payment_currency_column",
        Role::Word,
        &[
            "currency",
            "currency_code",
            "payment_currency",
            "iso_currency",
        ],
    ),
    written(
        "payment_gratuity_column",
        Role::Amount,
        &["gratuity", "gratuity_amount", "tip", "tip_amount", "tips"],
    ),
    written(
        "payment_refunded_column",
        Role::Amount,
        &[
            "refunded_amount",
            "amount_refunded",
            "refund_amount",
            "total_refunded",
            "refunded",
        ],
    ),
    written(
        "payment_date_column",
        Role::Moment,
        &[
            "transaction_date",
            "payment_date",
            "paid_at",
            "paid_on",
            "paid_date",
            "date_paid",
            "received_at",
            "received_on",
            "transaction_at",
            "succeeded_at",
            "captured_at",
            "date",
        ],
    ),
    written("payment_session_column", Role::Text, SESSION),
    written("payment_intent_column", Role::Text, INTENT),
];

impl WantedColumn {
    pub(super) fn is_for_stripe_id(&self) -> bool {
        matches!(self.role, Role::Text)
    }

    fn is_for_session(&self) -> bool {
        self.names.starts_with(SESSION)
    }

    /// Returns whether the column exists and its type is accepted.
    pub(super) fn accepts(&self, table: &Table, name: &str) -> bool {
        // A view may know the amount of a payment from elsewhere.
        let is_written = self.is_written && !(self.is_whole_amount() && table.is_view());
        table
            .columns
            .get(name)
            .is_some_and(|column| self.role.accepts(column) && !(is_written && column.is_computed))
    }

    pub(super) fn is_balance(&self) -> bool {
        self.setting == "invoice_balance_column"
    }

    /// Returns whether the other amounts of its table are in the same unit.
    pub(super) fn is_whole_amount(&self) -> bool {
        matches!(
            self.setting,
            "invoice_total_column" | "payment_amount_column"
        )
    }

    /// Returns the most likely column that is not in use yet. If `unit` is given, an amount must be in that unit.
    pub(super) fn find(
        &self,
        table: &Table,
        in_use: &BTreeSet<String>,
        unit: Option<Unit>,
    ) -> Option<Choice> {
        let fits = |name: &str| {
            table
                .columns
                .get(name)
                .is_some_and(|column| match self.role {
                    // An id of the application's own, such as that of its browser session, refers to its table.
                    Role::Text => !column.refers && ids::may_contain(column, self.is_for_session()),
                    // In accounts, the base is the currency of the company: it is not what was paid.
                    Role::Amount if self.is_whole_amount() && is_named(name, "base_amount") => {
                        has_gratuity(table)
                    }
                    // Text of this name says something else: by whom, how.
                    Role::Status if is_among(&FLAGS, name) => is_flag(column),
                    // Nothing gives its numbers words.
                    Role::Status if self.setting == CLOSED_COLUMN => !column.is_integer(),
                    Role::Amount => unit.is_none_or(|unit| unit == Unit::of(name, column)),
                    _ => true,
                })
        };
        self.names_in(table).find_map(|wanted| {
            table
                .columns
                .keys()
                .find(|name| {
                    let name = name.as_str();
                    !in_use.contains(name)
                        && self.accepts(table, name)
                        && fits(name)
                        && is_named(name, wanted)
                })
                .map(|name| (name.clone(), "by its name and type".to_owned()))
        })
    }

    /// Returns the usual names of the column in this table. The state of an order is not that of its payment.
    fn names_in(&self, table: &Table) -> impl Iterator<Item = &'static str> {
        let is_order = is_of_orders(table);
        let of_payment: &[&str] = match self.setting {
            "invoice_status_column" if is_order && cannot_be_paid(table) => &OF_PAYMENT_OR_FLAG,
            "invoice_status_column" if is_order => &OF_PAYMENT,
            _ => &[],
        };
        of_payment.iter().chain(self.names).copied()
    }

    /// Returns the reason why there is no such column.
    pub(super) fn absence(&self, table: &Table) -> String {
        let is_usual = |name: &str| self.names.iter().any(|usual| is_named(name, usual));
        let others = table.columns.iter();
        let others: Vec<String> = others
            .filter(|(name, column)| is_usual(name) && !self.role.accepts(column))
            .map(|(name, column)| format!("{name} has the type {}", column.type_name))
            .collect();
        if others.is_empty() {
            return format!(
                "no free column of a fitting type has a usual name, such as {}",
                self.names[0]
            );
        }
        format!("{}, not {}", others.join(", "), self.role.wants())
    }
}

/// Returns whether the column's type says only yes or no: a boolean, or a time that is set or null.
pub(super) fn is_flag(column: &Column) -> bool {
    column.base == "bool" || Role::Moment.accepts(column)
}

/// Returns whether the rows are of orders or bookings, whose state is not that of their payment.
pub(super) fn is_of_orders(table: &Table) -> bool {
    let name = squash(&table.bare_name);
    !name.contains("invoice") && !name.contains("bill")
}

/// Returns whether the table has a status that is never paid, and a boolean that may be.
fn cannot_be_paid(table: &Table) -> bool {
    let mut columns = table.columns.iter();
    columns.any(|(name, column)| {
        let labels = column.labels.iter().flatten();
        ["status", "state"].contains(&squash(name).as_str())
            && column.labels.is_some()
            && !labels.into_iter().any(|label| is_among(PAID, label))
    })
}

/// Returns whether a status column says only whether something is paid, so that another says whether it is closed.
pub(super) fn says_only_paid(name: &str, column: &Column) -> bool {
    is_flag(column) || is_among(&OF_PAYMENT, name)
}

/// Returns whether the table keeps gratuities apart, so that a base amount is one without them.
fn has_gratuity(table: &Table) -> bool {
    let wanted = PAYMENT.iter();
    let mut wanted = wanted.filter(|wanted| wanted.setting == "payment_gratuity_column");
    wanted.any(|wanted| wanted.find(table, &BTreeSet::new(), None).is_some())
}

/// Returns whether a column has this usual name, possibly with a unit.
pub(super) fn is_named(name: &str, usual: &str) -> bool {
    let (name, usual) = (squash(name), squash(usual));
    name == usual || without_unit(&name) == usual
}

//! The mapping: the settings checked against the catalogs, with names quoted for SQL.

use std::cell::OnceCell;
use std::ffi::CString;
use std::rc::Rc;

use pgrx::prelude::PgSqlErrorCode;

use super::catalog::{Role, Table, key_family};
use super::checker::Checker;
use super::column_types::ColumnTypes;
use super::counting::Counting;
use super::further::Further;
pub(crate) use super::mapped::Mapped;
use super::own_payments::is_own;
use super::owner::temporary_last;
use super::settings::{Settings, invalid};
use super::status::Status;
use super::view::{self, BaseColumn, Needs};
use crate::domain::invoice::InvoiceStatus;
use crate::domain::money::{AmountUnit, Currency};
use crate::domain::payment::PaymentStatus;
use crate::domain::rules::{InvoiceWords, PaymentWords, Rules};
use crate::pg::{Kept, Problem, Relation, sql};

/// The application's tables and the columns that are used.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) invoices: Invoices,
    pub(crate) payments: Payments,
    pub(crate) invoice_words: InvoiceWords,
    pub(crate) payment_words: PaymentWords,
    pub(crate) default_currency: Currency,
    /// Whether codes of currencies are written in capital letters.
    pub(super) currency_is_upper_case: bool,
    pub(crate) time_zone: String,
    /// The search path while the tables are written, for the application's triggers.
    pub(crate) search_path: CString,
    /// Whether all that is looked up has an index, once that was asked.
    pub(super) is_indexed: OnceCell<bool>,
}

#[derive(Clone, Debug)]
pub(crate) struct Invoices {
    /// The quoted name, with its schema.
    pub(crate) table: String,
    /// The table as it was when the settings were checked against the catalogs.
    pub(crate) relation: Relation,
    pub(crate) types: ColumnTypes,
    /// Which rows count; the others are read as if they did not exist.
    pub(crate) counting: Counting,
    /// For a view: the column of a table that is its key, by which rows are locked.
    pub(crate) locked: Option<BaseColumn>,
    pub(crate) id: Mapped,
    pub(crate) number: Option<Mapped>,
    /// The Stripe account of the invoice.
    pub(crate) account: Option<Mapped>,
    pub(crate) status: Status,
    pub(crate) total: Mapped,
    /// The unit of the amounts.
    pub(crate) unit: AmountUnit,
    pub(crate) amount_paid: Option<Mapped>,
    pub(crate) balance: Option<Mapped>,
    pub(crate) paid_at: Option<Mapped>,
    pub(crate) currency: Option<Mapped>,
    pub(crate) session: Option<Mapped>,
    pub(crate) intent: Option<Mapped>,
    /// Further columns that are set with every update.
    pub(super) update_values: Further,
}

#[derive(Clone, Debug)]
pub(crate) struct Payments {
    /// The quoted name, with its schema.
    pub(crate) table: String,
    /// The table as it was when the settings were checked against the catalogs.
    pub(crate) relation: Relation,
    pub(crate) types: ColumnTypes,
    /// Which rows count; the others are read as if they did not exist.
    pub(crate) counting: Counting,
    /// For a view: the column of a table that is its key, by which rows are locked.
    pub(crate) locked: Option<BaseColumn>,
    pub(crate) id: Mapped,
    pub(crate) invoice: Mapped,
    pub(crate) status: Option<Status>,
    pub(crate) amount: Mapped,
    /// The unit of the amounts.
    pub(crate) unit: AmountUnit,
    pub(crate) currency: Option<Mapped>,
    pub(crate) gratuity: Option<Mapped>,
    pub(crate) refunded: Option<Mapped>,
    pub(crate) date: Option<Mapped>,
    pub(crate) session: Option<Mapped>,
    pub(crate) intent: Option<Mapped>,
    /// Further columns of a new row.
    pub(super) values: Further,
    /// Further columns that are set with every update.
    pub(super) update_values: Further,
    /// The names of columns that must not be null in a new row and have neither a default nor a configured value.
    pub(crate) unfilled: Vec<String>,
}

thread_local! {
    static KEPT: Kept<Mapping> = const { Kept::new() };
}

impl Mapping {
    /// Checks settings against the database. Fails with 42P01, 42809, 42703, 42804 or 22023; each error names the
    /// object and the setting.
    pub(crate) fn resolve(settings: &Settings) -> Result<Self, Problem> {
        let invoices_table = Table::describe(&settings.invoices_table, "invoices_table")?;
        let payments_table = Table::describe(&settings.payments_table, "payments_table")?;
        let invoices = invoices(settings, &invoices_table)?;
        let payments = payments(settings, &payments_table, &invoices_table)?;
        let (invoice_words, payment_words) = words(settings, &invoices, &payments);
        check_key_types(&invoices, &payments)?;
        check_time_zone(&settings.time_zone);
        let search_path = settings.host_search_path.clone().unwrap_or_else(|| {
            let tables = [&invoices_table, &payments_table].into_iter();
            let hosts = tables.filter(|table| !is_own(&table.relation()));
            let schemas = hosts.map(|table| table.schema.as_str());
            schemas.chain(["public"]).collect::<Vec<_>>().join(", ")
        });
        let search_path = temporary_last(&search_path)
            .ok_or_else(|| invalid("host_search_path contains a NUL character".to_owned()))?;
        Ok(Self {
            invoices,
            payments,
            invoice_words,
            payment_words,
            default_currency: settings.default_currency()?,
            currency_is_upper_case: settings.currency_is_upper_case(),
            time_zone: settings.time_zone.clone(),
            search_path,
            is_indexed: OnceCell::new(),
        })
    }

    /// Returns the current settings and what they resolve to, kept until the settings or the catalogs change.
    pub(crate) fn load() -> Result<(Rc<Self>, Rc<Settings>), Problem> {
        let settings = Settings::load()?;
        let mapping = KEPT.with(|kept| kept.get_or_load(|| Self::resolve(&settings)))?;
        Ok((mapping, settings))
    }

    /// Returns the settings that reconciling depends on. `livemode` is the mode of the key in use.
    pub(crate) fn rules(
        &self,
        settings: &Settings,
        livemode: Option<bool>,
    ) -> Result<Rules, Problem> {
        Ok(Rules {
            livemode,
            invoice_words: self.invoice_words.clone(),
            payment_words: self.payment_words.clone(),
            gratuity_unit: settings.gratuity_unit()?,
        })
    }

    /// Returns the word to write for an invoice's status; `None` if the application has none.
    pub(crate) fn invoice_word(&self, status: InvoiceStatus) -> Option<&str> {
        match status {
            InvoiceStatus::Paid => Some(&self.invoice_words.paid),
            InvoiceStatus::Partial => self.invoice_words.partial.as_deref(),
            InvoiceStatus::Open
            | InvoiceStatus::AfterPaid
            | InvoiceStatus::Closed
            | InvoiceStatus::Unknown => None,
        }
    }

    /// Returns the word to write for a payment's status; `None` if the application has none.
    pub(crate) fn payment_word(&self, status: PaymentStatus) -> Option<&str> {
        self.payment_words.word(status)
    }

    /// Returns the paths into Stripe's objects that values of new payments come from.
    pub(crate) fn stripe_paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.payments.values.stripe_paths().collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

fn invoices(settings: &Settings, table: &Table) -> Result<Invoices, Problem> {
    let check = Checker { table };
    let s = settings;
    let status = check.required(
        &s.invoice_status_column,
        "invoice_status_column",
        Role::Status,
    )?;
    let closed = check.optional(
        s.invoice_closed_column.as_ref(),
        "invoice_closed_column",
        Role::Status,
    )?;
    let words = settings.invoice_words();
    let status = Status::new(status, &s.invoice_status_values, "invoice_status_values")?;
    status.must_hold(&words.paid, "invoice_paid_word", &table.name)?;
    let written = [("invoice_paid_word", words.paid.as_str())];
    let partial = words.partial.iter();
    let partial = partial.map(|word| ("invoice_partial_word", word.as_str()));
    check.words(&status, &status.column, written.into_iter().chain(partial))?;
    let closed_words = words.closed.iter();
    let closed_words = closed_words.map(|word| ("invoice_closed_words", word.as_str()));
    let says_closed = closed.as_ref().unwrap_or(&status.column);
    check.words(&status, says_closed, closed_words)?;
    let status = status.closed_by(closed, &words);
    let paid_at = check.optional(
        s.invoice_paid_at_column.as_ref(),
        "invoice_paid_at_column",
        Role::Moment,
    )?;
    let id = check.required(&s.invoice_id_column, "invoice_id_column", Role::Key)?;
    let invoices = Invoices {
        locked: view::check(table, &id, Needs::Update, "invoices_table")?,
        table: table.name.clone(),
        relation: table.relation(),
        types: ColumnTypes::of(table),
        counting: Counting::check(table, s.invoice_condition.as_deref(), "invoice_condition")?,
        id,
        number: check.optional(
            s.invoice_number_column.as_ref(),
            "invoice_number_column",
            Role::Any,
        )?,
        account: check.optional(
            s.invoice_account_column.as_ref(),
            "invoice_account_column",
            Role::Text,
        )?,
        paid_at: paid_at.or_else(|| Some(status.column.clone()).filter(Mapped::is_moment)),
        status,
        total: check.required(
            &s.invoice_total_column,
            "invoice_total_column",
            Role::Amount,
        )?,
        unit: settings.amount_unit()?,
        amount_paid: check.optional(
            s.invoice_amount_paid_column.as_ref(),
            "invoice_amount_paid_column",
            Role::Amount,
        )?,
        balance: check.optional(
            s.invoice_balance_column.as_ref(),
            "invoice_balance_column",
            Role::Amount,
        )?,
        currency: check.optional(
            s.invoice_currency_column.as_ref(),
            "invoice_currency_column",
            Role::Word,
        )?,
        session: check.optional(
            s.invoice_session_column.as_ref(),
            "invoice_session_column",
            Role::Text,
        )?,
        intent: check.optional(
            s.invoice_intent_column.as_ref(),
            "invoice_intent_column",
            Role::Text,
        )?,
        update_values: Further::check(
            settings.invoice_update_values()?,
            table,
            table,
            "invoice_update_values",
        )?,
    };
    let own = invoices.columns().map(|own| own.name.as_str());
    let update_values = &invoices.update_values;
    update_values.must_not_have(own, "invoice_update_values")?;
    Ok(invoices)
}

fn payments(settings: &Settings, table: &Table, invoices: &Table) -> Result<Payments, Problem> {
    let check = Checker { table };
    let s = settings;
    let status = check.optional(
        s.payment_status_column.as_ref(),
        "payment_status_column",
        Role::Status,
    )?;
    let status = status
        .map(|column| Status::new(column, &s.payment_status_values, "payment_status_values"))
        .transpose()?;
    if let Some(status) = &status {
        let words = settings.payment_words();
        status.must_hold(&words.paid, "payment_paid_word", &table.name)?;
        check.words(
            status,
            &status.column,
            [("payment_paid_word", words.paid.as_str())]
                .into_iter()
                .chain(
                    words
                        .refunded
                        .as_deref()
                        .map(|word| ("payment_refunded_word", word)),
                )
                .chain(
                    words
                        .disputed
                        .as_deref()
                        .map(|word| ("payment_disputed_word", word)),
                )
                .chain(
                    words
                        .pending
                        .iter()
                        .map(|word| ("payment_pending_words", word.as_str())),
                ),
        )?;
    }
    let further = |sources, setting| Further::check(sources, table, invoices, setting);
    let values = further(settings.payment_values()?, "payment_values")?;
    let update_values = further(settings.payment_update_values()?, "payment_update_values")?;
    let optional = |name: &Option<String>, setting: &'static str, role: Role| {
        check.optional(name.as_ref(), setting, role)
    };
    let id = check.required(&s.payment_id_column, "payment_id_column", Role::Key)?;
    let mut payments = Payments {
        locked: view::check(table, &id, Needs::InsertAndUpdate, "payments_table")?,
        table: table.name.clone(),
        relation: table.relation(),
        types: ColumnTypes::of(table),
        counting: Counting::check(table, s.payment_condition.as_deref(), "payment_condition")?,
        id,
        invoice: check.required(
            &s.payment_invoice_column,
            "payment_invoice_column",
            Role::Key,
        )?,
        status,
        amount: check.required(
            &s.payment_amount_column,
            "payment_amount_column",
            Role::Amount,
        )?,
        unit: settings.payment_amount_unit()?,
        currency: optional(
            &s.payment_currency_column,
            "payment_currency_column",
            Role::Word,
        )?,
        gratuity: optional(
            &s.payment_gratuity_column,
            "payment_gratuity_column",
            Role::Amount,
        )?,
        refunded: optional(
            &s.payment_refunded_column,
            "payment_refunded_column",
            Role::Amount,
        )?,
        date: optional(&s.payment_date_column, "payment_date_column", Role::Moment)?,
        session: optional(
            &s.payment_session_column,
            "payment_session_column",
            Role::Text,
        )?,
        intent: optional(
            &s.payment_intent_column,
            "payment_intent_column",
            Role::Text,
        )?,
        values,
        update_values,
        unfilled: Vec::new(),
    };
    payments.unfilled = table
        .columns
        .iter()
        .filter(|(name, column)| column.must_be_given && !payments.fills(name))
        .map(|(name, _)| name.clone())
        .collect();
    let own = || payments.own_columns().map(|own| own.name.as_str());
    payments.values.must_not_have(own(), "payment_values")?;
    let key = std::iter::once(payments.id.name.as_str());
    let update_values = &payments.update_values;
    update_values.must_not_have(own().chain(key), "payment_update_values")?;
    Ok(payments)
}

impl Invoices {
    /// Returns the mapped columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Mapped> {
        let status = self.status.columns();
        [&self.id, &self.total].into_iter().chain(status).chain(
            [
                &self.number,
                &self.account,
                &self.amount_paid,
                &self.balance,
                &self.paid_at,
                &self.currency,
                &self.session,
                &self.intent,
            ]
            .into_iter()
            .flatten(),
        )
    }

    /// Returns those that change with the payments.
    pub(super) fn written_columns(&self) -> impl Iterator<Item = &Mapped> {
        let amounts = [&self.amount_paid, &self.balance, &self.paid_at];
        std::iter::once(&self.status.column).chain(amounts.into_iter().flatten())
    }
}

impl Payments {
    /// Returns whether they are in the extension's own table: the application has none, and its invoices alone may say
    /// that they were paid.
    pub(crate) fn are_own(&self) -> bool {
        is_own(&self.relation)
    }

    /// Returns whether no column is for Stripe's ids: which row is which payment, only the ledger says.
    pub(crate) fn have_no_ids(&self) -> bool {
        self.session.is_none() && self.intent.is_none()
    }

    /// Returns the mapped columns, without those of `payment_values`.
    pub(super) fn own_columns(&self) -> impl Iterator<Item = &Mapped> {
        let status = self.status.iter().flat_map(Status::columns);
        [&self.invoice, &self.amount]
            .into_iter()
            .chain(status)
            .chain(
                [
                    &self.currency,
                    &self.gratuity,
                    &self.refunded,
                    &self.date,
                    &self.session,
                    &self.intent,
                ]
                .into_iter()
                .flatten(),
            )
    }

    /// Returns whether a new payment gets a value for this column.
    pub(super) fn fills(&self, column: &str) -> bool {
        self.values.contains(column) || self.own_columns().any(|own| own.name == column)
    }
}

fn check_key_types(invoices: &Invoices, payments: &Payments) -> Result<(), Problem> {
    let is_same = key_family(&invoices.id.base) == key_family(&payments.invoice.base);
    if is_same || payments.are_own() {
        return Ok(());
    }
    Err(Problem::new(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        format!(
            "column \"{}\" of table {} has the type {}",
            payments.invoice.name, payments.table, payments.invoice.type_name
        ),
    )
    .detail(format!(
        "It refers to column \"{}\" of table {}, which has the type {}.",
        invoices.id.name, invoices.table, invoices.id.type_name
    )))
}

/// Returns the words of the settings, without those to be written that the status columns cannot contain: a boolean says
/// nothing of a part, and payments may have no status, or one that a view computes.
fn words(
    settings: &Settings,
    invoices: &Invoices,
    payments: &Payments,
) -> (InvoiceWords, PaymentWords) {
    let mut invoice = settings.invoice_words();
    invoice.partial = invoice.partial.filter(|word| invoices.status.holds(word));
    let mut payment = settings.payment_words();
    let written = payments.status.as_ref();
    let written = written.filter(|status| !status.column.is_computed);
    let holds = |word: &String| written.is_some_and(|status| status.holds(word));
    payment.refunded = payment.refunded.filter(holds);
    payment.disputed = payment.disputed.filter(holds);
    (invoice, payment)
}

/// Raises PostgreSQL's error 22023 if the time zone does not exist.
fn check_time_zone(name: &str) {
    sql::execute("select now() at time zone $1", &[Some(name)]);
}

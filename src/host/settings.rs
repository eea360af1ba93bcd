//! The row of `invoice_sync.settings`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;
use serde_json::Value;

use super::source::Source;
use crate::domain::money::{AmountUnit, Currency};
use crate::domain::rules::{InvoiceWords, PaymentWords};
use crate::pg::{Kept, Problem, sql};

/// The columns of the table; see their comments (`\d+ invoice_sync.settings`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Settings {
    pub(crate) invoices_table: String,
    pub(crate) invoice_id_column: String,
    pub(crate) invoice_number_column: Option<String>,
    pub(crate) invoice_status_column: String,
    pub(crate) invoice_status_values: BTreeMap<String, Value>,
    pub(crate) invoice_closed_column: Option<String>,
    pub(crate) invoice_total_column: String,
    pub(crate) invoice_amount_paid_column: Option<String>,
    pub(crate) invoice_balance_column: Option<String>,
    pub(crate) invoice_paid_at_column: Option<String>,
    pub(crate) invoice_currency_column: Option<String>,
    pub(crate) invoice_session_column: Option<String>,
    pub(crate) invoice_intent_column: Option<String>,
    pub(crate) invoice_account_column: Option<String>,
    pub(crate) invoice_condition: Option<String>,
    invoice_update_values: BTreeMap<String, Value>,

    pub(crate) payments_table: String,
    pub(crate) payment_id_column: String,
    pub(crate) payment_invoice_column: String,
    pub(crate) payment_status_column: Option<String>,
    pub(crate) payment_status_values: BTreeMap<String, Value>,
    pub(crate) payment_amount_column: String,
    pub(crate) payment_gratuity_column: Option<String>,
    pub(crate) payment_refunded_column: Option<String>,
    pub(crate) payment_currency_column: Option<String>,
    pub(crate) payment_date_column: Option<String>,
    pub(crate) payment_session_column: Option<String>,
    pub(crate) payment_intent_column: Option<String>,
    pub(crate) payment_condition: Option<String>,
    payment_values: BTreeMap<String, Value>,
    payment_update_values: BTreeMap<String, Value>,

    invoice_paid_word: String,
    invoice_partial_word: Option<String>,
    invoice_closed_words: Vec<String>,
    invoice_open_words: Vec<String>,
    invoice_refunded_words: Vec<String>,
    invoice_after_paid_words: Vec<String>,
    payment_paid_word: String,
    payment_pending_words: Vec<String>,
    payment_failed_words: Vec<String>,
    payment_refunded_word: Option<String>,
    payment_partly_refunded_words: Vec<String>,
    payment_disputed_word: Option<String>,

    default_currency: String,
    amount_unit: String,
    payment_amount_unit: Option<String>,
    pub(crate) gratuity_key: Option<String>,
    gratuity_unit: String,
    pub(crate) invoice_reference_key: Option<String>,
    pub(crate) client_reference_names_invoice: bool,
    pub(crate) time_zone: String,
    pub(crate) host_search_path: Option<String>,
    pub(crate) stripe_fetch_on_webhook: bool,
    webhook_budget_ms: u32,
    local_check_budget_ms: u32,
    pub(crate) monthly_read_budget: Option<u64>,
    pub(crate) rpc_admin_check: String,
}

thread_local! {
    static KEPT: Kept<Settings> = const { Kept::new() };
}

impl Settings {
    /// Returns the current row, kept until it changes. Fails with 55000 if it has been deleted.
    pub(crate) fn load() -> Result<Rc<Self>, Problem> {
        KEPT.with(|kept| kept.get_or_load(|| Self::from_json(Self::load_row()?)))
    }

    /// Loads the current row as JSON, without validation. Fails as [`load`](Self::load) does.
    pub(crate) fn load_row() -> Result<Value, Problem> {
        sql::fetch_one("select to_jsonb(s) from invoice_sync.settings s", &[]).ok_or_else(|| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "invoice_sync has no settings",
            )
            .detail("The table invoice_sync.settings is empty.")
            .hint("insert into invoice_sync.settings default values;")
        })
    }

    /// Returns the default of each column that has one other than null, as JSON.
    pub(crate) fn defaults() -> Value {
        let no_columns = || Value::Object(serde_json::Map::new());
        let expressions: Vec<[Option<String>; 2]> = sql::fetch_texts(
            "select a.attname::text, pg_get_expr(d.adbin, d.adrelid)
            from pg_attrdef d
            join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
            where d.adrelid = 'invoice_sync.settings'::regclass
            order by a.attnum",
            &[],
        );
        let values: Vec<String> = expressions
            .into_iter()
            .filter_map(|[column, default]| {
                let column = pgrx::spi::quote_literal(column?);
                Some(format!("({column}, to_jsonb({}))", default?))
            })
            .collect();
        if values.is_empty() {
            return no_columns();
        }
        let statement = format!(
            "select jsonb_object_agg(t.name, t.value) from (values {}) t (name, value)",
            values.join(", ")
        );
        sql::fetch_one(&statement, &[]).unwrap_or_else(no_columns)
    }

    /// Parses a row, which may not be stored yet. Fails with 22023 if it is invalid.
    pub(crate) fn from_json(row: Value) -> Result<Self, Problem> {
        serde_json::from_value(row).map_err(|error| invalid(format!("settings: {error}")))
    }

    /// Returns the further columns of a new payment and the sources of their values. Fails with 22023.
    pub(crate) fn payment_values(&self) -> Result<BTreeMap<String, Source>, Problem> {
        sources("payment_values", &self.payment_values)
    }

    /// As [`Self::payment_values`], for a payment that is updated. Fails with 22023 also for a source that only a new
    /// payment has.
    pub(crate) fn payment_update_values(&self) -> Result<BTreeMap<String, Source>, Problem> {
        without_stripe("payment_update_values", &self.payment_update_values)
    }

    /// As [`Self::payment_update_values`], for an invoice.
    pub(crate) fn invoice_update_values(&self) -> Result<BTreeMap<String, Source>, Problem> {
        without_stripe("invoice_update_values", &self.invoice_update_values)
    }

    pub(crate) fn default_currency(&self) -> Result<Currency, Problem> {
        Currency::parse(&self.default_currency).ok_or_else(|| {
            invalid(format!(
                "default_currency \"{}\" is not an ISO 4217 code",
                self.default_currency
            ))
        })
    }

    pub(crate) fn amount_unit(&self) -> Result<AmountUnit, Problem> {
        unit("amount_unit", &self.amount_unit)
    }

    pub(crate) fn payment_amount_unit(&self) -> Result<AmountUnit, Problem> {
        match &self.payment_amount_unit {
            Some(word) => unit("payment_amount_unit", word),
            None => self.amount_unit(),
        }
    }

    /// Returns whether the settings write codes of currencies in capital letters.
    pub(crate) fn currency_is_upper_case(&self) -> bool {
        self.default_currency.chars().all(char::is_uppercase)
    }

    pub(crate) fn gratuity_unit(&self) -> Result<AmountUnit, Problem> {
        unit("gratuity_unit", &self.gratuity_unit)
    }

    /// Returns how long the processing after an event is stored may delay the answer to a webhook.
    pub(crate) fn webhook_budget(&self) -> Duration {
        Duration::from_millis(self.webhook_budget_ms.into())
    }

    /// Returns how long a sweep may scan invoices that neither an event nor a due check refers to.
    pub(crate) fn local_check_budget(&self) -> Duration {
        Duration::from_millis(self.local_check_budget_ms.into())
    }

    pub(crate) fn invoice_words(&self) -> InvoiceWords {
        InvoiceWords {
            paid: self.invoice_paid_word.clone(),
            partial: self.invoice_partial_word.clone(),
            closed: self.invoice_closed_words.clone(),
            open: self.invoice_open_words.clone(),
            refunded: self.invoice_refunded_words.clone(),
            after_paid: self.invoice_after_paid_words.clone(),
        }
    }

    pub(crate) fn payment_words(&self) -> PaymentWords {
        PaymentWords {
            paid: self.payment_paid_word.clone(),
            pending: self.payment_pending_words.clone(),
            failed: self.payment_failed_words.clone(),
            refunded: self.payment_refunded_word.clone(),
            partly_refunded: self.payment_partly_refunded_words.clone(),
            disputed: self.payment_disputed_word.clone(),
        }
    }
}

fn sources(
    setting: &str,
    values: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Source>, Problem> {
    values
        .iter()
        .map(|(column, source)| {
            Source::parse(source)
                .map(|source| (column.clone(), source))
                .map_err(|why| invalid(format!("{setting}: column \"{column}\": {why}")))
        })
        .collect()
}

fn without_stripe(
    setting: &str,
    values: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Source>, Problem> {
    let sources = sources(setting, values)?;
    let asks_stripe = |(_, source): &(&String, &Source)| !source.stripe_paths().is_empty();
    match sources.iter().find(asks_stripe) {
        Some((column, _)) => Err(invalid(format!(
            "{setting}: column \"{column}\": \"stripe\" and \"metadata\" are sources of new payments only"
        ))),
        None => Ok(sources),
    }
}

fn unit(setting: &str, word: &str) -> Result<AmountUnit, Problem> {
    AmountUnit::parse(word).ok_or_else(|| {
        invalid(format!(
            "{setting} \"{word}\" is not major, minor or stripe"
        ))
    })
}

/// Returns an error with SQLSTATE 22023 (`invalid_parameter_value`).
pub(crate) fn invalid(message: String) -> Problem {
    Problem::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}

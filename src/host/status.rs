//! A column that says the status of a row: its values as words, and words as its values.

use std::collections::BTreeMap;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::Value;

use super::mapped::Mapped;
use super::settings::invalid;
use super::word_sql::has_word;
use crate::domain::rules::InvoiceWords;
use crate::domain::words::invoice::{CLOSED, REFUNDED};
use crate::pg::Problem;

/// The words of a boolean, and of a time that is set or null.
const YES: &str = "true";
const NO: &str = "false";

/// The word of an invoice that a boolean or a time says to be closed, if the settings name none.
const USUAL_CLOSED: &str = "cancelled";

/// A status column, with a second one that says whether the row is closed.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) column: Mapped,
    /// The values, as text, that the settings give words.
    values: BTreeMap<String, String>,
    /// The second column, with the words that it may say.
    closed: Option<(Mapped, InvoiceWords)>,
}

impl Status {
    /// Fails with 22023 if a value in the settings is no string, number or boolean.
    pub(super) fn new(
        column: Mapped,
        values: &BTreeMap<String, Value>,
        setting: &str,
    ) -> Result<Self, Problem> {
        let text = |(word, value): (&String, &Value)| match value {
            Value::String(text) => Ok((word.clone(), text.clone())),
            Value::Number(_) | Value::Bool(_) => Ok((word.clone(), value.to_string())),
            _ => Err(invalid(format!(
                "{setting}: the value of \"{word}\" is not a string, a number or a boolean"
            ))),
        };
        Ok(Self {
            column,
            values: values.iter().map(text).collect::<Result<_, _>>()?,
            closed: None,
        })
    }

    /// Adds a second column that says whether the row is closed.
    pub(super) fn closed_by(mut self, column: Option<Mapped>, words: &InvoiceWords) -> Self {
        self.closed = column.map(|column| (column, words.clone()));
        self
    }

    /// Returns the second column, which says whether the row is closed.
    pub(crate) fn closed_column(&self) -> Option<&Mapped> {
        self.closed.as_ref().map(|(column, _)| column)
    }

    /// Returns the columns that are read.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Mapped> {
        std::iter::once(&self.column).chain(self.closed_column())
    }

    /// Returns SQL for the word of the row `alias`, as text.
    pub(crate) fn word(&self, alias: &str) -> String {
        let own = own_word(&self.column, &self.values, alias);
        let Some((column, words)) = &self.closed else {
            return own;
        };
        let word = own_word(column, &BTreeMap::new(), alias);
        if is_flag(column) {
            let closed = words.closed.first().map_or(USUAL_CLOSED, String::as_str);
            let closed = pgrx::spi::quote_literal(closed);
            return format!("case when {word} = '{YES}' then {closed} else {own} end");
        }
        let named = [&words.closed, &words.refunded];
        let named: Vec<String> = named.into_iter().flatten().cloned().collect();
        let is_closed = has_word(&word, &named, &words.all(), &[CLOSED, REFUNDED].concat());
        format!("case when {is_closed} then {word} else {own} end")
    }

    /// Returns the value that is written for a word, as JSON. `at` returns the time to write into a column that says
    /// by a time that it is so.
    pub(super) fn value(
        &self,
        word: &str,
        at: impl FnOnce() -> Result<Value, Problem>,
    ) -> Result<Value, Problem> {
        let text = self.text_of(word);
        match text {
            YES if self.column.is_moment() => at(),
            NO if self.column.is_moment() => Ok(Value::Null),
            _ => Ok(Value::from(text)),
        }
    }

    /// Returns the value of a word, as text.
    pub(super) fn text_of<'w>(&'w self, word: &'w str) -> &'w str {
        self.values.get(word).map_or(word, String::as_str)
    }

    /// Returns whether the settings or the column's type give the word a meaning.
    pub(super) fn is_known(&self, word: &str) -> bool {
        self.values.contains_key(word) || is_flag(&self.column) && matches!(word, YES | NO)
    }

    /// Returns whether the column's type can contain the word. Of an enum and of text it is assumed.
    pub(super) fn holds(&self, word: &str) -> bool {
        let text = self.text_of(word);
        if is_flag(&self.column) {
            matches!(text, YES | NO)
        } else {
            !self.column.is_integer() || text.parse::<i64>().is_ok()
        }
    }

    /// Fails with 22023 if the column's type cannot contain the word.
    pub(super) fn must_hold(&self, word: &str, setting: &str, table: &str) -> Result<(), Problem> {
        if self.holds(word) {
            return Ok(());
        }
        let Mapped {
            name, type_name, ..
        } = &self.column;
        let accepted = if self.column.is_integer() {
            "an integer, or a word for one"
        } else if self.column.is_moment() {
            "true (a time) or false (null)"
        } else {
            "true or false"
        };
        Err(Problem::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("\"{word}\" is not a value of column \"{name}\" of table {table}"),
        )
        .detail(format!(
            "The setting {setting} contains it; a column of type {type_name} requires {accepted}."
        ))
        .hint("The settings invoice_status_values and payment_status_values give words to the values of such columns."))
    }
}

/// Returns SQL for the word of one column of the row `alias`.
fn own_word(column: &Mapped, values: &BTreeMap<String, String>, alias: &str) -> String {
    let name = format!("{alias}.{}", column.quoted);
    let text = if column.is_moment() {
        format!("({name} is not null)::text")
    } else if is_flag(column) {
        format!("coalesce({name}, false)::text")
    } else {
        column.plain_text(alias)
    };
    if values.is_empty() {
        return text;
    }
    let quoted = |text: &String| pgrx::spi::quote_literal(text);
    let words = values.iter();
    let words: String = words
        .map(|(word, value)| format!("when {} then {} ", quoted(value), quoted(word)))
        .collect();
    format!("case {text} {words}else {text} end")
}

/// Returns whether the column only says yes or no.
fn is_flag(column: &Mapped) -> bool {
    column.base == "bool" || column.is_moment()
}

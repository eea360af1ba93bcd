//! Proposes the settings from the catalogs and the data: tables, columns, status words. Writes nothing.

mod beside;
mod columns;
mod conditions;
mod contradictions;
mod evidence;
mod history;
mod ids;
mod kinds;
mod names;
mod polymorphic;
mod providers;
mod relations;
mod second_statuses;
mod states;
mod table_names;
mod tables;
mod units;
mod values;
mod words;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use self::columns::{CLOSED_COLUMN, INVOICE, PAYMENT, WantedColumn};
use self::evidence::Evidence;
use self::history::{Compared, History};
use self::ids::IdColumns;
use self::names::Choice;
use self::units::Unit;
use self::values::Clock;
use self::words::{StatusWords, Vocabulary, words_of};
use super::catalog::{Column, Table};
use super::own_payments::is_own;
use super::settings::{Settings, invalid};
use crate::host::propose::relations::Relations;
use crate::pg::{Problem, sql};

const PAYMENT_SESSION: &str = "payment_session_column";
const PAYMENT_INTENT: &str = "payment_intent_column";

/// A setting with its current value, the proposed one, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// A column of `invoice_sync.settings`; `payment_values.x` for a remark about the column `x` of the payments
    /// table, `invoice_status_column.x` or `payment_status_column.x` for one about the status `x`.
    pub(crate) setting: String,
    pub(crate) current: Option<String>,
    pub(crate) proposed: Option<String>,
    pub(crate) reason: String,
}

/// Proposes the settings for two tables, which are given by OID or searched for. `overrides` are settings that are
/// known, as a JSON object.
///
/// Fails with P0002 if no table fits, with P0003 if several fit equally well, and with 42P01 or 42809 if a given
/// OID is not a table's. Fails with 22023 if `overrides` names no setting.
pub(crate) fn propose(
    invoices: Option<u32>,
    payments: Option<u32>,
    overrides: Value,
) -> Result<Vec<Proposal>, Problem> {
    let stored = match Settings::load_row()? {
        Value::Object(row) => row,
        _ => Map::new(),
    };
    let Value::Object(overrides) = overrides else {
        return Err(invalid("overrides is not a JSON object".to_owned()));
    };
    if let Some(name) = overrides.keys().find(|name| !stored.contains_key(*name)) {
        return Err(invalid(format!("there is no setting \"{name}\"")));
    }
    let mut current = stored.clone();
    current.extend(overrides.clone());
    let relations = Relations::load([invoices, payments])?;
    let pair = relations.pair(invoices, payments)?;
    let mut sheet = Proposals {
        stored,
        current,
        overrides,
        rows: Vec::new(),
    };

    let (table, why) = &pair.invoices;
    sheet.put("invoices_table", Some(table.name.clone().into()), why);
    let id = relations.key_of(table);
    sheet.put_column("invoice_id_column", id.clone());
    let invoice_columns = sheet.put_columns(&relations, table, id, &INVOICE, None);
    let total = sheet.unit_of("invoice_total_column", table);
    let kinds = kinds::INVOICES.counting(&relations, table, &invoice_columns, None);
    let kinds = kinds.map(|kinds| (kinds.condition, kinds.reason));
    sheet.put_condition("invoice_condition", table, kinds.into_iter().collect());
    let invoices = table;

    let (table, why) = &pair.payments;
    sheet.put("payments_table", Some(table.name.clone().into()), why);
    let id = relations.key_of(table);
    sheet.put_column("payment_id_column", id.clone());
    let link = relations.link_between(table, invoices);
    sheet.put_column("payment_invoice_column", link.clone());
    let linked = id.into_iter().chain(link);
    let payment_columns = sheet.put_columns(&relations, table, linked, &PAYMENT, total);
    let (parts, mut usual) = sheet.parts_of_payments(&relations, table, invoices, &payment_columns);
    sheet.put_condition("payment_condition", table, parts);
    let payments = table;

    let ids = [PAYMENT_SESSION, PAYMENT_INTENT].map(|setting| sheet.proposed(setting));
    for (name, value) in providers::in_payments(payments, &ids) {
        usual.entry(name).or_insert(value);
    }
    sheet.put_values(values::propose(
        &relations,
        (invoices, payments),
        &payment_columns,
        sheet.current.get("payment_values"),
        &usual,
        sheet.unit_of("payment_amount_column", payments),
        &Clock::of(sheet.text("time_zone")),
    ));
    let clock = Clock::of(sheet.text("time_zone"));
    for (setting, table, mapped) in [
        ("invoice_update_values", invoices, &invoice_columns),
        ("payment_update_values", payments, &payment_columns),
    ] {
        let set = sheet.current.get(setting);
        let paid = sheet.column_of("invoice_amount_paid_column", invoices);
        let paid = paid.filter(|_| setting == "invoice_update_values");
        let (values, reason) =
            values::propose_updates((table, invoices), mapped, set, paid.as_ref(), &clock);
        sheet.put(setting, Some(values), &reason);
    }
    let first = sheet.rows.len();
    sheet.put_words(&relations, payments, &words::PAYMENT, &History::default());
    let of_payments = sheet.rows.split_off(first);
    let paid = of_payments
        .iter()
        .find(|row| row.setting == "payment_paid_word");
    let history = sheet.history(
        invoices,
        payments,
        paid.and_then(|row| row.proposed.as_deref()),
    );
    sheet.put_words(&relations, invoices, &words::INVOICE, &history);
    sheet.put_others_that_say_paid(&relations, invoices, &invoice_columns);
    sheet.rows.extend(of_payments);
    sheet.withdraw_balance(invoices);
    sheet.put_unit(invoices, payments, &history);
    sheet.put_other_overrides();
    Ok(sheet.rows)
}

/// The proposals collected so far.
struct Proposals {
    /// The settings as they are.
    stored: Map<String, Value>,
    /// The settings as they are, with the overrides.
    current: Map<String, Value>,
    overrides: Map<String, Value>,
    rows: Vec<Proposal>,
}

impl Proposals {
    /// Adds a proposal, unless the setting is overridden.
    fn put(&mut self, setting: &str, proposed: Option<Value>, reason: &str) {
        let (proposed, reason) = match self.overrides.get(setting) {
            Some(given) => (Some(given.clone()), "as given"),
            None => (proposed, reason),
        };
        self.rows.push(Proposal {
            setting: setting.to_owned(),
            current: self.stored.get(setting).and_then(as_setting),
            proposed: proposed.as_ref().and_then(as_setting),
            reason: reason.to_owned(),
        });
    }

    /// Adds the overrides of settings for which nothing is proposed.
    fn put_other_overrides(&mut self) {
        let names: Vec<String> = self.overrides.keys().cloned().collect();
        for name in names {
            if !self.rows.iter().any(|row| row.setting == name) {
                self.put(&name, None, "");
            }
        }
    }

    fn put_column(&mut self, setting: &str, choice: Option<Choice>) {
        match choice {
            Some((column, reason)) => self.put(setting, Some(column.into()), &reason),
            None => self.put(setting, None, "no column is recognized as this"),
        }
    }

    /// Proposes a column for each wanted one, none twice. Returns all columns that are then in use.
    fn put_columns(
        &mut self,
        relations: &Relations,
        table: &Table,
        in_use: impl IntoIterator<Item = Choice>,
        wanted_columns: &[WantedColumn],
        mut unit: Option<Unit>,
    ) -> BTreeSet<String> {
        let mut in_use: BTreeSet<String> = in_use.into_iter().map(|(name, _)| name).collect();
        // A valid current setting stays, so its column is not available to others.
        for wanted in wanted_columns {
            if let Some(name) = self.text(wanted.setting)
                && wanted.accepts(table, name)
                && !in_use.contains(name)
            {
                in_use.insert(name.to_owned());
            }
        }
        let lacks = |setting: &str| {
            let wanted = wanted_columns.iter().find(|it| it.setting == setting);
            wanted.is_some_and(|it| {
                let set = self.text(setting).filter(|name| it.accepts(table, name));
                let taken = others_in(table, it, &in_use);
                set.is_none() && it.find(table, &taken, None).is_none()
            })
        };
        let by_values = if lacks(PAYMENT_SESSION) && lacks(PAYMENT_INTENT) {
            IdColumns::of_payments(table, &in_use)
        } else {
            IdColumns::default()
        };
        for wanted in wanted_columns {
            let set = self
                .text(wanted.setting)
                .filter(|name| wanted.accepts(table, name));
            let choice = match set {
                None if wanted.setting == CLOSED_COLUMN && !self.says_only_paid(table) => None,
                Some(name) => Some((name.to_owned(), "set so, and it fits".to_owned())),
                None if wanted.is_balance() && self.lacks_total(table) => None,
                None => {
                    let not_here = others_in(table, wanted, &in_use);
                    let found = wanted.find(table, &not_here, unit);
                    let found = found.map(|found| match wanted.setting {
                        "invoice_status_column" => {
                            states::of_payment(relations, table, &in_use, found)
                        }
                        _ => found,
                    });
                    let any_unit = || wanted.find(table, &not_here, None);
                    found
                        .or_else(|| any_unit().filter(|_| wanted.is_whole_amount()))
                        .or_else(|| match wanted.setting {
                            PAYMENT_SESSION => by_values.session.clone(),
                            PAYMENT_INTENT => by_values.intent.clone(),
                            _ => None,
                        })
                }
            };
            if let Some((name, _)) = choice.as_ref().filter(|_| wanted.is_whole_amount()) {
                let column = table.columns.get(name);
                unit = column.map(|column| Unit::of(name, column));
            }
            in_use.extend(choice.iter().map(|(name, _)| name.clone()));
            match choice {
                Some((name, reason)) => {
                    self.put(wanted.setting, Some(name.into()), &reason);
                }
                None => self.put(wanted.setting, None, &wanted.absence(table)),
            }
        }
        in_use
    }

    fn put_condition(&mut self, setting: &str, table: &Table, parts: Vec<Choice>) {
        let set = self.text(setting);
        let (condition, reason) = conditions::propose(table, set, setting, parts);
        self.put(setting, condition.map(Value::from), &reason);
    }

    fn put_values(&mut self, proposed: values::Proposed) {
        let reason = proposed.reason();
        let mut values = proposed.values;
        // Those that are given are values of some columns; the others need theirs.
        if let (Some(Value::Object(given)), Value::Object(values)) =
            (self.overrides.remove("payment_values"), &mut values)
        {
            values.extend(given);
        }
        self.put("payment_values", Some(values), &reason);
        for (column, reason) in proposed.lacking {
            self.put(&format!("payment_values.{column}"), None, &reason);
        }
    }

    fn put_words(
        &mut self,
        relations: &Relations,
        table: &Table,
        words: &StatusWords,
        history: &History,
    ) {
        let vocabulary_of = |setting: &str, values: Option<&Value>| {
            let name = self.proposed(setting)?;
            let column = table.columns.get(name)?;
            Some(Vocabulary::of(relations, table, name, column, values))
        };
        let vocabulary =
            vocabulary_of(words.column_setting, self.current.get(words.values_setting));
        let of_closed = vocabulary_of(words.closed_setting, None);
        let named = words
            .meanings
            .iter()
            .filter_map(|meaning| self.current.get(meaning.setting));
        let named: BTreeSet<String> = named.flat_map(words_of).collect();
        let unknown = vocabulary.as_ref().map(|it| words.unknown(it, &named));
        let evidence = Evidence {
            history,
            unknown: unknown.unwrap_or_default(),
        };
        let mut sorted = BTreeSet::new();
        let mut paid: Option<String> = None;
        for meaning in words.meanings {
            let current = self.current.get(meaning.setting).unwrap_or(&Value::Null);
            let own = of_closed.as_ref().filter(|_| meaning.is_of_closed());
            let (proposed, reason) = match own.or(vocabulary.as_ref()) {
                Some(vocabulary) => {
                    let mut others = words.named_otherwise(meaning, &self.current);
                    others.extend(sorted.iter().cloned());
                    meaning.find(vocabulary, current, &others, paid.as_deref(), &evidence)
                }
                None => (current.clone(), "there is no status column".to_owned()),
            };
            let proposed = self
                .overrides
                .get(meaning.setting)
                .cloned()
                .unwrap_or(proposed);
            sorted.extend(words_of(&proposed));
            if meaning.is_paid() {
                paid = proposed.as_str().map(str::to_owned);
            }
            self.put(meaning.setting, Some(proposed), &reason);
        }
        let unsorted = vocabulary.map(|vocabulary| words.unsorted(&vocabulary, &sorted));
        for (word, reason) in unsorted.into_iter().flatten() {
            self.put(&format!("{}.{word}", words.column_setting), None, &reason);
        }
    }

    /// Returns whether nothing says what is owed, so that what is due may be the total.
    fn lacks_total(&self, table: &Table) -> bool {
        self.column_of("invoice_total_column", table).is_none()
    }

    /// Returns whether the proposed status of the invoices says only whether they are paid.
    fn says_only_paid(&self, table: &Table) -> bool {
        let name = self.proposed("invoice_status_column");
        let column = name.and_then(|name| Some((name, table.columns.get(name)?)));
        column.is_some_and(|(name, column)| columns::says_only_paid(name, column))
    }

    /// Returns what the rows of both tables say together. `paid` is the word of a payment that was received.
    fn history(&self, invoices: &Table, payments: &Table, paid: Option<&str>) -> History {
        let name = |setting: &str| self.proposed(setting).unwrap_or_default();
        let status = self.proposed("payment_status_column");
        if status.is_some() && paid.is_none() {
            return History::default();
        }
        History::read(&Compared {
            invoices,
            payments,
            of_invoice: [
                "invoice_id_column",
                "invoice_status_column",
                "invoice_total_column",
            ]
            .map(name),
            of_payment: ["payment_invoice_column", "payment_amount_column"].map(name),
            paid: status.zip(paid),
        })
    }

    fn put_unit(&mut self, invoices: &Table, payments: &Table, history: &History) {
        let set = self.text("amount_unit").unwrap_or_default();
        let total = self.column_of("invoice_total_column", invoices);
        let paid = self.column_of("payment_amount_column", payments);
        let (unit, reason) = units::unit(set, total.as_ref(), history);
        let set = self.text("payment_amount_unit").map(str::to_owned);
        let (of_payments, why) = if is_own(&payments.relation()) {
            let why = "the unit of the extension's own table";
            (Some("major".to_owned()), why.to_owned())
        } else {
            units::unit_of_payments(set, &unit, total.as_ref(), paid.as_ref(), history)
        };
        self.put("amount_unit", Some(unit.into()), &reason);
        self.put("payment_amount_unit", of_payments.map(Value::from), &why);
    }

    /// Returns the column that was proposed for this setting, with its name.
    fn column_of(&self, setting: &str, table: &Table) -> Option<(String, Column)> {
        let name = self.proposed(setting)?;
        Some((name.to_owned(), table.columns.get(name)?.clone()))
    }

    /// Returns the unit of the column that was proposed for this setting.
    fn unit_of(&self, setting: &str, table: &Table) -> Option<Unit> {
        let (name, column) = self.column_of(setting, table)?;
        Some(Unit::of(&name, &column))
    }

    fn text(&self, setting: &str) -> Option<&str> {
        self.current.get(setting)?.as_str()
    }

    fn proposed(&self, setting: &str) -> Option<&str> {
        self.rows
            .iter()
            .find(|row| row.setting == setting)?
            .proposed
            .as_deref()
    }
}

/// Returns the columns that are in use, and those for Stripe's ids that contain other ids.
fn others_in(table: &Table, wanted: &WantedColumn, in_use: &BTreeSet<String>) -> BTreeSet<String> {
    let mut taken = in_use.clone();
    if wanted.is_for_stripe_id() {
        while let Some((name, _)) = wanted.find(table, &taken, None)
            && ids::are_others(table, &name)
        {
            taken.insert(name);
        }
    }
    taken
}

/// Returns a value as PostgreSQL writes the setting, for use in an UPDATE.
fn as_setting(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(sql::array(items.iter().filter_map(Value::as_str))),
        other => Some(other.to_string()),
    }
}

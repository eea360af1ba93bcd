//! Proposes what follows from other columns and rows: conditions, values beside the status, and no balance where rows
//! contradict it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::names::Choice;
use super::{Proposals, contradictions, kinds, second_statuses};
use crate::host::catalog::Table;
use crate::host::propose::relations::Relations;

impl Proposals {
    /// Returns the conditions for payments of the invoices beside other rows, each with its reason, and the values that
    /// new rows need to fulfil them.
    pub(super) fn parts_of_payments(
        &self,
        relations: &Relations,
        table: &Table,
        invoices: &Table,
        mapped: &BTreeSet<String>,
    ) -> (Vec<Choice>, BTreeMap<String, Value>) {
        let mut parts = Vec::new();
        let mut values = BTreeMap::new();
        let amount = self.column_of("payment_amount_column", table);
        let amount = amount.as_ref().map(|(_, column)| column);
        if let Some(kinds) = kinds::PAYMENTS.counting(relations, table, mapped, amount) {
            parts.push((kinds.condition, kinds.reason));
            values.extend(
                kinds
                    .word
                    .map(|(name, word)| (name, json!({ "value": word }))),
            );
        }
        let key = self.column_of("invoice_id_column", invoices);
        let found = key.and_then(|(_, key)| relations.polymorphic(table, invoices, &key));
        let link = self.proposed("payment_invoice_column");
        if let Some(found) = found.filter(|found| link == Some(found.id.as_str())) {
            let reason = format!("{} says what a payment is for", found.kind);
            parts.push((found.condition, reason));
            values.insert(found.kind, json!({ "value": found.word }));
        }
        (parts, values)
    }

    /// Adds values of columns beside the status that say whether an invoice is paid.
    pub(super) fn put_others_that_say_paid(
        &mut self,
        relations: &Relations,
        invoices: &Table,
        mapped: &BTreeSet<String>,
    ) {
        const SETTING: &str = "invoice_update_values";
        let status = self.column_of("invoice_status_column", invoices);
        let paid = self.proposed("invoice_paid_word").map(str::to_owned);
        let (Some((_, status)), Some(paid)) = (status, paid) else {
            return;
        };
        if self.overrides.contains_key(SETTING) {
            return;
        }
        let added = second_statuses::values(relations, invoices, &status, &paid, mapped);
        for row in self.rows.iter_mut().filter(|row| row.setting == SETTING) {
            let values = row.proposed.as_deref().unwrap_or("{}");
            let Ok(mut values) = serde_json::from_str::<Map<String, Value>>(values) else {
                continue;
            };
            for (name, value) in &added {
                values.entry(name).or_insert_with(|| value.clone());
            }
            if !added.is_empty() {
                let names: Vec<&str> = added.keys().map(String::as_str).collect();
                row.proposed = Some(Value::Object(values).to_string());
                row.reason = format!("{}; says paid, too: {}", row.reason, names.join(", "));
            }
        }
    }

    /// Withdraws the proposal for the balance if paid invoices of the application have one that is not paid.
    pub(super) fn withdraw_balance(&mut self, invoices: &Table) {
        const SETTING: &str = "invoice_balance_column";
        let is_set = self.text(SETTING).is_some() && self.text(SETTING) == self.proposed(SETTING);
        let name = |setting: &str| Some(self.proposed(setting)?.to_owned());
        let names = [
            name(SETTING),
            name("invoice_total_column"),
            name("invoice_status_column"),
            name("invoice_paid_word"),
        ];
        let [Some(balance), Some(total), Some(status), Some(paid)] = names else {
            return;
        };
        let columns = [&balance, &total, &status].map(|name| name.as_str());
        if is_set || !contradictions::paid_are_due(invoices, columns, &paid) {
            return;
        }
        for row in self.rows.iter_mut().filter(|row| row.setting == SETTING) {
            row.proposed = None;
            row.reason = format!("{balance} is not what remains: in paid invoices it is the total");
        }
    }
}

//! Undoes the changes of one invoice, as a whole or not at all.

use pgrx::prelude::PgSqlErrorCode;
use serde_json::{Map, Value, json};

use crate::apply::batch::{change, differences};
use crate::apply::context::Mode;
use crate::host::host_table::HostTable;
use crate::host::mapping::Mapping;
use crate::host::owner::Firing;
use crate::host::read::Reading;
use crate::host::recorded::as_written_here;
use crate::host::restore::{self, Dependent, Place, Rows, rows_of};
use crate::host::row::Row;
use crate::host::side_effects::may_wait;
use crate::ledger::changes::Change;
use crate::ledger::undone::Recorded;
use crate::operate::read_for;
use crate::operate::undo::difference::{Difference, object};
use crate::pg::{Problem, in_subtransaction};

/// What is the same for all invoices of an undo.
pub(super) struct UndoContext<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) mode: Mode,
    /// Generated columns, by table.
    generated: [(HostTable, Vec<String>); 2],
    dependents: Vec<Dependent>,
}

/// An invoice whose rows were restored.
pub(super) struct UndoneInvoice {
    pub(super) reading: Reading,
    /// In a dry run, the changes that would be made.
    pub(super) changes: Vec<Change>,
    /// Columns that this extension does not use and that the application's triggers left with other values than
    /// before, such as `updated_at`.
    pub(super) differences: Vec<Value>,
}

/// Why an invoice was not restored, and the row that prevented it.
#[derive(Debug)]
pub(super) struct NotUndone {
    table: String,
    row: String,
    pub(super) why: String,
}

impl NotUndone {
    /// Returns the entry for the result of `undo`.
    pub(super) fn to_json(&self, invoice: &str) -> Value {
        json!({ "invoiceId": invoice, "table": self.table, "row": self.row, "why": self.why })
    }

    pub(super) fn at(change: &Recorded, why: String) -> Self {
        Self {
            table: change.table_name.clone(),
            row: change.row_id.clone(),
            why,
        }
    }
}

impl<'a> UndoContext<'a> {
    pub(super) fn new(mapping: &'a Mapping, mode: Mode) -> Self {
        let generated = |table| (table, restore::generated_columns(mapping, table));
        Self {
            mapping,
            mode,
            generated: [HostTable::Payment, HostTable::Invoice].map(generated),
            dependents: Dependent::of_payments(mapping),
        }
    }

    /// Restores the rows of one invoice's changes, given the newest first, under the invoice's lock. Fails if a row
    /// was changed since. If the application's tables refuse a write, or a trigger changes it, the invoice is
    /// rolled back.
    pub(super) fn undo_invoice(&self, changes: &[&Recorded]) -> Result<UndoneInvoice, NotUndone> {
        let newest = changes[0];
        let undo_invoice = |firing| {
            let mut left = None;
            let attempt = in_subtransaction(|| {
                self.attempt(newest, changes, firing).map_err(|why| {
                    left = Some(why);
                    rolled_back()
                })
            });
            attempt.map_err(|problem| {
                left.unwrap_or_else(|| {
                    NotUndone::at(
                        newest,
                        format!("the database rejected the change: {problem}"),
                    )
                })
            })
        };
        let done = undo_invoice(Firing::AtOnce);
        // A deferred constraint may hold only after both payments and invoice are written.
        if done.is_err() && self.mode == Mode::Write && may_wait(self.mapping) {
            return undo_invoice(Firing::AtTheEnd).or(done);
        }
        done
    }

    fn attempt(
        &self,
        newest: &Recorded,
        changes: &[&Recorded],
        firing: Firing,
    ) -> Result<UndoneInvoice, NotUndone> {
        let invoice = newest.invoice_id.as_str();
        let before = self.read(newest)?;
        let rows_of = |reading: &Reading| self.rows_of(newest, reading);
        let present = rows_of(&before)?;
        let wanted = self.as_it_was(&present, changes)?;
        self.require_no_dependents(&present, &wanted)?;
        if self.mode == Mode::DryRun {
            return Ok(UndoneInvoice {
                changes: self.planned_changes(&present, &wanted),
                reading: before,
                differences: Vec::new(),
            });
        }
        let of_payments = firing.hold_back();
        self.write(invoice, HostTable::Payment, &present, &wanted);
        // Triggers of the payments may change the invoice; its former values are written after that.
        let meanwhile = rows_of(&self.read(newest)?)?;
        let of_invoices = firing.hold_back();
        self.write(invoice, HostTable::Invoice, &meanwhile, &wanted);
        of_invoices.fire(&self.mapping.search_path, &self.mapping.invoices.relation);
        of_payments.fire(&self.mapping.search_path, &self.mapping.payments.relation);
        let mut after = self.read(newest)?;
        if self.write_followers(invoice, &meanwhile, &rows_of(&after)?, &wanted) {
            let meanwhile = rows_of(&self.read(newest)?)?;
            self.write(invoice, HostTable::Invoice, &meanwhile, &wanted);
            after = self.read(newest)?;
        }
        Ok(UndoneInvoice {
            differences: self.compare(&wanted, &rows_of(&after)?)?,
            changes: differences(self.mapping, &before, &after),
            reading: after,
        })
    }

    fn read(&self, change: &Recorded) -> Result<Reading, NotUndone> {
        read_for(self.mode, self.mapping, &change.invoice_id)
            .map_err(|problem| NotUndone::at(change, problem.to_string()))?
            .ok_or_else(|| NotUndone::at(change, "the invoice no longer exists".to_owned()))
    }

    /// Returns the rows of a reading, with values as [`as_written_here`] returns them.
    fn rows_of(&self, change: &Recorded, reading: &Reading) -> Result<Rows, NotUndone> {
        let rows = rows_of(reading);
        let rows = rows.map_err(|problem| NotUndone::at(change, problem.to_string()))?;
        let mut written = Rows::new();
        for table in [HostTable::Payment, HostTable::Invoice] {
            let of_table = rows.iter().filter(|(place, _)| place.table == table);
            let (places, values): (Vec<&Place>, Vec<_>) =
                of_table.map(|(place, row)| (place, object(row))).unzip();
            let values = as_written_here(self.mapping, table, values);
            let values = values.into_iter().map(Value::Object);
            written.extend(places.into_iter().cloned().zip(values));
        }
        Ok(written)
    }

    /// Returns the invoice's rows as they were before the changes.
    fn as_it_was(&self, present: &Rows, changes: &[&Recorded]) -> Result<Rows, NotUndone> {
        let mut rows = present.clone();
        for change in changes {
            let table = HostTable::of(self.mapping, &change.table_name).ok_or_else(|| {
                NotUndone::at(change, "the settings now name other tables".to_owned())
            })?;
            let place = Place {
                table,
                row: change.row_id.clone(),
            };
            let now = rows.get(&place);
            let recorded = Difference::of(self.mapping, table, change)
                .map_err(|why| NotUndone::at(change, why))?;
            if let Some(why) = recorded.changed_since(now) {
                return Err(NotUndone::at(change, why));
            }
            match (recorded.before, now) {
                (None, _) => {
                    rows.remove(&place);
                }
                (Some(before), now) => {
                    let row = overlaid(now, before);
                    rows.insert(place, row);
                }
            }
        }
        Ok(rows)
    }

    /// Fails if a payment would be deleted and rows of a third table would change with it.
    fn require_no_dependents(&self, present: &Rows, wanted: &Rows) -> Result<(), NotUndone> {
        for (place, row) in present {
            if wanted.contains_key(place) {
                continue;
            }
            let dependent = self.dependents.iter().find(|d| d.refers_to(row));
            if let Some(dependent) = dependent {
                return Err(self.left(
                    place,
                    format!(
                        "rows of {} refer to it and would be changed as well",
                        dependent.table
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Writes the differences: deletes, updates and inserts rows, in this order, because a new row may need the key
    /// of an old one.
    fn write(&self, invoice: &str, table: HostTable, present: &Rows, wanted: &Rows) {
        let of_table = |rows: &'_ Rows| -> Vec<Place> {
            rows.keys()
                .filter(|place| place.table == table)
                .cloned()
                .collect()
        };
        for place in of_table(present) {
            if !wanted.contains_key(&place) {
                restore::delete_row(self.mapping, invoice, &place);
            }
        }
        let (old, new): (Vec<_>, Vec<_>) = of_table(wanted)
            .into_iter()
            .partition(|place| present.contains_key(place));
        for place in &old {
            let values = self.writable(table, differing(&present[place], &wanted[place]));
            restore::update_row(self.mapping, invoice, place, &values);
        }
        for place in &new {
            let values = self.writable(table, object(&wanted[place]));
            restore::insert_row(self.mapping, table, &values);
        }
    }

    /// Writes the payments again that triggers of the invoice have changed. Returns whether there are any.
    fn write_followers(
        &self,
        invoice: &str,
        meanwhile: &Rows,
        found: &Rows,
        wanted: &Rows,
    ) -> bool {
        let of_payments = |(place, _): &(&Place, &Value)| place.table == HostTable::Payment;
        let changed = found
            .iter()
            .filter(of_payments)
            .filter(|(place, row)| meanwhile.get(*place) != Some(*row))
            .filter(|(place, row)| wanted.get(*place).is_some_and(|wanted| wanted != *row));
        let changed: Rows = changed
            .map(|(place, row)| (place.clone(), row.clone()))
            .collect();
        let mut goal = wanted.clone();
        goal.retain(|place, _| changed.contains_key(place));
        self.write(invoice, HostTable::Payment, &changed, &goal);
        !changed.is_empty()
    }

    /// Removes the generated columns.
    fn writable(&self, table: HostTable, mut values: Map<String, Value>) -> Map<String, Value> {
        for (_, columns) in self.generated.iter().filter(|(of, _)| *of == table) {
            values.retain(|column, _| !columns.contains(column));
        }
        values
    }

    /// Compares the rows read back with those wanted, and fails if they differ. A column that this extension
    /// neither reads nor writes may differ, because a trigger that stamps each update is no reason to leave money
    /// wrong; such differences are returned.
    fn compare(&self, wanted: &Rows, found: &Rows) -> Result<Vec<Value>, NotUndone> {
        let mut differences = Vec::new();
        if let Some(place) = found.keys().find(|place| !wanted.contains_key(place)) {
            return Err(self.left(
                place,
                "a trigger in your database keeps or inserts it".to_owned(),
            ));
        }
        for (place, wanted) in wanted {
            let Some(found) = found.get(place) else {
                return Err(self.left(place, "a trigger in your database deletes it".to_owned()));
            };
            for (column, value) in differing(found, wanted) {
                if place.table.uses(self.mapping, &column) {
                    let became = &found[&column];
                    return Err(self.left(
                        place,
                        format!(
                            "a trigger in your database sets {column} to {became} instead of {value}"
                        ),
                    ));
                }
                differences.push(json!({
                    "table": place.table.name(self.mapping),
                    "row": place.row,
                    "column": column,
                    "was": value,
                    "is": found[&column],
                }));
            }
        }
        Ok(differences)
    }

    /// Returns the changes for a dry run.
    fn planned_changes(&self, present: &Rows, wanted: &Rows) -> Vec<Change> {
        let new = wanted.keys().filter(|place| !present.contains_key(place));
        let row = |rows: &Rows, place: &Place| rows.get(place).map(Row::from);
        present
            .keys()
            .chain(new)
            .filter_map(|place| {
                let (before, after) = (row(present, place), row(wanted, place));
                let table = place.table.name(self.mapping);
                change(table, &place.row, before.as_ref(), after.as_ref())
            })
            .collect()
    }

    fn left(&self, place: &Place, why: String) -> NotUndone {
        NotUndone {
            table: place.table.name(self.mapping).to_owned(),
            row: place.row.clone(),
            why,
        }
    }
}

/// An error that only rolls the subtransaction back; it is never raised.
fn rolled_back() -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "the invoice was not restored",
    )
}

fn overlaid(row: Option<&Value>, columns: Map<String, Value>) -> Value {
    let mut row = row.map(object).unwrap_or_default();
    row.extend(columns);
    Value::Object(row)
}

/// Returns the columns of `wanted` with another value in `found`.
fn differing(found: &Value, wanted: &Value) -> Map<String, Value> {
    let mut columns = object(wanted);
    columns.retain(|column, value| found.get(column) != Some(value));
    columns
}

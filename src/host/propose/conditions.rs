//! Proposes the conditions for rows that count: rows that the application marks as deleted do not.

use crate::domain::words::squash;
use crate::host::catalog::{Role, Table};
use crate::host::expression::check_condition;
use crate::host::propose::names::Choice;

/// Usual names of the column that marks deleted rows, the most likely first.
const NAMES: [&str; 14] = [
    "deleted_at",
    "discarded_at",
    "soft_deleted_at",
    "trashed_at",
    "removed_at",
    "deleted_on",
    "date_deleted",
    "deleted",
    "is_deleted",
    "soft_deleted",
    "discarded",
    "is_discarded",
    "removed",
    "is_removed",
];

/// Returns the condition, if there is one, and the reason. `parts` are other conditions that must hold, each with its
/// reason.
pub(super) fn propose(
    table: &Table,
    set: Option<&str>,
    setting: &str,
    mut parts: Vec<Choice>,
) -> (Option<String>, String) {
    if let Some(set) = set.filter(|set| check_condition(table, set, setting).is_ok()) {
        return (Some(set.to_owned()), "set so, and it fits".to_owned());
    }
    let mark = NAMES.iter().find_map(|wanted| {
        let mut columns = table.columns.iter();
        columns.find(|(name, column)| {
            let tells = column.base == "bool" || Role::Moment.accepts(column);
            squash(name) == squash(wanted) && tells
        })
    });
    let kept = mark.map(|(_, column)| match column.base.as_str() {
        "bool" => (
            format!("{} is not true", column.quoted),
            "the column marks deleted rows".to_owned(),
        ),
        _ => (
            format!("{} is null", column.quoted),
            "the column is the time at which a row was deleted".to_owned(),
        ),
    });
    parts.splice(0..0, kept);
    if parts.is_empty() {
        return (None, "no column marks deleted rows".to_owned());
    }
    let (conditions, reasons): (Vec<String>, Vec<String>) = parts.into_iter().unzip();
    (Some(conditions.join(" and ")), reasons.join("; "))
}

//! Proposes the units of amounts.

use super::history::History;
use crate::domain::words::squash;
use crate::host::catalog::Column;

/// The unit of an amount, as far as its column's name and type tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Major,
    Minor,
}

impl Unit {
    pub(super) fn of(name: &str, column: &Column) -> Self {
        let name = squash(name);
        if column.is_integer() || without_unit(&name) != name {
            Self::Minor
        } else {
            Self::Major
        }
    }
}

const UNITS: [&str; 9] = [
    "incents",
    "cents",
    "cts",
    "minorunits",
    "minor",
    "pence",
    "pennies",
    "centimes",
    "subunits",
];

/// Removes a unit from the end of a squashed name: `amountcents` becomes `amount`.
pub(super) fn without_unit(squashed: &str) -> &str {
    UNITS
        .iter()
        .find_map(|unit| squashed.strip_suffix(unit))
        .unwrap_or(squashed)
}

/// Returns the unit of the invoices' amounts, and why, from the column of the total.
pub(super) fn unit(
    set: &str,
    total: Option<&(String, Column)>,
    history: &History,
) -> (String, String) {
    match total {
        Some((name, column)) if is_whole(name, column) && history.is_hundredfold() => {
            let reason = "integers, and payments come to a hundred times the totals";
            ("major".to_owned(), reason.to_owned())
        }
        Some((name, column)) => unit_by(name, column, set),
        None => (
            set.to_owned(),
            "there is no total column to determine it by".to_owned(),
        ),
    }
}

/// Returns the unit of the payments' amounts, and why; `None` if it is that of the invoices.
pub(super) fn unit_of_payments(
    set: Option<String>,
    of_invoices: &str,
    total: Option<&(String, Column)>,
    paid: Option<&(String, Column)>,
    history: &History,
) -> (Option<String>, String) {
    if let Some(set) = set {
        return (Some(set), "set so".to_owned());
    }
    if of_invoices == "major" && history.is_hundredfold() {
        let reason = "payments come to a hundred times the totals of their invoices";
        return (Some("minor".to_owned()), reason.to_owned());
    }
    let of = |(name, column): &(String, Column)| Unit::of(name, column);
    match (total, paid) {
        (Some(total), Some(paid)) if of(total) != of(paid) => {
            let (unit, reason) = unit_by(&paid.0, &paid.1, of_invoices);
            (Some(unit), reason)
        }
        _ => (None, "the unit of the invoices".to_owned()),
    }
}

/// Returns whether the amounts are integers of which no name says what they are.
fn is_whole(name: &str, column: &Column) -> bool {
    let name = squash(name);
    column.is_integer() && without_unit(&name) == name
}

fn unit_by(name: &str, column: &Column, set: &str) -> (String, String) {
    let unit = match (Unit::of(name, column), set) {
        (Unit::Minor, "stripe") => "stripe",
        (Unit::Minor, _) => "minor",
        (Unit::Major, _) => "major",
    };
    let reason = if column.is_integer() {
        "integers: assumed to be the smallest unit, such as cents; verify this"
    } else if unit == "minor" {
        "by the column's name"
    } else {
        "decimal numbers"
    };
    (unit.to_owned(), reason.to_owned())
}

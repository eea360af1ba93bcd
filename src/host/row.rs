//! A row of any table, as JSON.

use std::collections::BTreeMap;
use std::fmt;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::pg::Problem;

/// The output of `row_to_json`. It is parsed only on demand, because most rows are only compared and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row(String);

impl Row {
    pub(super) fn new(json: String) -> Self {
        Self(json)
    }

    /// Parses the whole row. Fails with 54001 if it is nested too deeply to be parsed.
    pub(crate) fn to_value(&self) -> Result<Value, Problem> {
        serde_json::from_str(&self.0).map_err(|error| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_STATEMENT_TOO_COMPLEX,
                format!("a row cannot be read as a whole: {error}"),
            )
        })
    }

    /// Returns the columns that differ in `later`, with their values in this row and in `later`, both as JSON
    /// objects; `None` if no column differs.
    pub(crate) fn difference(&self, later: &Self) -> Option<(String, String)> {
        if self == later {
            return None;
        }
        let (Columns(mut before), Columns(mut after)) = (self.columns(), later.columns());
        after.retain(|column, value| match before.get(column) {
            Some(former) => former.get() != value.get(),
            None => true,
        });
        before.retain(|column, _| after.contains_key(column));
        (!after.is_empty()).then(|| (written(&before), written(&after)))
    }

    /// Returns the columns with their values.
    pub(crate) fn columns(&self) -> Columns<'_> {
        // `row_to_json` always writes an object.
        Columns(serde_json::from_str(&self.0).unwrap_or_default())
    }
}

/// The columns of a row, each with its value as JSON.
pub(crate) struct Columns<'a>(BTreeMap<String, &'a RawValue>);

impl Columns<'_> {
    /// Returns the value of a column; `None` if there is no such column, or if its value is nested too deeply to be
    /// parsed.
    pub(crate) fn get(&self, column: &str) -> Option<Value> {
        serde_json::from_str(self.0.get(column)?.get()).ok()
    }
}

impl From<&Value> for Row {
    fn from(row: &Value) -> Self {
        Self(row.to_string())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn written(columns: &BTreeMap<String, &RawValue>) -> String {
    // A map with text keys can always be serialized.
    serde_json::to_string(columns).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Row {
        Row::new(json.to_owned())
    }

    #[test]
    fn a_difference_contains_the_columns_that_differ_as_they_are_written() {
        let before = row(r#"{"a":1.50,"b\"":"x","c":{"k":[1, 2]},"d":null}"#);
        let after = row(r#"{"a":1.5,"b\"":"x","c":{"k":[1, 2]},"d":"\u00e9"}"#);
        assert_eq!(
            before.difference(&after),
            Some((
                r#"{"a":1.50,"d":null}"#.to_owned(),
                r#"{"a":1.5,"d":"\u00e9"}"#.to_owned()
            ))
        );
        assert_eq!(before.difference(&before.clone()), None);
    }

    #[test]
    fn a_row_that_is_nested_too_deeply_is_compared_but_not_parsed() {
        let deep = |inner: &str| {
            let (open, close) = ("[".repeat(500), "]".repeat(500));
            row(&format!(r#"{{"a":1,"deep":{open}{inner}{close}}}"#))
        };
        assert_eq!(deep("1").columns().get("a"), Some(Value::from(1)));
        assert_eq!(deep("1").columns().get("deep"), None);
        assert_eq!(
            deep("1")
                .to_value()
                .map_err(|problem| problem.sqlstate_text().to_owned()),
            Err("54001".to_owned())
        );
        let (before, after) = deep("1").difference(&deep("2")).expect("they differ");
        assert!(before.starts_with(r#"{"deep":[["#) && before.contains("[1]"));
        assert!(after.contains("[2]"));
    }
}

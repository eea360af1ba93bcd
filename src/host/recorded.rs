//! Rows as the ledger has them, compared with rows of the table as it is now: they were read in another session, and
//! columns may have come and gone since.

use pgrx::spi::quote_literal;
use serde_json::{Map, Value};

use super::host_table::HostTable;
use super::mapping::Mapping;
use super::owner::reading_as;
use crate::pg::{in_subtransaction, sql};

/// Returns the rows with each value as this session writes it: a time in its time zone, a number in one form. Values are
/// equal then if their texts are. Columns that the table does not have are left out, and a value that its type cannot
/// read from JSON stays as it is.
pub(crate) fn as_written_here(
    mapping: &Mapping,
    host_table: HostTable,
    mut rows: Vec<Map<String, Value>>,
) -> Vec<Map<String, Value>> {
    let types = host_table.types(mapping);
    for row in &mut rows {
        row.retain(|column, _| types.contain(column));
        for (column, value) in row.iter_mut() {
            if let Some(signed) = value.as_str().and_then(with_all_signs)
                && types.is_interval(column)
            {
                *value = Value::from(signed);
            }
        }
    }
    let read = |rows: &[Map<String, Value>]| read_back(mapping, host_table, rows);
    if let Some(read) = read(&rows) {
        return read;
    }
    let one_by_one = rows.into_iter().map(|row| {
        if let Some([read]) = read(std::slice::from_ref(&row)).as_deref() {
            return read.clone();
        }
        let columns = row.into_iter().map(|(column, value)| {
            let alone = Map::from_iter([(column.clone(), value.clone())]);
            let read = read(&[alone]).and_then(|rows| rows.into_iter().next());
            let read = read.and_then(|mut row| row.remove(&column));
            (column, read.unwrap_or(value))
        });
        columns.collect()
    });
    one_by_one.collect()
}

/// Reads rows as the types of the columns, without the checks of domains, and writes them again. `None` if a type cannot
/// read a value.
fn read_back(
    mapping: &Mapping,
    host_table: HostTable,
    rows: &[Map<String, Value>],
) -> Option<Vec<Map<String, Value>>> {
    let mut columns: Vec<&str> = rows
        .iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect();
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() {
        return Some(rows.to_vec());
    }
    let record = host_table.types(mapping).unchecked_rows("r", columns);
    let statement = format!("select to_jsonb(r) from {record}");
    let json = Value::from_iter(rows.iter().cloned()).to_string();
    let read = in_subtransaction(|| {
        Ok(reading_as(host_table.relation(mapping), || {
            sql::fetch(&statement, &[Some(&json)])
        }))
    });
    let read = read.ok().filter(|read| read.len() == rows.len())?;
    let read = read.into_iter().zip(rows).map(|(read, row)| {
        let Value::Object(mut read) = read else {
            return row.clone();
        };
        let in_order = row.keys().map(|column| {
            let value = read.get_mut(column).map(Value::take);
            (column.clone(), value.unwrap_or_default())
        });
        in_order.collect()
    });
    Some(read.collect())
}

/// Returns an interval in the style `sql_standard`, in which one sign is for all its parts, with a sign for each. Other
/// styles would read it as another interval, and have it in no other form.
fn with_all_signs(text: &str) -> Option<String> {
    let parts = text.strip_prefix('-')?.split(' ').collect::<Vec<_>>();
    let is_bare = |part: &&str| {
        part.starts_with(|first: char| first.is_ascii_digit())
            && part
                .chars()
                .all(|c| c.is_ascii_digit() || "-:.".contains(c))
    };
    (parts.len() > 1 && parts.iter().all(is_bare)).then(|| format!("-{}", parts.join(" -")))
}

/// Matches the expression of a default that is a constant.
const CONSTANT: &str =
    r"^\(?('([^']|'')*'|-?[0-9.]+|true|false)\)?(::[^()']*(\([0-9, ]+\))?(\[\])*)*$";

/// Returns what rows that are older than these columns have in them, if nobody has changed it: the value with which the
/// column was added, or its default now, if that is a constant. Null is possible, too. Columns that PostgreSQL fills
/// are mapped to null: their values say nothing.
pub(crate) fn values_of_older_rows(
    mapping: &Mapping,
    host_table: HostTable,
    columns: &[&str],
) -> Map<String, Value> {
    let relation = host_table.relation(mapping);
    let types = host_table.types(mapping);
    let described: Vec<[Option<String>; 4]> = sql::fetch_texts(
        "select a.attname::text, (a.attgenerated <> '' or a.attidentity = 'a')::text,
            case when a.atthasmissing then (a.attmissingval::text::text[])[1] end,
            (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
             where d.adrelid = a.attrelid and d.adnum = a.attnum and pg_get_expr(d.adbin, d.adrelid) ~ $2)
        from pg_attribute a
        where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped",
        &[Some(&relation.oid.to_string()), Some(CONSTANT)],
    );
    let mut values = Map::new();
    for [name, is_filled, missing, default] in described {
        let Some(name) = name.filter(|name| columns.contains(&name.as_str())) else {
            continue;
        };
        if is_filled.as_deref() == Some("true") {
            values.insert(name, Value::Null);
            continue;
        }
        let Some(own) = types.own(&name) else {
            continue;
        };
        let missing = missing.as_deref().map(quote_literal);
        let expressions = [missing, default].into_iter().flatten();
        let expressions = expressions.map(|text| format!("to_jsonb(({text})::{own})"));
        let statement = format!(
            "select jsonb_build_array({})",
            expressions.collect::<Vec<_>>().join(", ")
        );
        let found =
            in_subtransaction(|| Ok(reading_as(relation, || sql::fetch_one(&statement, &[]))));
        let found = found.ok().flatten();
        values.insert(name, found.unwrap_or_else(|| Value::Array(Vec::new())));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::with_all_signs;

    #[test]
    fn an_interval_with_one_sign_for_all_gets_one_for_each() {
        let signed = |text| with_all_signs(text);
        assert_eq!(signed("-1 2:03:04.5").as_deref(), Some("-1 -2:03:04.5"));
        assert_eq!(
            signed("-1-2 3 4:05:06").as_deref(),
            Some("-1-2 -3 -4:05:06")
        );
        for other in [
            "-1-2",
            "1 2:03:04",
            "-1 days +02:03:04",
            "-1 days -02:03:04",
            "-1-2 +3 -4:05:06",
            "P-1DT-2H",
            "-5 items",
        ] {
            assert_eq!(signed(other), None, "{other}");
        }
    }
}

//! Whether the application's rows contradict what the names of columns say.

use crate::host::catalog::Table;
use crate::host::owner::reading_as;
use crate::pg::sql;

/// The most rows that are read.
const SAMPLED: u32 = 5_000;

/// Returns whether there are paid invoices, and all of them are due in whole by the column that is to be the balance.
/// The columns are balance, total and status. Reads the rows as the table's owner.
pub(super) fn paid_are_due(table: &Table, columns: [&str; 3], paid: &str) -> bool {
    let quoted = columns.map(|name| Some(table.columns.get(name)?.quoted.as_str()));
    let [Some(balance), Some(total), Some(status)] = quoted else {
        return false;
    };
    let statement = format!(
        "select to_jsonb(coalesce(bool_and(i.balance = i.total), false))
        from (
            select {balance} as balance, {total} as total, {status}::text as status from {table} limit {SAMPLED}) i
        where i.status = {paid} and i.total > 0",
        paid = pgrx::spi::quote_literal(paid),
        table = table.name,
    );
    let found = reading_as(&table.relation(), || sql::fetch_one(&statement, &[]));
    found.is_some_and(|found| found == true)
}

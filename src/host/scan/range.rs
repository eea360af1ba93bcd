//! A range of the tables to scan: which invoices belong to it, and in which order.

use crate::host::mapping::Mapping;
use crate::pg::Relation;

/// Some of the invoices, in an order.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) enum Range<'a> {
    /// The invoices with these ids, a JSON array, which is `$2` of the statements.
    Named(&'a str),
    /// This number of invoices, in key order, after this key.
    Keys { after: Option<&'a str>, rows: usize },
    /// The invoices that some blocks of a table's file refer to. Rows that no transaction from `basis` on has
    /// written are skipped.
    Blocks {
        blocks: BlockRange,
        basis: Option<u64>,
    },
}

/// Some blocks of a table's file, from a row to the beginning of a block.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct BlockRange {
    pub(in crate::host) of: ScannedTable,
    /// The block, and the row in it, after which the range begins.
    pub(in crate::host) after: (u64, u64),
    /// The first block after the range.
    pub(in crate::host) end: u64,
}

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::host) enum ScannedTable {
    Invoices,
    Payments,
}

impl ScannedTable {
    pub(in crate::host) fn name(self) -> &'static str {
        match self {
            Self::Invoices => "invoices",
            Self::Payments => "payments",
        }
    }

    pub(in crate::host) fn relation(self, mapping: &Mapping) -> &Relation {
        match self {
            Self::Invoices => &mapping.invoices.relation,
            Self::Payments => &mapping.payments.relation,
        }
    }

    fn table(self, mapping: &Mapping) -> &str {
        match self {
            Self::Invoices => &mapping.invoices.table,
            Self::Payments => &mapping.payments.table,
        }
    }
}

impl BlockRange {
    /// Returns the query for the number of rows in the range.
    pub(in crate::host) fn rows(&self, mapping: &Mapping) -> String {
        let (table, holds) = (self.of.table(mapping), self.holds("f"));
        format!("select count(*)::text from {table} f where {holds}")
    }

    /// Returns the query for the payments in the range that were written, by invoice: the `key`, and the `place` of
    /// the first payment. Rows that do not count are included: one may have counted before it was written.
    pub(in crate::host) fn written_payments(
        &self,
        mapping: &Mapping,
        basis: Option<u64>,
    ) -> String {
        format!(
            "select p.{invoice} as key, min(p.ctid) as place
            from {table} p
            where {written}
            group by 1",
            invoice = mapping.payments.invoice.quoted,
            table = mapping.payments.table,
            written = self.written("p", basis),
        )
    }

    /// Returns the condition that a row is in the range and was written since `basis`.
    pub(in crate::host) fn written(&self, alias: &str, basis: Option<u64>) -> String {
        let holds = self.holds(alias);
        match basis {
            Some(basis) => format!("{holds} and {}", is_written_since(alias, basis)),
            None => holds,
        }
    }

    /// Returns the query for the keys of the invoices in the range, with a cast such as `::text`.
    pub(in crate::host) fn keys(&self, mapping: &Mapping, cast: &str) -> String {
        let (invoices, holds) = (&mapping.invoices, self.holds("i"));
        format!(
            "select i.{}{cast} from {} i where {holds}",
            invoices.id.quoted,
            invoices.counting.placed_rows()
        )
    }

    /// Returns the condition that a row is in the range.
    fn holds(&self, alias: &str) -> String {
        let (block, row) = self.after;
        let end = self.end;
        format!("{alias}.ctid > '({block},{row})'::tid and {alias}.ctid < '({end},0)'::tid")
    }
}

/// For statements whose extent is not used or is known otherwise.
pub(in crate::host) const NO_EXTENT: &str = "null as rows, null as last";

impl Range<'_> {
    /// Returns the parameter `$2`, if the statements have one.
    pub(in crate::host) fn param(&self) -> Option<&str> {
        match self {
            Self::Named(ids) => Some(ids),
            Self::Keys { .. } | Self::Blocks { .. } => None,
        }
    }

    /// Returns the expression for the position of an invoice `i`.
    pub(in crate::host) fn place(&self, mapping: &Mapping) -> String {
        match self {
            Self::Named(_) | Self::Keys { .. } => format!("i.{}::text", mapping.invoices.id.quoted),
            Self::Blocks { blocks, .. } => match blocks.of {
                ScannedTable::Invoices => "i.ctid".to_owned(),
                ScannedTable::Payments => "w.place".to_owned(),
            },
        }
    }

    /// Returns the clause that orders the invoices `alias`. Those of blocks are ordered by [`Self::sort`]: PostgreSQL would
    /// copy each of the wide rows.
    pub(in crate::host) fn order(&self, alias: &str) -> String {
        match self {
            Self::Named(_) | Self::Keys { .. } => format!("order by {alias}.key"),
            Self::Blocks { .. } => String::new(),
        }
    }

    /// Sorts what was read of blocks by its position in the table, such as `(12,3)`.
    pub(in crate::host) fn sort<T>(&self, rows: &mut [T], place: impl Fn(&T) -> &str) {
        if matches!(self, Self::Blocks { .. }) {
            rows.sort_by_cached_key(|row| block_and_row(place(row)));
        }
    }

    /// Returns the columns for the number of rows and the last position, if the invoices are named `range`.
    pub(in crate::host) fn extent(&self) -> &'static str {
        match self {
            Self::Keys { .. } => {
                "(select count(*)::text from range) as rows,
                (select place from range order by key desc limit 1) as last"
            }
            Self::Named(_) | Self::Blocks { .. } => NO_EXTENT,
        }
    }

    /// Returns the condition for the payments `p` of the invoices, if these are named `range`.
    pub(in crate::host) fn payments(&self, mapping: &Mapping) -> String {
        let invoice = &mapping.payments.invoice.quoted;
        match self {
            // With only one bound, PostgreSQL estimates a third of the table.
            Self::Keys { .. } => format!(
                "p.{invoice} between (select key from range order by key limit 1)
                      and (select key from range order by key desc nulls last limit 1)"
            ),
            Self::Named(_) | Self::Blocks { .. } => {
                format!("p.{invoice} = any (array(select key from range))")
            }
        }
    }

    /// Returns the FROM clause for the invoices `i`, for a role that can read both tables.
    pub(in crate::host) fn invoices(&self, mapping: &Mapping) -> String {
        let (counting, id) = (&mapping.invoices.counting, &mapping.invoices.id.quoted);
        match self {
            Self::Blocks { blocks, basis } if blocks.of == ScannedTable::Payments => format!(
                "from {table} i join ({written}) w on w.key = i.{id}",
                table = counting.rows(),
                written = blocks.written_payments(mapping, *basis),
            ),
            Self::Blocks {
                blocks,
                basis: Some(basis),
            } => format!(
                "from {table} i
                where {holds} and ({written} or {paid} and {unpaid})",
                table = counting.placed_rows(),
                holds = blocks.holds("i"),
                written = is_written_since("i", *basis),
                paid = is_marked_paid(mapping),
                unpaid = has_no_payment(mapping, &format!("i.{id}")),
            ),
            _ => self.invoices_alone(mapping),
        }
    }

    /// Returns the FROM clause for the invoices `i`, for a role that can read the invoices only. Invoices that are
    /// not [certain](Self::is_certain) belong to the range only if they have no payment. The payments that
    /// [`BlockRange::written_payments`] found are `$2` and `$3`.
    pub(in crate::host) fn invoices_alone(&self, mapping: &Mapping) -> String {
        let (counting, key) = (&mapping.invoices.counting, &mapping.invoices.id);
        let table = match self {
            Self::Blocks { blocks, .. } if blocks.of == ScannedTable::Invoices => {
                counting.placed_rows()
            }
            _ => counting.rows(),
        };
        let id = &key.quoted;
        match self {
            Self::Named(_) => format!(
                "from {table} i
                where i.{id} = any (array(
                    select {wanted} from jsonb_array_elements_text($2::jsonb) t))",
                wanted = key.key_or_null("t.value"),
            ),
            Self::Keys { after, rows } => {
                let from = after.map_or_else(String::new, |after| {
                    let after = pgrx::spi::quote_literal(after);
                    format!("where i.{id} > {after}::{}", key.cast_type)
                });
                format!("from {table} i {from} order by i.{id} limit {rows}")
            }
            Self::Blocks { blocks, basis } => match (blocks.of, basis) {
                (ScannedTable::Invoices, None) => format!("from {table} i where {}", blocks.holds("i")),
                (ScannedTable::Invoices, Some(basis)) => format!(
                    "from {table} i where {holds} and ({written} or {paid})",
                    holds = blocks.holds("i"),
                    written = is_written_since("i", *basis),
                    paid = is_marked_paid(mapping),
                ),
                // `offset 0` forces one lookup per key; otherwise the set would be joined with the whole table.
                (ScannedTable::Payments, _) => format!(
                    "from (select key, place::tid from unnest($2::text[], $3::text[]) u (key, place)) w
                    cross join lateral (select * from {table} t where t.{id} = {wanted} offset 0) i",
                    wanted = key.key_or_null("w.key"),
                ),
            },
        }
    }

    /// Returns the condition that an invoice `i` belongs to the range whatever payments it has.
    pub(in crate::host) fn is_certain(&self) -> String {
        match self {
            Self::Blocks {
                blocks,
                basis: Some(basis),
            } if blocks.of == ScannedTable::Invoices => is_written_since("i", *basis),
            _ => "true".to_owned(),
        }
    }
}

/// Returns the condition that an invoice `i` has the status for paid. Such an invoice without a payment is a
/// candidate even if it was not written, because a deleted payment leaves no row to scan; but not where the application
/// records no payments.
fn is_marked_paid(mapping: &Mapping) -> String {
    if mapping.payments.are_own() {
        return "false".to_owned();
    }
    format!(
        "{} = {}",
        mapping.invoices.status.word("i"),
        pgrx::spi::quote_literal(&mapping.invoice_words.paid)
    )
}

/// Returns the condition that the invoice with this key has no payment.
pub(in crate::host) fn has_no_payment(mapping: &Mapping, key: &str) -> String {
    format!(
        "not exists (select from {} p where p.{} = {key})",
        mapping.payments.counting.rows(),
        mapping.payments.invoice.quoted
    )
}

/// Returns the condition that a row was written by a transaction from `basis` on. `age` is exact for about two
/// billion transactions, and `basis` must not be older. A row older than that may be reported as written,
/// but a written row is never missed.
fn is_written_since(alias: &str, basis: u64) -> String {
    format!("age({alias}.xmin) <= age('{basis}'::xid8::xid)")
}

/// Reads a block and the row in it, such as `(12,3)`.
pub(in crate::host) fn block_and_row(tid: &str) -> Option<(u64, u64)> {
    let (block, row) = tid.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some((block.parse().ok()?, row.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use crate::host::scan::range::{BlockRange, Range, ScannedTable};

    #[test]
    fn rows_of_blocks_are_sorted_by_block_and_number() {
        let blocks = Range::Blocks {
            blocks: BlockRange {
                of: ScannedTable::Invoices,
                after: (0, 0),
                end: 11,
            },
            basis: None,
        };
        let mut places = ["(10,1)", "(9,12)", "(9,2)", "(0,3)"];
        blocks.sort(&mut places, |place| place);
        assert_eq!(places, ["(0,3)", "(9,2)", "(9,12)", "(10,1)"]);

        let mut keys = ["b", "a"];
        Range::Named("[]").sort(&mut keys, |place| place);
        assert_eq!(keys, ["b", "a"], "those were sorted by PostgreSQL");
    }
}

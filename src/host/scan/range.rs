//! A range of the tables to scan: which invoices belong to it, and in which order.

use crate::host::mapping::Mapping;
use crate::pg::Relation;

/// Some of the invoices, in an order.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) enum Range<'a> {
    /// Those with these ids, a JSON array: `$2` of the statements.
    Named(&'a str),
    /// So many, by their keys, from the one after this on.
    Keys { after: Option<&'a str>, rows: usize },
    /// Those that some blocks of a table's file are about. What no transaction from `basis`
    /// on has written is passed over.
    Blocks {
        blocks: BlockRange,
        basis: Option<u64>,
    },
}

/// Some blocks of a table's file: what lies between a row and a block.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct BlockRange {
    pub(in crate::host) of: ScannedTable,
    /// The block, and the row in it, that they begin after.
    pub(in crate::host) after: (u64, u64),
    /// The first block that does not belong to it.
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
    /// How many rows lie in it.
    pub(in crate::host) fn rows(&self, mapping: &Mapping) -> String {
        let (table, holds) = (self.of.table(mapping), self.holds("f"));
        format!("select count(*)::text from {table} f where {holds}")
    }

    /// The payments `w` that lie in it and were written, by invoice: the `key`, and the
    /// `place` of the first of them.
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

    /// Whether a row lies in it and was written.
    pub(in crate::host) fn written(&self, alias: &str, basis: Option<u64>) -> String {
        let holds = self.holds(alias);
        match basis {
            Some(basis) => format!("{holds} and {}", is_written_since(alias, basis)),
            None => holds,
        }
    }

    /// The keys of the invoices that lie in it.
    pub(in crate::host) fn keys(&self, mapping: &Mapping) -> String {
        let (invoices, holds) = (&mapping.invoices, self.holds("i"));
        format!(
            "select i.{}::text from {} i where {holds}",
            invoices.id.quoted, invoices.table
        )
    }

    /// Whether a row lies in it.
    fn holds(&self, alias: &str) -> String {
        let (block, row) = self.after;
        let end = self.end;
        format!("{alias}.ctid > '({block},{row})'::tid and {alias}.ctid < '({end},0)'::tid")
    }
}

/// Where it is of no interest how far a range goes, or known otherwise.
pub(in crate::host) const NO_EXTENT: &str = "null as rows, null as last";

impl Range<'_> {
    /// The parameter that goes with it.
    pub(in crate::host) fn param(&self) -> Option<&str> {
        match self {
            Self::Named(ids) => Some(ids),
            Self::Keys { .. } | Self::Blocks { .. } => None,
        }
    }

    /// Where an invoice `i` stands in it.
    pub(in crate::host) fn place(&self, mapping: &Mapping) -> String {
        match self {
            Self::Named(_) | Self::Keys { .. } => format!("i.{}::text", mapping.invoices.id.quoted),
            Self::Blocks { blocks, .. } => match blocks.of {
                ScannedTable::Invoices => "i.ctid".to_owned(),
                ScannedTable::Payments => "w.place".to_owned(),
            },
        }
    }

    /// By what its invoices are ordered.
    pub(in crate::host) fn order(&self) -> &'static str {
        match self {
            Self::Named(_) | Self::Keys { .. } => "key",
            Self::Blocks { .. } => "place",
        }
    }

    /// How many rows it has, and the last place, where its invoices are `range`.
    pub(in crate::host) fn extent(&self) -> &'static str {
        match self {
            Self::Keys { .. } => {
                "(select count(*)::text from range) as rows,
                (select place from range order by key desc limit 1) as last"
            }
            Self::Named(_) | Self::Blocks { .. } => NO_EXTENT,
        }
    }

    /// Which payments `p` are those of its invoices, where these are `range`.
    pub(in crate::host) fn payments(&self, mapping: &Mapping) -> String {
        let invoice = &mapping.payments.invoice.quoted;
        match self {
            // Both ends: one alone PostgreSQL takes for a third of the table.
            Self::Keys { .. } => format!(
                "p.{invoice} between (select key from range order by key limit 1)
                      and (select key from range order by key desc nulls last limit 1)"
            ),
            Self::Named(_) | Self::Blocks { .. } => {
                format!("p.{invoice} = any (array(select key from range))")
            }
        }
    }

    /// Its invoices `i`, for who may read both tables.
    pub(in crate::host) fn invoices(&self, mapping: &Mapping) -> String {
        let (table, id) = (&mapping.invoices.table, &mapping.invoices.id.quoted);
        match self {
            Self::Blocks { blocks, basis } if blocks.of == ScannedTable::Payments => format!(
                "from {table} i join ({written}) w on w.key = i.{id}",
                written = blocks.written_payments(mapping, *basis),
            ),
            Self::Blocks {
                blocks,
                basis: Some(basis),
            } => format!(
                "from {table} i
                where {holds} and ({written} or {paid} and {unpaid})",
                holds = blocks.holds("i"),
                written = is_written_since("i", *basis),
                paid = is_marked_paid(mapping),
                unpaid = has_no_payment(mapping, &format!("i.{id}")),
            ),
            _ => self.invoices_alone(mapping),
        }
    }

    /// Its invoices `i`, for who may read the invoices alone: those that are not
    /// [certain](Self::is_certain) belong to it only if they have no payment. The
    /// payments that [`BlockRange::written_payments`] found are `$2` and `$3`.
    pub(in crate::host) fn invoices_alone(&self, mapping: &Mapping) -> String {
        let (table, key) = (&mapping.invoices.table, &mapping.invoices.id);
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
                    format!("where i.{id} > {after}::{}", key.type_name)
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
                // One by one: a set would be joined with the whole table.
                (ScannedTable::Payments, _) => format!(
                    "from (select key, place::tid from unnest($2::text[], $3::text[]) u (key, place)) w
                    cross join lateral (select * from {table} t where t.{id} = {wanted} offset 0) i",
                    wanted = key.key_or_null("w.key"),
                ),
            },
        }
    }

    /// Whether an invoice `i` belongs to it whatever payments it has.
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

/// An invoice that is paid and has no payment is looked at though nobody wrote it, for a
/// payment that was deleted is nowhere to be seen.
fn is_marked_paid(mapping: &Mapping) -> String {
    format!(
        "i.{}::text = {}",
        mapping.invoices.status.quoted,
        pgrx::spi::quote_literal(&mapping.invoice_words.paid)
    )
}

/// Whether the invoice with this key has none.
pub(in crate::host) fn has_no_payment(mapping: &Mapping, key: &str) -> String {
    format!(
        "not exists (select from {} p where p.{} = {key})",
        mapping.payments.table, mapping.payments.invoice.quoted
    )
}

/// Exact for as long as `age` is, for two thousand million transactions: `basis` must
/// be no older. What is older may be taken for written, and never the other way round.
fn is_written_since(alias: &str, basis: u64) -> String {
    format!("age({alias}.xmin) <= age('{basis}'::xid8::xid)")
}

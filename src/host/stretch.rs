//! The way through all invoices, a stretch at a time, and what is worth a look there.
//!
//! Plain tables are read as they lie in their files: first the invoices, then the
//! payments, block after block, which is many times cheaper than by a random primary
//! key. What no transaction has written since the last round is passed over. Others
//! (partitioned, distributed over several machines) are read by primary key, all of them.

use serde::Deserialize;

use super::candidates::{Candidate, Part, look};
use super::mapping::Mapping;
use crate::pg::sql;

/// What a stretch holds.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    /// Each with the place right after it, in their order.
    pub(crate) candidates: Vec<(String, Candidate)>,
    /// How many rows were looked through.
    pub(crate) rows: usize,
    /// Where the next one begins; `None` at the end.
    pub(crate) next: Option<String>,
}

/// How the tables lie.
#[derive(Debug)]
pub(crate) enum Way {
    ByKey,
    ByBlocks { invoices: File, payments: File },
}

/// A table's file, as far as it is known.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct File {
    is_plain: bool,
    /// How long it is now.
    blocks: u64,
    /// Rows in a block, on an average.
    density: f64,
}

/// With Citus, tables may be empty here and their rows elsewhere.
const FILES: &str = "
    select jsonb_build_object(
        'is_plain', c.relkind = 'r' and a.amname = 'heap'
                    and to_regclass('pg_catalog.pg_dist_partition') is null,
        'blocks', pg_relation_size(c.oid) / current_setting('block_size')::bigint,
        'density', case when c.relpages > 0 then greatest(c.reltuples / c.relpages, 1) else 50 end)
    from unnest(array[$1, $2]::regclass[]) with ordinality as t (oid, place)
    join pg_class c on c.oid = t.oid
    left join pg_am a on a.oid = c.relam
    order by t.place";

impl Way {
    pub(crate) fn through(mapping: &Mapping) -> Self {
        let tables = [&mapping.invoices.table, &mapping.payments.table];
        let files: Vec<File> = sql::fetch(FILES, &tables.map(|table| Some(table.as_str())))
            .into_iter()
            .filter_map(|row| serde_json::from_value(row).ok())
            .collect();
        match files[..] {
            [invoices, payments] if invoices.is_plain && payments.is_plain => {
                Self::ByBlocks { invoices, payments }
            }
            _ => Self::ByKey,
        }
    }

    /// Looks through about `rows` rows, from `place` on.
    ///
    /// Stripe is to be asked about the invoices whose ids have no money in the books
    /// yet, or that have an open issue about something of Stripe's, and that were
    /// never asked about, or with other ids, or are due at `now` (seconds since 1970).
    /// What no transaction from `basis` on has written is passed over.
    pub(crate) fn stretch(
        &self,
        mapping: &Mapping,
        place: Option<&str>,
        rows: usize,
        basis: Option<u64>,
        now: f64,
    ) -> Stretch {
        match self {
            Self::ByKey => by_key(mapping, place, rows, now),
            Self::ByBlocks { invoices, payments } => {
                let place = place.and_then(Place::parse).unwrap_or(Place::BEGINNING);
                let file = match place.table {
                    Of::Invoices => invoices,
                    Of::Payments => payments,
                };
                by_blocks(mapping, &place, *file, rows, basis, now)
            }
        }
    }
}

fn by_key(mapping: &Mapping, after: Option<&str>, rows: usize, now: f64) -> Stretch {
    let key = &mapping.invoices.id;
    let from = match after {
        Some(_) => format!("where i.{} > $1::text::{}", key.quoted, key.type_name),
        // The parameter has to stand somewhere for its type.
        None => "where $1::text is null".to_owned(),
    };
    let part = Part {
        place: format!("i.{}::text", key.quoted),
        order: "j.key",
        invoices: format!("{from} order by i.{} limit {rows}", key.quoted),
        // Both ends: one alone PostgreSQL takes for a third of the table.
        payments: format!(
            "p.{} between (select key from part order by key limit 1)
                      and (select key from part order by key desc limit 1)",
            mapping.payments.invoice.quoted
        ),
        rows: "(select count(*) from part)".to_owned(),
    };
    let found = look(mapping, &part, after, now);
    let is_over = found.rows < rows;
    Stretch {
        rows: found.rows,
        next: found.last.clone().filter(|_| !is_over),
        candidates: found.candidates,
    }
}

/// A place in one of the files: everything before it was looked through.
#[derive(Debug)]
struct Place {
    table: Of,
    block: u64,
    /// The row in the block that was looked at last; 0: none yet.
    row: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Invoices,
    Payments,
}

impl Place {
    const BEGINNING: Self = Self::at(Of::Invoices, 0);

    const fn at(table: Of, block: u64) -> Self {
        Self {
            table,
            block,
            row: 0,
        }
    }

    /// `invoices (480,12)`.
    fn parse(text: &str) -> Option<Self> {
        let (table, tid) = text.split_once(' ')?;
        let (block, row) = tid.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some(Self {
            table: match table {
                "invoices" => Of::Invoices,
                "payments" => Of::Payments,
                _ => return None,
            },
            block: block.parse().ok()?,
            row: row.parse().ok()?,
        })
    }

    fn tid(&self) -> String {
        format!("({},{})", self.block, self.row)
    }
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Invoices => "invoices",
            Self::Payments => "payments",
        }
    }
}

fn by_blocks(
    mapping: &Mapping,
    place: &Place,
    file: File,
    rows: usize,
    basis: Option<u64>,
    now: f64,
) -> Stretch {
    let blocks = (rows as f64 / file.density).ceil().max(1.0) as u64;
    let end = (place.block + blocks).min(file.blocks);
    let is_over = end >= file.blocks;
    let next = match (place.table, is_over) {
        (table, false) => Some(Place::at(table, end)),
        // Where all invoices are looked at, so are all payments.
        (Of::Invoices, true) => basis.map(|_| Place::at(Of::Payments, 0)),
        (Of::Payments, true) => None,
    };
    let stretch = Stretch {
        next: next.map(|next| format!("{} {}", next.table.name(), next.tid())),
        ..Stretch::default()
    };
    if place.block >= file.blocks {
        return stretch;
    }
    let in_file =
        |alias: &str| format!("{alias}.ctid > $1::tid and {alias}.ctid < '({end},0)'::tid");
    let (at, invoices, table) = match place.table {
        Of::Invoices => (
            "i.ctid",
            invoices_in_file(mapping, &in_file("i"), basis),
            &mapping.invoices.table,
        ),
        Of::Payments => (
            "w.place",
            payments_in_file(mapping, &in_file("p"), basis),
            &mapping.payments.table,
        ),
    };
    let part = Part {
        place: at.to_owned(),
        order: "j.place",
        invoices,
        payments: format!(
            "p.{} = any (array(select key from part))",
            mapping.payments.invoice.quoted
        ),
        rows: format!("(select count(*) from {table} f where {})", in_file("f")),
    };
    let found = look(mapping, &part, Some(&place.tid()), now);
    let name = place.table.name();
    let candidates = found.candidates.into_iter();
    Stretch {
        candidates: candidates
            .map(|(tid, candidate)| (format!("{name} {tid}"), candidate))
            .collect(),
        rows: found.rows,
        ..stretch
    }
}

/// The invoices `i` of a stretch: those that were written, and those that are paid with
/// no payment, for a payment that was deleted is nowhere to be seen.
fn invoices_in_file(mapping: &Mapping, in_file: &str, basis: Option<u64>) -> String {
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    let worth_a_look = basis.map_or_else(String::new, |basis| {
        format!(
            "and ({written} or i.{status}::text = {paid}
                  and not exists (select from {payments_table} p where p.{invoice} = i.{id}))",
            written = is_written_since("i", basis),
            status = invoices.status.quoted,
            paid = pgrx::spi::quote_literal(&mapping.invoice_words.paid),
            payments_table = payments.table,
            invoice = payments.invoice.quoted,
            id = invoices.id.quoted,
        )
    });
    format!("where {in_file} {worth_a_look}")
}

/// The invoices `i` of the payments `p` of a stretch that were written, each with the
/// place of the first of them.
fn payments_in_file(mapping: &Mapping, in_file: &str, basis: Option<u64>) -> String {
    let written = basis.map_or_else(|| "true".to_owned(), |basis| is_written_since("p", basis));
    format!(
        "join (
            select p.{invoice} as key, min(p.ctid) as place
            from {table} p
            where {in_file} and {written}
            group by 1
        ) w on w.key = i.{id}",
        invoice = mapping.payments.invoice.quoted,
        table = mapping.payments.table,
        id = mapping.invoices.id.quoted,
    )
}

/// Exact for as long as `age` is, for two thousand million transactions: `basis` must
/// be no older. What is older may be taken for written, and never the other way round.
fn is_written_since(alias: &str, basis: u64) -> String {
    format!("age({alias}.xmin) <= age('{basis}'::xid8::xid)")
}

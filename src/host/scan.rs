//! Scans all invoices, one range at a time, for candidates.
//!
//! Plain tables are scanned in physical order, first the invoices, then the payments, block after block. This is
//! many times cheaper than a scan in the order of a random primary key. Rows that no transaction has written since
//! the last round are skipped. Other tables (partitioned, or distributed over several machines) are read
//! completely, in primary key order.

pub(super) mod range;

use serde::Deserialize;

use crate::host::candidates::{CandidateRow, scan_range};
use crate::host::mapping::Mapping;
use crate::host::scan::range::{BlockRange, Range, ScannedTable, block_and_row};
use crate::pg::sql;

/// The result of scanning one range.
#[derive(Debug, Default)]
pub(crate) struct ScannedRange {
    /// The candidates in scan order, each with the position right after it.
    pub(crate) candidates: Vec<CandidateRow>,
    /// The number of rows scanned.
    pub(crate) rows: usize,
    /// The position at which the next range begins; `None` at the end of the scan.
    pub(crate) next: Option<String>,
    /// The ids of payments in the range that other invoices may have booked, too.
    pub(crate) booked: Vec<String>,
}

/// How the tables are scanned.
#[derive(Debug)]
pub(crate) enum ScanMethod {
    ByKey,
    ByBlocks { invoices: File, payments: File },
}

/// A table's file, as far as the catalogs describe it.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct File {
    is_plain: bool,
    /// The current length.
    blocks: u64,
    /// The average number of rows in a block.
    density: f64,
}

/// With Citus, a table may be empty locally while its rows are on other machines.
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

impl ScanMethod {
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

    /// Scans about `rows` rows from `place` on. Skips rows that no transaction from `basis` on has written. The
    /// invoices in `in_question`, a JSON array of ids, are unsettled whatever their rows say.
    pub(crate) fn next_range(
        &self,
        mapping: &Mapping,
        place: Option<&str>,
        rows: usize,
        basis: Option<u64>,
        in_question: &str,
    ) -> ScannedRange {
        match self {
            Self::ByKey => by_key(mapping, place, rows, in_question),
            Self::ByBlocks { invoices, payments } => {
                let place = place.and_then(Place::parse).unwrap_or(Place::BEGINNING);
                let file = match place.table {
                    ScannedTable::Invoices => invoices,
                    ScannedTable::Payments => payments,
                };
                by_blocks(mapping, &place, *file, rows, basis, in_question)
            }
        }
    }
}

fn by_key(mapping: &Mapping, after: Option<&str>, rows: usize, in_question: &str) -> ScannedRange {
    let found = scan_range(mapping, &Range::Keys { after, rows }, in_question);
    let is_over = found.rows < rows;
    ScannedRange {
        rows: found.rows,
        next: found.last.filter(|_| !is_over),
        candidates: found.candidates,
        booked: found.booked,
    }
}

/// A position in one of the files. Everything before it has been scanned.
#[derive(Debug)]
struct Place {
    table: ScannedTable,
    block: u64,
    /// The row of the block that was scanned last; 0 if none was.
    row: u64,
}

impl Place {
    const BEGINNING: Self = Self::at(ScannedTable::Invoices, 0);

    const fn at(table: ScannedTable, block: u64) -> Self {
        Self {
            table,
            block,
            row: 0,
        }
    }

    /// Parses text such as `invoices (480,12)`.
    fn parse(text: &str) -> Option<Self> {
        let (table, tid) = text.split_once(' ')?;
        let (block, row) = block_and_row(tid)?;
        Some(Self {
            table: match table {
                "invoices" => ScannedTable::Invoices,
                "payments" => ScannedTable::Payments,
                _ => return None,
            },
            block,
            row,
        })
    }

    /// Returns the text that [`parse`](Self::parse) accepts.
    fn text(&self) -> String {
        format!("{} ({},{})", self.table.name(), self.block, self.row)
    }
}

fn by_blocks(
    mapping: &Mapping,
    place: &Place,
    file: File,
    rows: usize,
    basis: Option<u64>,
    in_question: &str,
) -> ScannedRange {
    let blocks = (rows as f64 / file.density).ceil().max(1.0) as u64;
    let end = (place.block + blocks).min(file.blocks);
    let is_over = end >= file.blocks;
    let next = match (place.table, is_over) {
        (table, false) => Some(Place::at(table, end)),
        // Without a basis, all invoices were scanned with all their payments, so the payments need no scan.
        (ScannedTable::Invoices, true) => basis.map(|_| Place::at(ScannedTable::Payments, 0)),
        (ScannedTable::Payments, true) => None,
    };
    let range = ScannedRange {
        next: next.map(|next| next.text()),
        ..ScannedRange::default()
    };
    if place.block >= file.blocks {
        return range;
    }
    let blocks = BlockRange {
        of: place.table,
        after: (place.block, place.row),
        end,
    };
    let mut found = scan_range(mapping, &Range::Blocks { blocks, basis }, in_question);
    for candidate in &mut found.candidates {
        candidate.place = format!("{} {}", place.table.name(), candidate.place);
    }
    ScannedRange {
        candidates: found.candidates,
        rows: found.rows,
        booked: found.booked,
        ..range
    }
}

//! Ends the issues about status words whose meaning was not known.

use crate::apply::report::Report;
use crate::domain::invoice::InvoiceStatus;
use crate::domain::issue::IssueKind;
use crate::host::mapping::Mapping;
use crate::host::words::is_in_use;
use crate::ledger::payment_issues::{resolve_without_invoice, unknown_words};

/// Resolves the issues about words that have a meaning now, and about those that no invoice has any more. The latter
/// is looked up only for words that no run found within a day, because it may read the whole table.
pub(crate) fn resolve_known(mapping: &Mapping, report: &Report) {
    let Some(run) = report.run() else {
        return;
    };
    let over: Vec<String> = unknown_words()
        .into_iter()
        .filter(|open| {
            mapping.invoice_words.class(&open.word) != InvoiceStatus::Unknown
                || open.is_old && !is_in_use(mapping, &open.word)
        })
        .map(|open| open.word)
        .collect();
    resolve_without_invoice(run, IssueKind::UnknownStatus, &over);
}

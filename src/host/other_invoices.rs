//! Finds payments by their ids in the books of any invoice.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::account::unqualified;
use crate::domain::identity::PaymentIds;
use crate::domain::money::Currency;
use crate::domain::payment::PaymentStatus;
use crate::domain::rules::{OtherInvoices, OtherPart};
use crate::domain::shared_payment::{BookedRow, Terms};
use crate::host::account::accounts;
use crate::host::amounts::number_text;
use crate::host::find::{labels, uncounted};
use crate::host::indexes::looked_up;
use crate::host::mapping::{Mapped, Mapping};
use crate::host::owner::reading_as;
use crate::host::read::{text_of, word_of};
use crate::pg::sql;

/// Payments that other invoices are searched for, because one invoice is about to book them, or has a part of them.
#[derive(Clone, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) invoice: &'a str,
    /// The currency of the payments.
    pub(crate) currency: Currency,
    pub(crate) payments: &'a [PaymentIds],
}

/// Returns for each claim the other invoices that have booked its payments, and rows of any invoice that have booked
/// them and do not count.
pub(crate) fn other_invoices(mapping: &Mapping, claims: &[Claim]) -> Vec<OtherInvoices> {
    let ids = claims
        .iter()
        .flat_map(|claim| claim.payments)
        .flat_map(PaymentIds::each);
    let booked = booked(mapping, ids);
    let of_claim = |claim: &Claim| {
        let mut found = OtherInvoices::default();
        let others = booked.iter();
        let others = others.filter(|b| b.invoice != claim.invoice || !b.row_counts);
        // What is expected by a row that does not count is not expected any more.
        let is_expected = |b: &&BookedRow| b.row_counts || b.status != PaymentStatus::Pending;
        let others = others.filter(is_expected);
        for theirs in others.filter(|b| !b.is_reversal() && b.status != PaymentStatus::Failed) {
            let same = claim.payments.iter();
            let same = same.filter(|ids| ids.same_payment(&theirs.ids));
            for key in same.filter_map(PaymentIds::key) {
                found.note(key, part_of(theirs, mapping, claim.currency));
            }
        }
        found
    };
    claims.iter().map(of_claim).collect()
}

fn part_of(row: &BookedRow, mapping: &Mapping, currency: Currency) -> OtherPart {
    let terms = Terms {
        unit: mapping.payments.unit,
        currency,
    };
    let was_received = row.status.was_received();
    let counts = was_received || row.status == PaymentStatus::Pending;
    OtherPart {
        invoice: row.label.clone(),
        id: row.invoice.clone(),
        uncounted_row: (!row.row_counts).then(|| row.row.clone()),
        was_received,
        whole: if counts {
            row.whole(&terms, currency)
        } else {
            0
        },
    }
}

/// Returns the rows with one of these ids, each once, whose invoices exist, whether or not they count.
pub(crate) fn booked<'a>(mapping: &Mapping, ids: impl Iterator<Item = &'a str>) -> Vec<BookedRow> {
    let ids: BTreeSet<&str> = ids.collect();
    let mut remembered = BTreeMap::new();
    let stored: BTreeSet<&str> = ids.iter().map(|id| unqualified(id)).collect();
    let mut statement = statement(mapping, sql::is_one_of(stored.len()));
    let mut wanted: Vec<&str> = stored.into_iter().collect();
    if statement.is_none() && !ids.is_empty() {
        remembered = remembered_rows(&ids);
        let keys: BTreeSet<&str> = remembered.keys().map(|(_, row)| row.as_str()).collect();
        wanted = keys.into_iter().collect();
        let key = &mapping.payments.id;
        let condition = format!(
            "p.{} = any (array(select {} from unnest($1) w (id)))",
            key.quoted,
            key.key_or_null("w.id")
        );
        statement = (!wanted.is_empty()).then(|| rows_where(mapping, &condition));
    }
    let Some(statement) = statement.filter(|_| !ids.is_empty()) else {
        return Vec::new();
    };
    let rows: Vec<[Option<String>; 8]> = reading_as(&mapping.payments.relation, || {
        let count = looked_up(mapping, ids.len());
        sql::look_up_texts(count, &statement, &[wanted])
    });
    let invoices: BTreeSet<String> = rows.iter().filter_map(|row| row[1].clone()).collect();
    let labels = labels(mapping, &invoices);
    let invoices: BTreeSet<&str> = invoices.iter().map(String::as_str).collect();
    let uncounted = uncounted(mapping, &invoices);
    let accounts = accounts(mapping, &invoices);
    let rows = rows.into_iter().filter_map(|raw| {
        let [
            row,
            invoice,
            status,
            session,
            intent,
            amount,
            gratuity,
            counts,
        ] = raw;
        let invoice = invoice?;
        let status = match (&mapping.payments.status, status) {
            (Some(_), word) => mapping.payment_words.class(&word.unwrap_or_default()),
            (None, _) => PaymentStatus::Paid,
        };
        let row = row?;
        let place = (invoice.clone(), row.clone());
        let known = remembered.get(&place).cloned();
        // The key may have been that of another invoice's row.
        if known.is_none() && !remembered.is_empty() {
            return None;
        }
        let account = accounts.get(&invoice).map(String::as_str);
        let row_ids = known.unwrap_or_else(|| PaymentIds::of_row(account, [session, intent]));
        // A row of another account's invoice may contain the same id; it is another payment.
        if !row_ids.each().any(|id| ids.contains(id)) {
            return None;
        }
        let row = BookedRow {
            row,
            row_counts: counts.as_deref() == Some("true"),
            invoice_counts: !uncounted.contains(&invoice),
            label: labels.get(&invoice)?.clone(),
            invoice,
            status,
            ids: row_ids,
            amount,
            gratuity,
        };
        Some((row.row.clone(), row))
    });
    let rows: BTreeMap<String, BookedRow> = rows.collect();
    rows.into_values().collect()
}

/// Returns the ids that the ledger has of rows whose table has no column for them, of payments with one of these ids, by
/// invoice and key.
fn remembered_rows(ids: &BTreeSet<&str>) -> BTreeMap<(String, String), PaymentIds> {
    let rows = sql::look_up_texts::<5>(
        ids.len(),
        "select m.invoice_id, m.row_id, m.session_id, m.intent_id, m.charge_id
        from invoice_sync.payment_ids m
        where m.session_id = any ($1) or m.intent_id = any ($1) or m.charge_id = any ($1)",
        &[ids.iter().copied().collect::<Vec<_>>()],
    );
    let rows = rows
        .into_iter()
        .filter_map(|[invoice, row, session, intent, charge]| {
            let ids = PaymentIds::from_columns([
                session.as_deref(),
                intent.as_deref(),
                charge.as_deref(),
            ]);
            Some(((invoice?, row?), ids))
        });
    rows.collect()
}

/// Returns one statement with a separate scan for each column, so that each column's index can be used.
fn statement(mapping: &Mapping, is_wanted: &str) -> Option<String> {
    let columns = [&mapping.payments.session, &mapping.payments.intent];
    let by_column =
        |column: &Mapped| rows_where(mapping, &format!("p.{} {is_wanted}", column.quoted));
    let parts: Vec<String> = columns.into_iter().flatten().map(by_column).collect();
    (!parts.is_empty()).then(|| parts.join(" union all "))
}

/// Returns the query for the rows that meet the condition.
fn rows_where(mapping: &Mapping, condition: &str) -> String {
    let payments = &mapping.payments;
    format!(
        "select p.{id}::text, p.{of}::text, {status}, {session}, {intent}, {amount}, {gratuity},
            ({counts})::text
        from {table} p
        where {condition}",
        id = payments.id.quoted,
        of = payments.invoice.quoted,
        status = word_of("p", payments.status.as_ref()),
        session = text_of("p", payments.session.as_ref()),
        intent = text_of("p", payments.intent.as_ref()),
        amount = number_text("p", Some(&payments.amount)),
        gratuity = number_text("p", payments.gratuity.as_ref()),
        counts = payments.counting.counts("p"),
        table = payments.table,
    )
}

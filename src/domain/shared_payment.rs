//! Finds Stripe payments that several invoices have booked and of which they count more than was received.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::identity::{PaymentIds, Ties};
use super::issue::{Issue, IssueKind, Severity};
use super::money::{AmountUnit, Currency, Money};
use super::payment::PaymentStatus;

/// A payment row of any invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BookedRow {
    /// The row's primary key, as text.
    pub(crate) row: String,
    /// Whether the row counts by the settings; one that the application has deleted may not.
    pub(crate) row_counts: bool,
    /// The invoice's primary key, as text.
    pub(crate) invoice: String,
    /// Whether the invoice counts by the settings.
    pub(crate) invoice_counts: bool,
    /// The number that people know the invoice by.
    pub(crate) label: String,
    pub(crate) status: PaymentStatus,
    pub(crate) ids: PaymentIds,
    /// The amounts as stored in the columns.
    pub(crate) amount: Option<String>,
    pub(crate) gratuity: Option<String>,
}

impl BookedRow {
    /// Returns whether the row has a negative amount, by which an application books a refund.
    pub(crate) fn is_reversal(&self) -> bool {
        let amount = self.amount.as_deref().unwrap_or_default();
        amount.trim_start().starts_with('-')
    }

    fn says_received(&self) -> bool {
        let counts = self.row_counts && self.invoice_counts;
        counts && self.status.was_received() && !self.is_reversal()
    }

    /// Returns the amount including the gratuity, which is part of what Stripe received, in Stripe's smallest unit.
    /// A value that cannot be read counts as 0; it is an issue of the row's own invoice.
    pub(crate) fn whole(&self, terms: &Terms, currency: Currency) -> i64 {
        let texts = [&self.amount, &self.gratuity].into_iter().flatten();
        texts
            .filter_map(|text| Money::from_units(text, terms.unit, currency).ok())
            .fold(0, |sum, money| sum.saturating_add(money.minor))
    }
}

/// What is stored about a payment that Stripe received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownPayment {
    pub(crate) ids: PaymentIds,
    pub(crate) received: Money,
}

/// How to read the rows' amounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) unit: AmountUnit,
    /// The currency if nothing is known about the payment.
    pub(crate) currency: Currency,
}

/// A payment of which the rows count more than Stripe received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Overbooked {
    pub(crate) ids: PaymentIds,
    pub(crate) issue: Issue,
}

/// Returns the payments of which the rows of several invoices together count more than Stripe received. Invoices
/// may share a payment: if the amount received is not known, only rows with the same amount count as the same
/// money.
pub(crate) fn overbooked(
    rows: &[BookedRow],
    known: &[KnownPayment],
    terms: &Terms,
) -> Vec<Overbooked> {
    let payments = payments(rows, known);
    let overbooked = payments.iter();
    overbooked
        .filter_map(|payment| payment.overbooked(known, terms))
        .collect()
}

/// The rows of one payment.
struct Payment<'a> {
    ids: PaymentIds,
    rows: Vec<&'a BookedRow>,
}

/// Groups rows by payment; the result does not depend on their order. Ids that a row lacks are taken from `known`.
fn payments<'a>(rows: &'a [BookedRow], known: &[KnownPayment]) -> Vec<Payment<'a>> {
    let ties = Ties::new(known.iter().map(|known| &known.ids));
    let mut completed: Vec<(PaymentIds, &BookedRow)> = rows
        .iter()
        .filter(|row| row.says_received() && !row.ids.is_empty())
        .map(|row| (ties.complete(&row.ids), row))
        .collect();
    completed.sort_by(|(a, one), (b, other)| {
        (a.grouping_order(), &one.row).cmp(&(b.grouping_order(), &other.row))
    });
    let mut payments: Vec<Payment> = Vec::new();
    for (ids, row) in completed {
        match payments.iter_mut().find(|it| it.ids.same_payment(&ids)) {
            Some(payment) => {
                payment.ids.complete_from(&ids);
                payment.rows.push(row);
            }
            None => payments.push(Payment {
                ids,
                rows: vec![row],
            }),
        }
    }
    payments
}

impl Payment<'_> {
    fn overbooked(&self, known: &[KnownPayment], terms: &Terms) -> Option<Overbooked> {
        let received = known.iter().find(|it| it.ids.same_payment(&self.ids));
        let received = received.map(|known| known.received);
        let currency = received.map_or(terms.currency, |money| money.currency);
        let mut by_invoice: BTreeMap<(&str, &str), Vec<i64>> = BTreeMap::new();
        for row in &self.rows {
            let rows = by_invoice.entry((&row.label, &row.invoice)).or_default();
            rows.push(row.whole(terms, currency));
        }
        let received_minor = received.map(|money| money.minor);
        let by_invoice: BTreeMap<(&str, &str), i64> = by_invoice
            .into_iter()
            .map(|(invoice, rows)| (invoice, counted_once(&rows, received_minor)))
            .collect();
        if by_invoice.len() < 2 {
            return None;
        }
        let sum: i128 = by_invoice.values().copied().map(i128::from).sum();
        let is_too_much = match received {
            Some(received) => sum > i128::from(received.minor),
            None => {
                let mut amounts: Vec<&i64> = by_invoice.values().collect();
                amounts.sort();
                amounts.windows(2).any(|pair| pair[0] == pair[1])
            }
        };
        is_too_much.then(|| self.describe(&by_invoice, received, currency))
    }

    fn describe(
        &self,
        by_invoice: &BTreeMap<(&str, &str), i64>,
        received: Option<Money>,
        currency: Currency,
    ) -> Overbooked {
        let parts = by_invoice.iter();
        let parts = parts.map(|((label, invoice), counted)| {
            (*label, *invoice, Money::new(*counted, currency).to_string())
        });
        let described: Vec<String> = parts
            .clone()
            .map(|(label, _, amount)| format!("invoice {label} ({amount})"))
            .collect();
        let invoices: Value = parts
            .map(|(label, invoice, amount)| json!({ "invoice": label, "invoice_id": invoice, "amount": amount }))
            .collect();
        let key = self.ids.key().unwrap_or_default();
        let came = received.map_or_else(String::new, |money| format!(" of {money}"));
        let issue = Issue::new(
            IssueKind::DuplicatePayment,
            Severity::Warning,
            format!(
                "The Stripe payment {key}{came} is recorded for several invoices: {}. Together they count more than was received. Correct the payments of these invoices.",
                described.join(", ")
            ),
        )
        .about(Some(key))
        .with_evidence(json!({
            "stripe_payment": key,
            "invoices": invoices,
            "stripe_says": received.map(|money| format!("received {money}")),
        }));
        Overbooked {
            ids: self.ids.clone(),
            issue,
        }
    }
}

/// Returns what the rows of one invoice count. They count once, because several are an issue of that invoice, unless they
/// divide the whole payment among them.
fn counted_once(rows: &[i64], received: Option<i64>) -> i64 {
    let sum = rows.iter().copied().fold(0, i64::saturating_add);
    if received == Some(sum) {
        return sum;
    }
    rows.iter().copied().max().unwrap_or_default()
}

#[cfg(test)]
#[path = "tests/shared_payment.rs"]
mod tests;

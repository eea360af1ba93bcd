//! Payments that are in the books of other invoices.

use serde_json::{Value, json};

use super::mapping::{Mapped, Mapping};
use super::read::text_of;
use crate::domain::identity::PaymentIds;
use crate::domain::rules::Elsewhere;
use crate::pg::sql;

/// Payments that would be booked for one invoice.
#[derive(Clone, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) invoice: &'a str,
    pub(crate) payments: &'a [PaymentIds],
}

/// In whose books, other than those of the invoice that claims them, these
/// payments are: for each claim, by the id that stands for a payment, what
/// people call the invoice.
pub(crate) fn elsewhere(mapping: &Mapping, claims: &[Claim]) -> Vec<Elsewhere> {
    let ids: Vec<&String> = claims
        .iter()
        .flat_map(|claim| claim.payments)
        .flat_map(|ids| [&ids.session, &ids.intent, &ids.charge])
        .flatten()
        .collect();
    let ids = json!(ids).to_string();
    let columns = [&mapping.payments.session, &mapping.payments.intent];
    let booked: Vec<Booked> = columns
        .into_iter()
        .flatten()
        .flat_map(|column| sql::fetch(&elsewhere_statement(mapping, column), &[Some(&ids)]))
        .map(|row| Booked::from_row(&row))
        .collect();
    let of_claim = |claim: &Claim| {
        let mut found = Elsewhere::default();
        for theirs in booked.iter().filter(|b| b.invoice != claim.invoice) {
            let same = claim.payments.iter();
            let same = same.filter(|ids| ids.same_payment(&theirs.ids));
            for key in same.filter_map(PaymentIds::key) {
                found.0.insert(key.to_owned(), theirs.label.clone());
            }
        }
        found
    };
    claims.iter().map(of_claim).collect()
}

/// A payment in the books.
struct Booked {
    ids: PaymentIds,
    invoice: String,
    /// What people call the invoice.
    label: String,
}

impl Booked {
    fn from_row(row: &Value) -> Self {
        let text = |field: &str| row.get(field).and_then(Value::as_str);
        Self {
            ids: PaymentIds::from_columns([text("session"), text("intent")]),
            invoice: text("invoice").unwrap_or_default().to_owned(),
            label: text("label").unwrap_or_default().to_owned(),
        }
    }
}

fn elsewhere_statement(mapping: &Mapping, column: &Mapped) -> String {
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    format!(
        "select jsonb_build_object('session', {session}, 'intent', {intent}, 'invoice', i.{key}::text,
                                   'label', coalesce({number}, i.{key}::text))
        from {payments_table} p
        join {invoices_table} i on i.{key} = p.{of}
        where p.{column} in (select jsonb_array_elements_text($1::jsonb))",
        session = text_of("p", payments.session.as_ref()),
        intent = text_of("p", payments.intent.as_ref()),
        number = text_of("i", invoices.number.as_ref()),
        column = column.quoted,
        payments_table = payments.table,
        invoices_table = invoices.table,
        key = invoices.id.quoted,
        of = payments.invoice.quoted,
    )
}

//! Finds payments that are booked for other invoices.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::identity::PaymentIds;
use crate::domain::rules::OtherInvoices;
use crate::host::mapping::{Mapped, Mapping};
use crate::host::owner::reading_as;
use crate::host::read::text_of;
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
pub(crate) fn other_invoices(mapping: &Mapping, claims: &[Claim]) -> Vec<OtherInvoices> {
    let ids: Vec<&str> = claims
        .iter()
        .flat_map(|claim| claim.payments)
        .flat_map(PaymentIds::each)
        .collect();
    let ids = json!(ids).to_string();
    let columns = [&mapping.payments.session, &mapping.payments.intent];
    let mut booked: Vec<Booked> = columns
        .into_iter()
        .flatten()
        .flat_map(|column| {
            let statement = other_invoices_statement(mapping, column);
            reading_as(&mapping.payments.relation, || {
                sql::fetch(&statement, &[Some(&ids)])
            })
        })
        .map(|row| Booked::from_row(&row))
        .collect();
    let labels = labels(mapping, &booked);
    booked.retain_mut(|booked| match labels.get(&booked.invoice) {
        Some(label) => {
            booked.label.clone_from(label);
            true
        }
        None => false,
    });
    let of_claim = |claim: &Claim| {
        let mut found = OtherInvoices::default();
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
            label: String::new(),
        }
    }
}

/// What people call these invoices, those that are there.
fn labels(mapping: &Mapping, booked: &[Booked]) -> BTreeMap<String, String> {
    if booked.is_empty() {
        return BTreeMap::new();
    }
    let invoices = &mapping.invoices;
    let statement = format!(
        "select jsonb_build_array(i.{key}::text, coalesce({number}, i.{key}::text))
        from {table} i
        where i.{key} = any (array(
            select w.id::{key_type} from jsonb_array_elements_text($1::jsonb) w (id)))",
        key = invoices.id.quoted,
        key_type = invoices.id.type_name,
        number = text_of("i", invoices.number.as_ref()),
        table = invoices.table,
    );
    let ids: Vec<&String> = booked.iter().map(|booked| &booked.invoice).collect();
    let found = reading_as(&invoices.relation, || {
        sql::fetch(&statement, &[Some(&json!(ids).to_string())])
    });
    found
        .into_iter()
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect()
}

fn other_invoices_statement(mapping: &Mapping, column: &Mapped) -> String {
    let payments = &mapping.payments;
    format!(
        "select jsonb_build_object('session', {session}, 'intent', {intent}, 'invoice', p.{of}::text)
        from {payments_table} p
        where p.{column} in (select jsonb_array_elements_text($1::jsonb)) and p.{of} is not null",
        session = text_of("p", payments.session.as_ref()),
        intent = text_of("p", payments.intent.as_ref()),
        column = column.quoted,
        payments_table = payments.table,
        of = payments.invoice.quoted,
    )
}

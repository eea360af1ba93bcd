//! What the rows of both tables say together: which status invoices have whose payment was received, and in which unit.

use serde::Deserialize;

use crate::host::catalog::Table;
use crate::host::own_payments::is_own;
use crate::host::owner::reading_as;
use crate::pg::sql;

/// The columns that are compared, by their names.
pub(super) struct Compared<'a> {
    pub(super) invoices: &'a Table,
    pub(super) payments: &'a Table,
    /// Of an invoice: key, status, total.
    pub(super) of_invoice: [&'a str; 3],
    /// Of a payment: invoice, amount.
    pub(super) of_payment: [&'a str; 2],
    /// The column of the payments' status, and the word for paid.
    pub(super) paid: Option<(&'a str, &'a str)>,
}

/// Invoices of one status that have payments.
#[derive(Deserialize)]
struct Paid {
    status: Option<String>,
    /// How many of them have payments that come to their total.
    equal: u64,
    /// How many of them have payments that come to a hundred times their total.
    hundredfold: u64,
}

/// Invoices with payments, by status.
#[derive(Default)]
pub(super) struct History(Vec<Paid>);

/// The most invoices that are read.
const SAMPLED: u32 = 5_000;

impl History {
    /// Reads the rows, if one role owns both tables, and both are the application's.
    pub(super) fn read(compared: &Compared) -> Self {
        let Compared {
            invoices, payments, ..
        } = compared;
        if invoices.owner != payments.owner || is_own(&payments.relation()) {
            return Self::default();
        }
        let quoted = |table: &Table, name: &str| Some(table.columns.get(name)?.quoted.clone());
        let of_invoice = compared.of_invoice.map(|name| quoted(invoices, name));
        let of_payment = compared.of_payment.map(|name| quoted(payments, name));
        let ([Some(key), Some(status), Some(total)], [Some(invoice), Some(amount)]) =
            (of_invoice, of_payment)
        else {
            return Self::default();
        };
        let was_received = match compared.paid {
            Some((column, word)) => {
                let column = pgrx::spi::quote_identifier(column);
                format!("p.{column}::text = {}", pgrx::spi::quote_literal(word))
            }
            None => "true".to_owned(),
        };
        let statement = format!(
            "select jsonb_build_object(
                'status', s.status, 'equal', count(*) filter (where s.paid = s.total),
                'hundredfold', count(*) filter (where s.paid = s.total * 100))
            from (
                select i.{status}::text as status, i.{total}::numeric as total, (
                    select sum(p.{amount}::numeric) from {payments} p where p.{invoice} = i.{key} and {was_received}
                ) as paid
                from (select * from {invoices} limit {SAMPLED}) i
            ) s
            where s.paid > 0
            group by s.status",
            payments = payments.name,
            invoices = invoices.name,
        );
        let rows = payments
            .relation()
            .in_use(|| reading_as(&invoices.relation(), || sql::fetch(&statement, &[])));
        let rows = rows.into_iter();
        Self(
            rows.filter_map(|row| serde_json::from_value(row).ok())
                .collect(),
        )
    }

    /// Returns the statuses of invoices with payments that come to their total.
    pub(super) fn paid_statuses(&self) -> impl Iterator<Item = &str> {
        let paid = self.0.iter().filter(|it| it.equal + it.hundredfold > 0);
        paid.filter_map(|it| it.status.as_deref())
    }

    /// Returns whether payments are in hundredths of the unit of the invoices.
    pub(super) fn is_hundredfold(&self) -> bool {
        self.0.iter().any(|it| it.hundredfold > 0) && self.0.iter().all(|it| it.equal == 0)
    }
}

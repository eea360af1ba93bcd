//! How the invoice and its payment rows are understood.

use serde_json::Value;

use super::Line;
use super::sources::Sources;
use crate::domain::identity::{PaymentIds, StripeId};
use crate::domain::invoice::{Field, InvoiceStatus};
use crate::domain::money::Money;
use crate::domain::payment::{PaymentRow, PaymentStatus};
use crate::domain::rules::Meaning;
use crate::host::mapping::Mapped;
use crate::host::read::{Reading, uncounted_payments};
use crate::host::row::{Columns, Row};
use crate::host::status::Status;
use crate::ledger::{payment_ids, stripe_accounts};

const INVOICE: &str = "invoice";

const REMEMBERED: &str = "payments have no column for Stripe ids; the extension remembers (invoice_sync.payment_ids) that the row";

/// A row whose values are explained.
struct Source<'a> {
    sources: &'a Sources<'a>,
    part: String,
    table: &'a str,
    columns: Columns<'a>,
}

impl<'a> Source<'a> {
    fn of_invoice(sources: &'a Sources<'a>, row: &'a Row) -> Self {
        Self {
            sources,
            part: INVOICE.to_owned(),
            table: &sources.mapping.invoices.table,
            columns: row.columns(),
        }
    }

    fn of_payment(sources: &'a Sources<'a>, id: &str, row: &'a Row) -> Self {
        Self {
            sources,
            part: payment_row(id),
            table: &sources.mapping.payments.table,
            columns: row.columns(),
        }
    }

    fn line(&self, what: &str, value: Option<String>, why: String) -> Line {
        Line::new(&self.part, what, value, why)
    }

    fn column(&self, column: Option<&Mapped>, setting: &str) -> String {
        self.sources.column(self.table, column, setting)
    }

    /// Returns the stored value as text; `None` if it is null.
    fn stored(&self, column: &Mapped) -> Option<String> {
        match self.columns.get(&column.name)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    fn amount(&self, what: &str, amount: &Field<Money>, column: Option<&Mapped>, by: &str) -> Line {
        let stored = column.and_then(|column| self.stored(column));
        let holds = match stored {
            Some(stored) => format!("; it contains {stored}"),
            None if column.is_some() => "; it is null".to_owned(),
            None => String::new(),
        };
        let value = match amount {
            Field::Value(money) => Some(money.to_string()),
            Field::Unreadable(why) => Some(format!("cannot be read: {why}")),
            Field::Null | Field::Unmapped => None,
        };
        self.line(what, value, format!("{}{holds}", self.column(column, by)))
    }

    /// Returns a line for the id that a column contains; `None` if it contains none.
    fn id(&self, what: &str, column: Option<&Mapped>, by: &str) -> Option<Line> {
        let stored = self.stored(column?)?;
        let by = self.column(column, by);
        let why = match StripeId::parse(&stored) {
            Some(_) => by,
            None => format!(
                "{by}; it is not the id of a Stripe payment, so Stripe is not asked about it"
            ),
        };
        Some(self.line(what, Some(stored), why))
    }

    /// Says what the status means, and what says so.
    fn status<S>(
        &self,
        word: &str,
        meaning: &Meaning<S>,
        (status, setting): (&Status, &str),
        effect: &str,
    ) -> Line {
        let by = match meaning.setting {
            Some(setting) => format!("{} contains the word", self.sources.setting(setting)),
            None if meaning.name == "unknown" => {
                "no setting contains the word, and it is not a usual one".to_owned()
            }
            None => "no setting contains the word, and this is its usual meaning".to_owned(),
        };
        let column = self.column(Some(&status.column), setting);
        let stored = self.stored(&status.column);
        // A number with a word, a time, or a second column that says something else.
        let holds = match &stored {
            Some(stored) if stored == word => String::new(),
            Some(stored) => format!("; it contains {stored}"),
            None => "; it is null".to_owned(),
        };
        let value = format!("{word}: {}", meaning.name);
        self.line(
            "status",
            Some(value),
            format!("{column}{holds}; {by}; {effect}"),
        )
    }
}

/// Says which Stripe account the invoice belongs to, if a column says it.
fn account(row: &Source, reading: &Reading, column: Option<&Mapped>) -> Option<Line> {
    let by = row.column(Some(column?), "invoice_account_column");
    let account = reading.invoice.account.as_deref();
    let why = match account {
        Some(account) if stripe_accounts::named([account]).is_empty() => {
            format!("{by}; it has no row in invoice_sync.stripe_account, so it is not asked")
        }
        Some(_) => format!("{by}; only payments of this account are booked"),
        None => format!("{by}; it is the account of the key"),
    };
    Some(row.line("account", account.map(str::to_owned), why))
}

/// Explains the invoice's own row.
pub(super) fn invoice(sources: &Sources, reading: &Reading) -> Vec<Line> {
    let row = Source::of_invoice(sources, &reading.invoice_row);
    let (invoice, mapping) = (&reading.invoice, sources.mapping);
    let columns = &mapping.invoices;
    let number = columns.number.as_ref();
    let meaning = mapping.invoice_words.meaning(&invoice.status_word);
    let mut lines = vec![
        row.line(
            "id",
            Some(invoice.id.clone()),
            row.column(Some(&columns.id), "invoice_id_column"),
        ),
        row.line(
            "number",
            invoice.number.clone(),
            row.column(number, "invoice_number_column"),
        ),
    ];
    lines.extend(account(&row, reading, columns.account.as_ref()));
    lines.extend([
        row.status(
            &invoice.status_word,
            &meaning,
            (&columns.status, "invoice_status_column"),
            effect_on_invoice(meaning.status),
        ),
        row.amount(
            "total",
            &invoice.total,
            Some(&columns.total),
            "invoice_total_column",
        ),
        row.amount(
            "paid",
            &invoice.amount_paid,
            columns.amount_paid.as_ref(),
            "invoice_amount_paid_column",
        ),
        row.amount(
            "owed",
            &invoice.balance,
            columns.balance.as_ref(),
            "invoice_balance_column",
        ),
        currency(&row, reading),
        row.line(
            "unit",
            sources.value("amount_unit").as_str().map(str::to_owned),
            sources.setting("amount_unit"),
        ),
    ]);
    lines.extend(columns.status.closed_column().map(|closed| {
        let by = row.column(Some(closed), "invoice_closed_column");
        let why = format!(
            "{by}; the invoice is closed if it says so, whatever its status column contains"
        );
        row.line("closed", row.stored(closed), why)
    }));
    let (session, intent) = (columns.session.as_ref(), columns.intent.as_ref());
    lines.extend(row.id("checkout session", session, "invoice_session_column"));
    lines.extend(row.id("payment intent", intent, "invoice_intent_column"));
    if mapping.payments.are_own() {
        lines.push(row.line(
            "payments",
            Some(format!("{} in {}", reading.payments.len(), mapping.payments.table)),
            format!(
                "{}; that is this extension's own table, because the application has none: only payments that Stripe received are recorded in it",
                sources.setting("payments_table")
            ),
        ));
    }
    lines
}

fn currency(row: &Source, reading: &Reading) -> Line {
    let column = row.sources.mapping.invoices.currency.as_ref();
    let by = row.column(column, "invoice_currency_column");
    let stored = column.and_then(|column| row.stored(column));
    let is_stored = stored.is_some_and(|text| !text.trim().is_empty());
    let default = row.sources.setting("default_currency");
    let why = match column {
        Some(_) if is_stored => by,
        Some(_) => format!("{default}, because the row contains none: {by}"),
        None => format!("{default}; {by}"),
    };
    let value = match &reading.invoice.currency {
        Ok(currency) => currency.to_string(),
        Err(text) => format!("\"{text}\", which is not a currency"),
    };
    row.line("currency", Some(value), why)
}

/// Explains the payment rows of the invoice, also those that do not count.
pub(super) fn payments(sources: &Sources, reading: &Reading) -> Vec<Line> {
    let rows = reading.payments.iter().zip(&reading.payment_rows);
    let mut remembered = payment_ids::of_invoice(&reading.invoice.id);
    let mut lines: Vec<Line> = rows
        .flat_map(|(payment, row)| {
            let ids = remembered.remove(&payment.id);
            payment_lines(&Source::of_payment(sources, &payment.id, row), payment, ids)
        })
        .collect();
    if sources.mapping.payments.have_no_ids() {
        lines.extend(remembered.iter().map(|(id, ids)| {
            let why = format!(
                "{REMEMBERED} was this payment; the row no longer exists, or is another invoice's"
            );
            Line::new(&payment_row(id), "Stripe ids", Some(listed(ids)), why)
        }));
    }
    let uncounted = uncounted_payments(sources.mapping, &reading.invoice.id);
    lines.extend(uncounted.iter().map(|id| {
        excluded(
            sources,
            &payment_row(id),
            "payment_condition",
            "The row is read as if it did not exist; but a payment that it has is not recorded again without a decision",
        )
    }));
    lines
}

/// Lists the ids of a payment.
fn listed(ids: &PaymentIds) -> String {
    ids.each().collect::<Vec<_>>().join(", ")
}

/// `remembered` are the ids that the extension has stored for the row.
fn payment_lines(row: &Source, payment: &PaymentRow, remembered: Option<PaymentIds>) -> Vec<Line> {
    let mapping = row.sources.mapping;
    let columns = &mapping.payments;
    let mut lines = Vec::new();
    lines.push(match &columns.status {
        Some(status) => {
            let meaning = mapping.payment_words.meaning(&payment.status_word);
            let effect = effect_of_payment(meaning.status);
            let column = (status, "payment_status_column");
            row.status(&payment.status_word, &meaning, column, effect)
        }
        None => row.line(
            "status",
            Some("paid".to_owned()),
            format!(
                "{}; every row counts as paid",
                row.column(None, "payment_status_column")
            ),
        ),
    });
    lines.push(row.amount(
        "amount",
        &payment.amount,
        Some(&columns.amount),
        "payment_amount_column",
    ));
    // Otherwise they are the invoice's.
    if let Some(unit) = row.sources.value("payment_amount_unit").as_str() {
        let by = row.sources.setting("payment_amount_unit");
        lines.push(row.line("unit", Some(unit.to_owned()), by));
    }
    lines.extend(columns.currency.as_ref().and_then(|currency| {
        let by = row.column(Some(currency), "payment_currency_column");
        Some(row.line("currency", Some(row.stored(currency)?), by))
    }));
    let further = [
        (
            "gratuity",
            &payment.gratuity,
            &columns.gratuity,
            "payment_gratuity_column",
        ),
        (
            "refunded",
            &payment.refunded,
            &columns.refunded,
            "payment_refunded_column",
        ),
    ];
    let further = further.into_iter().filter(|(_, field, ..)| {
        // Most payments have neither.
        !matches!(field, Field::Unmapped | Field::Null)
    });
    lines.extend(further.map(|(what, field, column, by)| {
        let column = column.as_ref();
        row.amount(what, field, column, by)
    }));
    let before = lines.len();
    let (session, intent) = (columns.session.as_ref(), columns.intent.as_ref());
    lines.extend(row.id("checkout session", session, "payment_session_column"));
    lines.extend(row.id("payment intent", intent, "payment_intent_column"));
    if lines.len() == before {
        let (ids, why) = match remembered.filter(|_| columns.have_no_ids()) {
            Some(ids) => (listed(&ids), format!("{REMEMBERED} is this payment")),
            None if columns.have_no_ids() => (
                "none".to_owned(),
                "payments have no column for Stripe ids, and the extension remembers none of this row, so it may be a payment that somebody else recorded"
                    .to_owned(),
            ),
            None => (
                "none".to_owned(),
                "its columns for Stripe ids are empty, so it may be a payment that somebody recorded by hand"
                    .to_owned(),
            ),
        };
        lines.push(row.line("Stripe ids", Some(ids), why));
    }
    lines
}

/// Explains an invoice that does not count.
pub(super) fn excluded_invoice(sources: &Sources, id: &str) -> Vec<Line> {
    let invoices = &sources.mapping.invoices;
    let by = sources.column(&invoices.table, Some(&invoices.id), "invoice_id_column");
    vec![
        Line::new(INVOICE, "id", Some(id.to_owned()), by),
        excluded(
            sources,
            INVOICE,
            "invoice_condition",
            "The invoice is read as if it did not exist, and nothing is booked for it; money that Stripe receives for it is reported",
        ),
    ]
}

fn excluded(sources: &Sources, part: &str, setting: &str, effect: &str) -> Line {
    let condition = sources.value(setting).as_str().unwrap_or_default();
    Line::new(
        part,
        "counts",
        Some("no".to_owned()),
        format!(
            "{}: \"{condition}\" does not hold for the row. {effect}",
            sources.setting(setting)
        ),
    )
}

fn payment_row(id: &str) -> String {
    format!("payment row {id}")
}

fn effect_on_invoice(status: InvoiceStatus) -> &'static str {
    match status {
        InvoiceStatus::Open => "it becomes paid or partly paid when money is received",
        InvoiceStatus::Partial => "it becomes paid when the total is received",
        InvoiceStatus::Paid => "it is not changed",
        InvoiceStatus::AfterPaid => "it follows paid and is never changed",
        InvoiceStatus::Closed => "such an invoice is never changed; its payments are recorded",
        InvoiceStatus::Unknown => {
            "it is never changed until one of the settings for words of invoices contains it"
        }
    }
}

fn effect_of_payment(status: PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::Paid => "the row counts",
        PaymentStatus::Pending => "the row becomes paid when Stripe has received the money",
        PaymentStatus::Failed => {
            "the row becomes paid if Stripe received the money of this payment"
        }
        PaymentStatus::Refunded => "the money was received and went back",
        PaymentStatus::PartlyRefunded => "the row counts with what was not refunded",
        PaymentStatus::Disputed => "the money was received and is disputed",
        PaymentStatus::Other => {
            "the row is never changed and does not count until one of the settings for words of payments contains it"
        }
    }
}

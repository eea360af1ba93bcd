//! An invoice as its row describes it.

use super::money::{Currency, Money};

/// The value of a column of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field<T> {
    Unmapped,
    Null,
    Value(T),
    /// The stored text, and why it is not a value, for people.
    Unreadable(String),
}

impl<T: Copy> Field<T> {
    pub(crate) fn value(&self) -> Option<T> {
        match self {
            Self::Value(value) => Some(*value),
            _ => None,
        }
    }
}

impl<T> Field<T> {
    pub(crate) fn is_mapped(&self) -> bool {
        !matches!(self, Self::Unmapped)
    }
}

/// The meaning of an invoice's status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvoiceStatus {
    /// Not paid, whatever the application's word is (Draft, Sent, Overdue …).
    Open,
    Partial,
    Paid,
    /// Cancelled, void, written off: never changed.
    Closed,
}

/// One invoice, as read from its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invoice {
    /// The primary key, as text.
    pub(crate) id: String,
    /// The invoice number that people use, if there is such a column.
    pub(crate) number: Option<String>,
    pub(crate) status: InvoiceStatus,
    /// The application's word for the status.
    pub(crate) status_word: String,
    /// The currency, or the column's text if it is not a currency.
    pub(crate) currency: Result<Currency, String>,
    pub(crate) total: Field<Money>,
    pub(crate) amount_paid: Field<Money>,
    pub(crate) balance: Field<Money>,
    /// `Value(())` if a date is set.
    pub(crate) paid_at: Field<()>,
    /// The Stripe ids that the invoice stores, unchanged; blank ones are left out.
    pub(crate) stored_ids: Vec<String>,
}

impl Invoice {
    /// Returns the name by which people know the invoice.
    pub(crate) fn label(&self) -> &str {
        self.number.as_deref().unwrap_or(&self.id)
    }

    /// Returns whether `reference`, from the metadata of a Stripe object, names this invoice.
    pub(crate) fn answers_to(&self, reference: &str) -> bool {
        let reference = reference.trim();
        same_key(reference, &self.id) || self.number.as_deref() == Some(reference)
    }
}

/// Whether two texts are the same key: of a uuid the hexadecimal digits count, of a number its value.
fn same_key(one: &str, other: &str) -> bool {
    let digits_of_uuid = |text: &str| {
        let text = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or(text);
        let digits: String = text.chars().filter(|letter| *letter != '-').collect();
        let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_uuid.then(|| digits.to_ascii_lowercase())
    };
    let value = |text: &str| text.parse::<i128>().ok();
    one.eq_ignore_ascii_case(other)
        || digits_of_uuid(one).is_some_and(|digits| Some(digits) == digits_of_uuid(other))
        || value(one).is_some_and(|value_of_one| Some(value_of_one) == value(other))
}

//! An invoice, as its row says.

use super::money::{Currency, Money};

/// A column of a host table: absent from the mapping, null, read, or there
/// but not to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field<T> {
    Unmapped,
    Null,
    Value(T),
    /// What stands there and why it is no value, for people.
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

/// What an invoice's status word means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvoiceStatus {
    /// Waiting for money, whatever the host calls it (Draft, Sent, Overdue …).
    Open,
    Partial,
    Paid,
    /// Cancelled, void, written off: never changed by the machine.
    Closed,
}

/// One invoice, as one reading of its row found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invoice {
    /// The primary key, as text.
    pub(crate) id: String,
    /// What people call it, where the host has such a column.
    pub(crate) number: Option<String>,
    pub(crate) status: InvoiceStatus,
    /// The host's own word for the status.
    pub(crate) status_word: String,
    /// The currency, or what stands in its column instead of one.
    pub(crate) currency: Result<Currency, String>,
    pub(crate) total: Field<Money>,
    pub(crate) amount_paid: Field<Money>,
    pub(crate) balance: Field<Money>,
    /// `Value(())` where a date is set.
    pub(crate) paid_at: Field<()>,
    /// The Stripe ids that the invoice stores, as they stand there; blank is none.
    pub(crate) stored_ids: Vec<String>,
}

impl Invoice {
    /// What a person recognises the invoice by.
    pub(crate) fn label(&self) -> &str {
        self.number.as_deref().unwrap_or(&self.id)
    }

    /// Whether a Stripe object that names an invoice by `reference` means this one.
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

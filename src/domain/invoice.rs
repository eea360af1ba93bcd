//! An invoice as its row describes it.

use super::account::unqualified;
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
    /// Known to be not paid (Draft, Sent, Overdue …).
    Open,
    Partial,
    Paid,
    /// What comes after paid (shipped, delivered …): the status is never changed.
    AfterPaid,
    /// Cancelled, void, written off, refunded: the invoice is never changed.
    Closed,
    /// A word whose meaning is not known: never changed.
    Unknown,
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
    /// The Stripe account that its payments go to; `None` is the key's own.
    pub(crate) account: Option<String>,
    /// The Stripe ids that the invoice stores, as those of its account; blank ones are left out.
    pub(crate) stored_ids: Vec<String>,
}

impl Invoice {
    /// Returns the name by which people know the invoice.
    pub(crate) fn label(&self) -> &str {
        self.number.as_deref().unwrap_or(&self.id)
    }

    /// Returns whether `reference`, from the metadata of a Stripe object, names this invoice: by its key, its number, or an
    /// id that it stores, such as that of its Stripe Invoice.
    pub(crate) fn answers_to(&self, reference: &str) -> bool {
        let reference = reference.trim();
        let mut stored = self.stored_ids.iter();
        same_key(reference, &self.id)
            || self.number.as_deref() == Some(reference)
            || stored.any(|id| unqualified(id) == reference)
    }
}

/// Returns whether `reference` is another spelling of the key `id`, as PostgreSQL would read both: a uuid with or
/// without hyphens and braces, or a number with leading zeros.
fn same_key(reference: &str, id: &str) -> bool {
    let uuid = |text: &str| {
        let bare = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let digits = bare.unwrap_or(text).replace('-', "").to_ascii_lowercase();
        let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_uuid.then_some(digits)
    };
    // A key that a number type does not write so, such as 0042, is a text: only itself is the same.
    let number = |text: &str| text.parse::<i128>().ok();
    let is_canonical = number(id).is_some_and(|number| number.to_string() == id);
    reference.eq_ignore_ascii_case(id)
        || uuid(id).is_some_and(|digits| uuid(reference) == Some(digits))
        || is_canonical && number(reference) == number(id)
}

#[cfg(test)]
mod tests {
    use super::same_key;

    #[test]
    fn a_key_may_be_written_as_postgresql_reads_it() {
        let id = "7d8e6b50-00a0-4000-8000-00000000000b";
        for reference in [
            id,
            "7D8E6B50-00A0-4000-8000-00000000000B",
            "7d8e6b5000a04000800000000000000b",
            "{7d8e6b50-00a0-4000-8000-00000000000b}",
        ] {
            assert!(same_key(reference, id), "{reference}");
        }
        assert!(same_key("0042", "42") && same_key("+42", "42"));
        for (reference, id) in [("42", "0042"), ("43", "42"), ("42", "INV-42"), ("", "0")] {
            assert!(!same_key(reference, id), "{reference} is not {id}");
        }
        assert!(!same_key("7d8e6b5000a04000800000000000000c", id));
    }
}

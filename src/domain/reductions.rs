//! Why Stripe asked for less than the price: a discount, or credit of the customer's.

use serde::{Deserialize, Serialize};

use super::money::{Currency, Money};

/// What of a price was not paid by a payment, and what of the payment is for others, in Stripe's smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reductions {
    /// By how much a discount lowered the price.
    pub(crate) discount: i64,
    /// What the customer's balance at Stripe paid.
    pub(crate) balance: i64,
    /// What credit notes and billing credits paid.
    pub(crate) credit: i64,
    /// What was paid outside of Stripe and noted there.
    #[serde(default)]
    pub(crate) elsewhere: i64,
    /// How much of the payment paid other Stripe Invoices.
    #[serde(default)]
    pub(crate) of_others: i64,
}

impl Reductions {
    /// Combines what two answers say about one payment.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            discount: self.discount.max(other.discount),
            balance: self.balance.max(other.balance),
            credit: self.credit.max(other.credit),
            elsewhere: self.elsewhere.max(other.elsewhere),
            of_others: self.of_others.max(other.of_others),
        }
    }

    /// Returns the reasons as part of a sentence; `None` if there is none.
    pub(crate) fn reasons(self, currency: Currency) -> Option<String> {
        let reasons: Vec<String> = [
            (self.discount, "a discount"),
            (self.balance, "a payment from the customer's balance"),
            (self.credit, "a credit"),
            (self.elsewhere, "a payment outside of Stripe"),
        ]
        .into_iter()
        .filter(|(minor, _)| *minor > 0)
        .map(|(minor, name)| format!("{name} of {}", Money::new(minor, currency)))
        .collect();
        (!reasons.is_empty()).then(|| reasons.join(" and "))
    }
}

/// A payment of an invoice, perhaps of nothing, with what was taken off its price.
pub(super) struct Reduced {
    pub(super) key: Option<String>,
    pub(super) received: Money,
    pub(super) reductions: Reductions,
}

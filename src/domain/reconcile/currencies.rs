//! Rows of payments that came in another currency than that which the invoice has now: its currency was changed since.

use super::{Facts, books};
use crate::domain::invoice::Field;
use crate::domain::money::{Currency, Money};
use crate::domain::payment::PaymentRow;

/// Returns the rows. The amounts of those whose payments are remembered as this invoice's in another currency cannot be read:
/// added to others, they would be taken for as much of the invoice's currency.
pub(super) fn readable(facts: &Facts, currency: Currency) -> Vec<PaymentRow> {
    let mut rows = facts.rows.to_vec();
    for row in &mut rows {
        let known = books::remembered_for(row, &facts.memory.0);
        let known = known.filter(|known| known.is_own && known.received > 0);
        let Some(theirs) = known.and_then(|known| known.currency) else {
            continue;
        };
        if theirs == currency || !matches!(row.amount, Field::Value(_)) {
            continue;
        }
        let came = Money::new(known.map_or(0, |known| known.received), theirs);
        row.amount = Field::Unreadable(format!(
            "Stripe received {came}, and the invoice is in {currency}"
        ));
    }
    rows
}

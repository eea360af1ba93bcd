//! What Stripe's objects say about discounts and credit.

use serde_json::Value;

use crate::domain::reductions::Reductions;

/// Reads the discount of a session and an intent.
/// Source: <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-total_details-amount_discount>.
pub(super) fn of_payment(session: Option<&Value>, intent: Option<&Value>) -> Reductions {
    let of_session =
        session.and_then(|session| session.pointer("/total_details/amount_discount")?.as_i64());
    let of_intent =
        intent.and_then(|intent| intent.pointer("/amount_details/discount_amount")?.as_i64());
    Reductions {
        discount: of_session.max(of_intent).unwrap_or(0).max(0),
        ..Reductions::default()
    }
}

/// Reads what the customer's balance and credit paid of a Stripe Invoice. The balance is negative if the customer has
/// credit, and also takes over an amount that is too small to be charged.
/// Sources: <https://docs.stripe.com/api/invoices/object#invoice_object-ending_balance>,
/// <https://docs.stripe.com/api/invoices/object#invoice_object-pre_payment_credit_notes_amount>,
/// <https://docs.stripe.com/api/invoices/object#invoice_object-total_pretax_credit_amounts>.
pub(super) fn of_invoice(invoice: &Value) -> Reductions {
    let integer = |field: &str| invoice.get(field).and_then(Value::as_i64);
    let balances = integer("ending_balance").zip(integer("starting_balance"));
    let balance = balances.map_or(0, |(end, start)| end.saturating_sub(start));
    let credits = invoice.get("total_pretax_credit_amounts");
    let credits = credits.and_then(Value::as_array).into_iter().flatten();
    let credits = credits
        .filter(|it| it.get("type").and_then(Value::as_str) == Some("credit_balance_transaction"))
        .filter_map(|it| it.get("amount")?.as_i64());
    let notes = integer("pre_payment_credit_notes_amount").unwrap_or(0);
    Reductions {
        discount: 0,
        balance: balance.max(0),
        credit: credits.fold(notes, i64::saturating_add).max(0),
        elsewhere: 0,
        of_others: 0,
    }
}

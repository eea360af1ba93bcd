//! Which part of a payment paid a Stripe Invoice.

use serde_json::json;

use super::super::invoices::part_of;
use super::super::objects::{Reading, read_charge};
use super::charge;

#[test]
fn what_did_not_pay_this_stripe_invoice_paid_others_unless_it_was_too_much() {
    let charge = read_charge(&charge(), &Reading::default(), None).expect("a charge is read");
    let of_others = |paid: Option<i64>, overpaid: Option<i64>| {
        let part = part_of(&json!({
            "object": "invoice_payment",
            "amount_paid": paid,
            "invoice": { "object": "invoice", "amount_overpaid": overpaid },
            "payment": { "type": "charge", "charge": "ch_1" },
        }));
        let of_several = part.expect("it names a charge").of_several(&charge);
        of_several.map(|payment| payment.reductions.of_others)
    };
    // The charge is of 50.00.
    assert_eq!(of_others(Some(5_000), Some(0)), None);
    assert_eq!(of_others(Some(3_500), Some(0)), Some(1_500));
    assert_eq!(of_others(Some(3_500), None), Some(1_500));
    assert_eq!(of_others(Some(3_500), Some(1_500)), None, "too much");
    assert_eq!(of_others(None, None), None, "not known");
}

//! When open issues are resolved.

use serde_json::{Value, json};

use super::*;
use crate::domain::invoice::{Field, InvoiceStatus};
use crate::domain::money::{Currency, Money};

fn invoice() -> Invoice {
    let money = |minor| Field::Value(Money::new(minor, Currency::parse("eur").expect("a code")));
    Invoice {
        id: "1".into(),
        number: None,
        status: InvoiceStatus::Open,
        status_word: "Sent".into(),
        currency: Currency::parse("eur").ok_or_else(String::new),
        total: money(100),
        amount_paid: money(0),
        balance: money(100),
        paid_at: Field::Null,
        account: None,
        stored_ids: vec!["pi_1".into()],
    }
}

fn open(kind: IssueKind, object: Option<&str>, evidence: Value) -> OpenIssue {
    OpenIssue {
        kind,
        object: object.map(str::to_owned),
        evidence,
        is_refreshed: false,
    }
}

/// A pass with Stripe's answers about these payments and no issues.
fn pass(judged: &[&str]) -> Plan {
    Plan {
        judged: judged.iter().map(|id| (*id).to_owned()).collect(),
        ..Plan::default()
    }
}

#[test]
fn each_kind_ends_only_by_the_facts_it_depends_on() {
    use IssueKind::*;
    let wanted = json!({ "attempted": [["pi_1"]] });
    let undone = json!({ "stripe_payments": [["pi_1"]] });
    for kind in IssueKind::ALL {
        let (object, evidence, by_rows, by_answer) = match kind {
            PaidWithoutPayment | Overpaid => (None, json!({}), true, true),
            DuplicatePayment => (Some("pi_1"), json!({}), true, true),
            ApplyFailed | OverriddenByTrigger => (None, wanted.clone(), false, true),
            // The answer alone does not restore the repair.
            RepairUndone => (Some("pi_1"), undone.clone(), false, false),
            StripeUnreachable | Misconfigured | WebhooksFailing | EventFailing => {
                (None, json!({}), false, false)
            }
            _ => (Some("pi_1"), json!({}), false, true),
        };
        let issue = open(kind, object, evidence);
        let ends = |plan: &Plan| ending(&issue, &invoice(), plan) == Ending::Over;
        assert_eq!(ends(&pass(&[])), by_rows, "{kind:?} by the rows");
        let other = pass(&["pi_2"]);
        assert_eq!(ends(&other), by_rows, "{kind:?} by another payment");
        assert_eq!(ends(&pass(&["pi_1"])), by_answer, "{kind:?} by its own");
        let mut undecided = pass(&["pi_1"]);
        undecided.undecided.insert(kind);
        assert!(!ends(&undecided), "{kind:?} where it could not be judged");
        let mut unclear = pass(&["pi_1"]);
        unclear.unclear.insert("pi_1".into());
        assert_eq!(
            ends(&unclear),
            by_rows,
            "{kind:?} by what is not understood"
        );
    }
}

#[test]
fn a_failed_write_is_resolved_when_each_payment_is_settled() {
    let both = json!({ "attempted": [["pi_1", "cs_1"], ["pi_2"]] });
    let issue = open(IssueKind::ApplyFailed, None, both);
    let end = |plan: &Plan| ending(&issue, &invoice(), plan);
    let left = |ids: Value| Ending::StaysFor(ids.as_array().cloned().unwrap_or_default());
    assert_eq!(end(&pass(&["cs_1"])), left(json!([["pi_2"]])));
    assert_eq!(end(&pass(&["pi_3"])), Ending::Stays);
    assert_eq!(end(&pass(&["pi_1", "pi_2"])), Ending::Over);
    let mut held = pass(&["pi_1", "pi_2"]);
    held.unwritten.payments.insert("pi_2".into());
    assert_eq!(
        end(&held),
        left(json!([["pi_2"]])),
        "wanted, and not written"
    );
}

#[test]
fn an_undone_repair_is_resolved_when_it_is_booked_again() {
    let undone = json!({ "stripe_payments": [["pi_1", "cs_1"]] });
    let issue = open(IssueKind::RepairUndone, Some("pi_1"), undone);
    let mut plan = pass(&["pi_1"]);
    plan.booked.insert("cs_1".into());
    assert_eq!(ending(&issue, &invoice(), &plan), Ending::Over);
    plan.unwritten.payments.insert("pi_1".into());
    assert_eq!(ending(&issue, &invoice(), &plan), Ending::Stays);
}

//! What is concluded while a repair is undone.

use super::builders::{World, invoice, received, row, world};
use crate::domain::evidence::Evidence;
use crate::domain::issue::IssueKind::{self, AmountMismatch, Disputed, PaidWithoutPayment};
use crate::domain::reconcile::reconcile_unwritten;

#[test]
fn an_undone_payment_is_not_reported_as_missing() {
    let paid = || world(invoice("Paid").with_paid(100_00).storing(&[]));
    let deposit = || row("1", "Paid", 40_00, &["pi_1"]);
    let both = [PaidWithoutPayment, AmountMismatch];
    let cases: [(&str, World, &[IssueKind], &[IssueKind]); 5] = [
        ("all is missing", paid(), &[PaidWithoutPayment], &[]),
        ("all was taken out", paid().undone("pi_1"), &[], &both),
        (
            "a part is missing",
            paid().with_row(deposit()),
            &[AmountMismatch],
            &[],
        ),
        (
            "a part was taken out",
            paid().with_row(deposit()).undone("pi_2"),
            &[],
            &both,
        ),
        (
            "it is there again",
            paid().with_row(deposit()).undone("pi_1"),
            &[AmountMismatch],
            &[],
        ),
    ];
    for (name, world, found, undecided) in cases {
        let plan = world.reconcile(&[]);
        let kinds: Vec<IssueKind> = plan.issues.iter().map(|issue| issue.kind).collect();
        assert_eq!(kinds, found, "{name}");
        assert!(
            plan.undecided.iter().eq(undecided),
            "{name}: {:?}",
            plan.undecided
        );
    }
}

#[test]
fn a_disputed_booked_payment_does_not_leave_missing_money_undecided() {
    let rows = || row("1", "Paid", 40_00, &["pi_1"]);
    let world = world(invoice("Paid").with_paid(100_00).storing(&[])).with_row(rows());
    let disputed = received(&["pi_1"], 40_00).with_dispute("needs_response");
    let said = [Evidence::Payment(disputed)];
    let plan = reconcile_unwritten(&world.facts(), &said, &world.rules);
    let kinds: Vec<IssueKind> = plan.issues.iter().map(|issue| issue.kind).collect();
    assert_eq!(kinds, [AmountMismatch, Disputed]);
    let more = received(&["pi_2"], 60_00);
    let plan = reconcile_unwritten(&world.facts(), &[Evidence::Payment(more)], &world.rules);
    assert_eq!(plan.issues, [], "there is money that is not in the books");
}

#[test]
fn a_payment_whose_repair_was_undone_stays_the_invoices() {
    let evidence = [Evidence::Payment(received(&["pi_1"], 100_00))];
    let named = || world(invoice("Sent").storing(&["cs_live_2"])).in_question("pi_1");
    let let_go = named().reconcile(&evidence);
    assert!(let_go.disowned.contains("pi_1"), "{let_go:#?}");
    let kept = named().undone("pi_1").reconcile(&evidence);
    assert!(kept.disowned.is_empty(), "{kept:#?}");
    let stored = world(invoice("Sent").storing(&["pi_1"])).in_question("pi_1");
    assert!(stored.reconcile(&evidence).disowned.is_empty());
}

#[test]
fn a_payment_learned_to_be_the_invoices_is_not_let_go() {
    let evidence = [Evidence::Payment(received(&["pi_1"], 100_00))];
    let overwritten = || world(invoice("Sent").storing(&["cs_live_2"])).in_question("pi_1");
    let mut elsewhere = overwritten().remembering("pi_1", 100_00, 0);
    let known = elsewhere.memory.0.get_mut("pi_1").expect("it is known");
    known.is_own = false;
    assert!(elsewhere.reconcile(&evidence).disowned.contains("pi_1"));
    let own = overwritten().remembering("pi_1", 100_00, 0);
    assert!(own.reconcile(&evidence).disowned.is_empty());
}

#[test]
fn what_stripe_said_for_good_need_not_be_asked_to_tell_of_missing_money() {
    let paid = || world(invoice("Paid").with_paid(100_00).storing(&["cs_live_1"]));
    let finished = |mut world: World| {
        world.finished.insert("cs_live_1".into());
        world
    };
    let kinds = |world: World| {
        let plan = world.reconcile(&[]);
        let kinds = plan.issues.iter().map(|issue| issue.kind);
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(kinds(paid()), [], "it may have been paid");
    assert_eq!(kinds(finished(paid())), [PaidWithoutPayment]);
    let received = finished(paid()).remembering("cs_live_1", 100_00, 0);
    assert_eq!(kinds(received), [], "its row is missing");
}

//! What is concluded while a repair is undone.

use super::builders::{World, invoice, row, world};
use crate::domain::issue::IssueKind::{self, AmountMismatch, PaidWithoutPayment};

#[test]
fn what_somebody_took_out_of_the_books_is_not_missed_there() {
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

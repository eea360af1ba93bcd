//! What the payment rows mean for the invoice, and rows that contradict it.

use stripe_double::{Checkout, Intent};

use super::case::{Case, case};
use super::hosts::{bill, row};

pub fn cases() -> Vec<Case> {
    let mut cases = covered();
    cases.extend(left_alone());
    cases.extend(contradictions());
    cases
}

fn covered() -> Vec<Case> {
    vec![
        case("cash covers the total, the status does not say so")
            .dumped()
            .when(|world| {
                world.invoice(bill("Sent", "100"));
                world.row(row("Paid", "100").day("2024-03-01"));
            })
            .invoice("Paid 100 paid, 0 left, dated")
            .requests(0)
            .also(|world| assert_eq!(world.days().0.as_deref(), Some("2024-03-01"))),
        case("several rows cover the total")
            .when(|world| {
                world.invoice(bill("Overdue", "100"));
                world.row(row("Paid", "33.33").day("2024-03-01"));
                world.row(row("Paid", "66.67").day("2024-03-02"));
            })
            .invoice("Paid 100 paid, 0 left, dated")
            .also(|world| assert_eq!(world.days().0.as_deref(), Some("2024-03-02"))),
        case("a Stripe row covers the total, the status does not say so")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                world.invoice(bill("Partial", "100").session(&id));
                world.row(row("Paid", "100").session(id).intent(intent));
            })
            .invoice("Paid 100 paid, 0 left, dated"),
        case("Paid, but the amounts do not say so")
            .when(|world| {
                world.invoice(bill("Paid", "100").day("2024-03-01"));
                world.row(row("Paid", "100").day("2024-03-01"));
            })
            .invoice("Paid 100 paid, 0 left, dated"),
        case("Paid, but the balance does not say so")
            .when(|world| {
                world.invoice(
                    bill("Paid", "100")
                        .paid("100")
                        .balance("100")
                        .day("2024-03-01"),
                );
                world.row(row("Paid", "100"));
            })
            .invoice("Paid 100 paid, 0 left, dated"),
        case("a part is paid, and the invoice does not say so")
            .when(|world| {
                world.invoice(bill("Sent", "100"));
                world.row(row("Paid", "40"));
            })
            .invoice("Partial 40 paid, 60 left"),
        case("cash covers more than the total")
            .when(|world| {
                world.invoice(bill("Sent", "100"));
                world.row(row("Paid", "130").day("2024-03-01"));
            })
            .invoice("Paid 130 paid, 0 left, dated")
            .issues(&["warning overpaid"]),
        case("two rows for one Stripe payment are counted once")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "200").session(&id));
                world.row(row("Paid", "100").session(&id));
                world.row(row("Paid", "100").session(id));
            })
            .invoice("Partial 100 paid, 100 left")
            .issues(&["warning duplicate_payment"]),
        case("two rows for one Stripe payment, one by its intent")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                world.invoice(bill("Sent", "100").session(&id));
                world.row(row("Paid", "100").session(&id).day("2024-03-01"));
                world.row(row("Paid", "100").session(id).intent(intent));
            })
            .invoice("Paid 100 paid, 0 left, dated")
            .issues(&["warning duplicate_payment"]),
        case("two payments under one copied session are no duplicates")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(6_000, "usd")).pay();
                let other = world.stripe().intent(Intent::new(4_000, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                let other = other.intent_id();
                world.invoice(bill("Sent", "100").session(&id));
                world.row(row("Paid", "60").session(&id).intent(intent));
                world.row(row("Paid", "40").session(id).intent(other));
            })
            .invoice("Paid 100 paid, 0 left, dated"),
    ]
}

fn left_alone() -> Vec<Case> {
    vec![
        case("all agrees")
            .when(|world| {
                let paid = bill("Paid", "100").paid("100").day("2024-03-01");
                world.invoice(paid);
                world.row(row("Paid", "100"));
            })
            .requests(0),
        case("nothing is paid, and nothing says so")
            .when(|world| world.invoice(bill("Draft", "100"))),
        case("a part is paid, and the host calls it Overdue").when(|world| {
            world.invoice(bill("Overdue", "100").paid("40"));
            world.row(row("Paid", "40"));
        }),
        case("rows that are Pending count for nothing").when(|world| {
            world.invoice(bill("Sent", "100"));
            world.row(row("Pending", "100"));
            world.row(row("Bounced", "100"));
        }),
        case("a Cancelled invoice that cash covers").when(|world| {
            world.invoice(bill("Cancelled", "100"));
            world.row(row("Paid", "100"));
        }),
    ]
}

fn contradictions() -> Vec<Case> {
    vec![
        case("Paid, no row, no Stripe ids; then somebody enters the row")
            .dumped()
            .when(|world| {
                let paid = bill("Paid", "100").paid("100").day("2024-03-01");
                world.invoice(paid);
            })
            .issues(&["warning paid_without_payment"])
            .requests(0)
            .when(|world| world.row(row("Paid", "100"))),
        case("Paid, no row, and the session expired")
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .expire();
                let id = session.session_id();
                let paid = bill("Paid", "100").paid("100").day("2024-03-01");
                world.invoice(paid.session(id));
            })
            .issues(&["warning paid_without_payment"]),
        case("Paid, a Pending row, and the session is still open")
            .when(|world| {
                let id = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .session_id();
                let paid = bill("Paid", "100").paid("100").day("2024-03-01");
                world.invoice(paid.session(&id));
                world.row(row("Pending", "100").session(id));
            })
            .issues(&["warning paid_without_payment"])
            .asked_again("less and less often"),
        case("Paid, but the rows come to less: it is never set back")
            .when(|world| {
                let paid = bill("Paid", "100").paid("100").day("2024-03-01");
                world.invoice(paid);
                world.row(row("Paid", "60"));
            })
            .issues(&["warning amount_mismatch"]),
        case("the amount paid is more than the rows say: it is never lowered")
            .when(|world| {
                world.invoice(bill("Partial", "100").paid("50"));
                world.row(row("Paid", "30"));
            })
            .issues(&["warning amount_mismatch"]),
        case("the invoice states 40 without a row, and the other 60 is paid by card")
            .without_triggers()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(6_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Partial", "100").paid("40").session(id));
            })
            .payments(&["Paid 60"])
            .invoice("Partial 100 paid, 0 left")
            .issues(&["warning amount_mismatch"]),
        case("the row says another amount than Stripe received")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                let paid = bill("Paid", "90").paid("90").day("2024-03-01");
                world.invoice(paid.session(id));
                world.row(row("Paid", "90").intent(intent));
            })
            .issues(&["warning amount_mismatch"]),
        case("a row without an id may be the very payment that Stripe received")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
                world.row(row("Paid", "100").day("2024-03-01"));
            })
            .invoice("Paid 100 paid, 0 left, dated")
            .issues(&["warning possible_duplicate"])
            .asked_again("later"),
        case("the payment is in the books of another invoice")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Paid", "100").paid("100").session(&id));
                world.row(row("Paid", "100").session(&id));
                world.invoice(bill("Sent", "100").session(id));
            })
            .issues(&["warning unlinked_payment"])
            .asked_again("later"),
        case("the payment's row has a status that no setting names")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                world.invoice(bill("Sent", "100").session(id));
                world.row(row("Bounced", "100").intent(intent));
            })
            .issues(&["warning amount_mismatch"]),
    ]
}

//! Refunds and disputes.

use stripe_double::{Checkout, Dispute, Refund};

use super::case::{Case, case};
use super::hosts::bill;
use super::world::World;

pub fn cases() -> Vec<Case> {
    let mut cases = refunds_before();
    cases.extend(refunds_after());
    cases.extend(disputes());
    cases
}

/// An invoice over 100, and the session by which it was paid.
fn paid_invoice(world: &mut World) {
    let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
    let id = session.session_id();
    world.invoice(bill("Sent", "100").session(&id));
    world.keep("session", id);
}

fn refund(world: &mut World, refund: Refund) {
    let id = world.purchase("session").refund(refund);
    world.keep("refund", id);
}

fn refund_becomes(world: &World, status: &str) {
    world.stripe().update_refund(&world.kept("refund"), status);
}

fn dispute(world: &mut World, status: &str) {
    let id = world.purchase("session").dispute(Dispute::new(status));
    world.keep("dispute", id);
}

fn dispute_becomes(world: &World, status: &str) {
    world
        .stripe()
        .update_dispute(&world.kept("dispute"), status);
}

fn refunds_before() -> Vec<Case> {
    vec![
        case("refunded in whole before it was ever booked")
            .dumped()
            .when(|world| {
                paid_invoice(world);
                refund(world, Refund::whole());
            })
            .payments(&["Refunded 100 - 100"])
            .issues(&["warning refunded"]),
        case("refunded in part before it was ever booked")
            .when(|world| {
                paid_invoice(world);
                refund(world, Refund::of(4_000));
            })
            .payments(&["Paid 100 - 40"])
            .invoice("Partial 60 paid, 40 left")
            .issues(&["warning partially_refunded"]),
        case("a refund that is pending counts")
            .when(|world| {
                paid_invoice(world);
                refund(world, Refund::of(4_000).status("pending"));
            })
            .payments(&["Paid 100 - 40"])
            .invoice("Partial 60 paid, 40 left")
            .issues(&["warning partially_refunded"]),
        case("refunds that failed or were canceled before: as if there had been none")
            .when(|world| {
                paid_invoice(world);
                refund(world, Refund::of(4_000).status("failed"));
                refund(world, Refund::of(4_000).status("canceled"));
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("refunded in whole before, and the refund fails later")
            .when(|world| {
                paid_invoice(world);
                refund(world, Refund::whole());
            })
            .payments(&["Refunded 100 - 100"])
            .issues(&["warning refunded"])
            .when(|world| refund_becomes(world, "failed"))
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("refunded in whole, and the invoice is Cancelled")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Cancelled", "100").session(&id));
                world.keep("session", id);
                refund(world, Refund::whole());
            })
            .payments(&["Refunded 100 - 100"])
            .issues(&["warning refunded"]),
        case("refunded in whole, and the host has no word for it")
            .settings("payment_refunded_word = null")
            .when(|world| {
                paid_invoice(world);
                refund(world, Refund::of(4_000));
            })
            .payments(&["Paid 100 - 40"])
            .invoice("Partial 60 paid, 40 left")
            .issues(&["warning partially_refunded"])
            .also(|world| {
                refund(world, Refund::whole());
                let id = world.id();
                let before = world.invoice_line();
                world.shop.sync(&id);
                assert_eq!(
                    world.payment_lines()[0].split(" - ").next(),
                    Some("Paid 100")
                );
                assert_eq!(world.issue_lines(), ["warning refunded"]);
                assert_eq!(world.invoice_line(), before, "never set back");
            }),
    ]
}

fn refunds_after() -> Vec<Case> {
    vec![
        case("refunded in whole after it was booked; the refund fails later")
            .dumped()
            .when(paid_invoice)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .when(|world| refund(world, Refund::whole()))
            .payments(&["Refunded 100 - 100"])
            .issues(&["warning refunded"])
            .when(|world| refund_becomes(world, "failed"))
            .payments(&["Paid 100"]),
        case("refunded in part after it was booked, then in whole")
            .when(paid_invoice)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .when(|world| refund(world, Refund::of(4_000)))
            .issues(&["warning partially_refunded"])
            .payments_where_refunds_have_a_column(&["Paid 100 - 40"])
            .when(|world| refund(world, Refund::whole()))
            .payments(&["Refunded 100 - 100"])
            .issues(&["warning refunded"])
            .when(|world| refund_becomes(world, "canceled"))
            .payments(&["Paid 100 - 40"])
            .issues(&["warning partially_refunded"]),
        case("a refund in part that fails later resolves its issue")
            .when(paid_invoice)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .when(|world| refund(world, Refund::of(4_000)))
            .issues(&["warning partially_refunded"])
            .payments_where_refunds_have_a_column(&["Paid 100 - 40"])
            .when(|world| refund_becomes(world, "failed"))
            .payments_where_refunds_have_a_column(&["Paid 100"]),
    ]
}

fn disputes() -> Vec<Case> {
    vec![
        case("disputed before it was ever booked, then won")
            .when(|world| {
                paid_invoice(world);
                dispute(world, "needs_response");
            })
            .payments(&["Disputed 100"])
            .issues(&["critical disputed"])
            .requests(2)
            .asked_again("later")
            .when(|world| dispute_becomes(world, "won"))
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("disputed after it was booked, under review, then lost")
            .dumped()
            .when(paid_invoice)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .when(|world| dispute(world, "needs_response"))
            .payments(&["Disputed 100"])
            .issues(&["critical disputed"])
            .when(|world| dispute_becomes(world, "under_review"))
            .issues(&["critical disputed"])
            .when(|world| dispute_becomes(world, "lost"))
            .issues(&["critical disputed"])
            .asked_again("later"),
        case("disputed after it was booked, then won")
            .when(paid_invoice)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .when(|world| dispute(world, "needs_response"))
            .payments(&["Disputed 100"])
            .issues(&["critical disputed"])
            .when(|world| dispute_becomes(world, "won"))
            .payments(&["Paid 100"]),
        case("an inquiry withholds no money; closed, it is over")
            .when(|world| {
                paid_invoice(world);
                dispute(world, "warning_needs_response");
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .issues(&["notice disputed"])
            .when(|world| dispute_becomes(world, "warning_closed")),
        case("a dispute's status that nobody knows withholds the money")
            .when(|world| {
                paid_invoice(world);
                dispute(world, "needs_response");
                dispute_becomes(world, "mediated");
            })
            .payments(&["Disputed 100"])
            .issues(&["critical disputed"]),
        case("disputed, and the host has no word for it")
            .settings("payment_disputed_word = null")
            .without_triggers()
            .when(|world| {
                paid_invoice(world);
                dispute(world, "needs_response");
            })
            .payments(&["Paid 100"])
            .issues(&["critical disputed"])
            .when(|world| dispute_becomes(world, "won"))
            .invoice("Paid 100 paid, 0 left, dated"),
    ]
}

//! Payments that were not received, belong to nobody here, or cannot be understood.

use serde_json::json;
use stripe_double::{Checkout, Intent};

use super::case::{Case, case};
use super::hosts::{bill, row};

pub fn cases() -> Vec<Case> {
    let mut cases = not_paid();
    cases.extend(not_ours());
    cases.extend(not_understood());
    cases
}

fn not_paid() -> Vec<Case> {
    vec![
        case("a session that is open")
            .when(|world| {
                let id = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .asked_again("less and less often"),
        case("a session that expired")
            .dumped()
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .expire();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .asked_again("never"),
        case("a session that expired with its intent")
            .when(|world| {
                let checkout = Checkout::new(10_000, "usd").early_intent();
                let id = world.stripe().checkout(checkout).expire().session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .asked_again("never"),
        case("an intent that was canceled")
            .when(|world| {
                let id = world
                    .stripe()
                    .intent(Intent::new(10_000, "usd"))
                    .cancel()
                    .intent_id();
                world.invoice(bill("Sent", "100").intent(id));
            })
            .asked_again("never"),
        case("a Pending row whose session expired stays Pending").when(|world| {
            let session = world
                .stripe()
                .checkout(Checkout::new(10_000, "usd"))
                .expire();
            let id = session.session_id();
            world.invoice(bill("Sent", "100").session(&id));
            world.row(row("Pending", "100").session(id));
        }),
        case("a card that was declined")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).fail();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .asked_again("less and less often"),
        case("processing (complete with unpaid), then paid")
            .dumped()
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .process();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(&id));
                world.keep("payment", id);
            })
            .asked_again("less and less often")
            .when(|world| {
                world.purchase("payment").succeed();
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .asked_again("never"),
        case("an intent that requires action")
            .when(|world| {
                let id = world
                    .stripe()
                    .intent(Intent::new(10_000, "usd"))
                    .intent_id();
                world.stripe().set(&id, "status", "requires_action");
                world.invoice(bill("Sent", "100").intent(id));
            })
            .asked_again("less and less often"),
        case("requires_capture, then captured")
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .authorise();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(&id));
                world.keep("payment", id);
            })
            .asked_again("less and less often")
            .when(|world| {
                world.purchase("payment").capture(10_000);
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("no_payment_required")
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(0, "usd"))
                    .complete_free();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .asked_again("never"),
        case("a total of 0 is never turned into Paid").when(|world| {
            let session = world
                .stripe()
                .checkout(Checkout::new(0, "usd"))
                .complete_free();
            let id = session.session_id();
            world.invoice(bill("Sent", "0").session(id));
        }),
        case("a total of 0 and no Stripe ids")
            .when(|world| world.invoice(bill("Sent", "0")))
            .requests(0),
        case("a session that only stores a card").when(|world| {
            let id = world
                .stripe()
                .checkout(Checkout::setup())
                .pay()
                .session_id();
            world.invoice(bill("Sent", "100").session(id));
        }),
    ]
}

fn not_ours() -> Vec<Case> {
    vec![
        case("wrong currency: the invoice names another")
            .dumped()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").currency("eur").session(id));
            })
            .issues(&["warning currency_mismatch"])
            .asked_again("later"),
        case("wrong currency: the invoice names none, and the default is another")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "eur")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .issues(&["warning currency_mismatch"]),
        case("wrong currency: a Pending row waits for it")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "eur")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(&id));
                world.row(row("Pending", "100").session(id));
            })
            .issues(&["warning currency_mismatch"]),
        case("what the invoice has for a currency is none")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").currency("u$d").session(id));
            })
            .issues(&["warning currency_mismatch"]),
        case("the other mode, reported by the session's own prefix: no request")
            .when(|world| {
                let checkout = Checkout::new(10_000, "usd").live();
                let id = world.stripe().checkout(checkout).pay().session_id();
                assert!(id.starts_with("cs_live_"), "{id}");
                world.invoice(bill("Sent", "100").session(id));
            })
            .issues(&["warning livemode_mismatch"])
            .requests(0)
            .asked_again("later"),
        case("the other mode, reported by Stripe's 404")
            .when(|world| {
                let intent = Intent::new(10_000, "usd").live();
                let id = world.stripe().intent(intent).pay().intent_id();
                world.invoice(bill("Sent", "100").intent(id));
            })
            .issues(&["warning livemode_mismatch"])
            .requests(1),
        case("the other mode, reported by livemode")
            .when(|world| {
                let id = world
                    .stripe()
                    .intent(Intent::new(10_000, "usd"))
                    .pay()
                    .intent_id();
                world.stripe().set(&id, "livemode", true);
                world.invoice(bill("Sent", "100").intent(id));
            })
            .issues(&["warning livemode_mismatch"]),
        case("money whose metadata names an invoice that does not exist")
            .when(|world| {
                let checkout = Checkout::new(10_000, "usd").metadata("invoice_id", "no such");
                let id = world.stripe().checkout(checkout).pay().session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .issues(&["warning unlinked_payment"])
            .asked_again("later"),
        case("money whose intent names an invoice that does not exist")
            .when(|world| {
                let intent = Intent::new(10_000, "usd").metadata("invoice_id", "404");
                let id = world.stripe().intent(intent).pay().intent_id();
                world.invoice(bill("Sent", "100").intent(id));
            })
            .issues(&["warning unlinked_payment"]),
        case("money that names no invoice is not ours")
            .when(|world| {
                let other = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                drop(other);
                world.invoice(bill("Sent", "100"));
            })
            .requests(0),
    ]
}

fn not_understood() -> Vec<Case> {
    vec![
        case("an intent's status that nobody knows")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                world.stripe().set(&intent, "status", "teleported");
                world.invoice(bill("Sent", "100").session(id));
            })
            .issues(&["warning unknown_status"])
            .asked_again("later")
            .also(|world| {
                assert_eq!(
                    world.issue_evidence("unknown_status")["value"],
                    json!("teleported")
                );
            }),
        case("a session's status that nobody knows, then one that is known")
            .when(|world| {
                let id = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .session_id();
                world.stripe().set(&id, "payment_status", "promised");
                world.invoice(bill("Sent", "100").session(&id));
                world.keep("session", id);
            })
            .issues(&["warning unknown_status"])
            .when(|world| {
                let id = world.kept("session");
                world.stripe().set(&id, "payment_status", "unpaid");
            }),
        case("Stripe knows no such session")
            .dumped()
            .when(|world| {
                world.invoice(bill("Sent", "100").session("cs_test_a1never"));
            })
            .issues(&["warning stripe_object_missing"])
            .requests(1)
            .asked_again("later"),
        case("Stripe knows no such intent, but the session's money")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id).intent("pi_3never"));
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated")
            .issues(&["warning stripe_object_missing"]),
        case("what is stored is no Stripe id at all")
            .when(|world| {
                world.invoice(bill("Sent", "100").session("../../v1/refunds?x=\"'"));
            })
            .issues(&["warning stripe_object_missing"])
            .requests(0),
        case("what is stored is blank")
            .when(|world| world.invoice(bill("Sent", "100").session("").intent("  ")))
            .requests(0),
    ]
}

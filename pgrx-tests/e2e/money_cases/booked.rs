//! Payments that Stripe received and the books do not contain.

use stripe_double::{Checkout, Intent};

use super::case::{Case, case};
use super::hosts::{bill, row};

const NOVEMBER: i64 = 1_700_000_000;

pub fn cases() -> Vec<Case> {
    let mut cases = whole_payments();
    cases.extend(parts_and_excess());
    cases.extend(deposit_and_balance());
    cases
}

fn whole_payments() -> Vec<Case> {
    vec![
        case("paid in Stripe, no row: a session is stored")
            .dumped()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "125").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated")
            .requests(1)
            .asked_again("never"),
        case("paid in Stripe, no row: an intent is stored")
            .when(|world| {
                let intent = world.stripe().intent(Intent::new(12_500, "usd")).pay();
                let id = intent.intent_id();
                world.invoice(bill("Overdue", "125").intent(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated")
            .requests(2)
            .requests_once_known(1),
        case("paid in Stripe, no row: both are stored, and are one payment")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                world.invoice(bill("Sent", "125").session(id).intent(intent));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated")
            .requests(1),
        case("paid in Stripe, no row: ids stand in each other's columns, with white space")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = format!(" {}\n", session.session_id());
                let intent = session.intent_id();
                world.invoice(bill("Sent", "125").session(intent).intent(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("paid in Stripe, no row: a charge is stored")
            .when(|world| {
                let intent = world.stripe().intent(Intent::new(12_500, "usd")).pay();
                let id = intent.charge_id();
                world.invoice(bill("Sent", "125").intent(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("paid in Stripe, no row: a session without an intent")
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::subscription(12_500, "usd"))
                    .pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "125").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("the dates are Stripe's, in the host's time zone")
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(12_500, "usd").created(NOVEMBER - 60))
                    .at(NOVEMBER)
                    .pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "125").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated")
            .also(|world| {
                let day = Some(world.host().day_of_1_700_000_000().to_owned());
                assert_eq!(
                    world.days(),
                    (day.clone(), vec![day]),
                    "the days of invoice and payment"
                );
            }),
        case("a date that is there stays")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "125").day("2020-02-29").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated")
            .also(|world| assert_eq!(world.days().0.as_deref(), Some("2020-02-29"))),
        case("the row with the same session and status Pending becomes Paid")
            .dumped()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "125").session(&id));
                world.row(row("Pending", "125").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("the row with the same intent and status Overdue becomes Paid")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let (id, intent) = (session.session_id(), session.intent_id());
                world.invoice(bill("Sent", "125").session(id));
                world.row(row("Overdue", "125").intent(intent));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("a Pending row gets the amount that Stripe received")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "125").session(&id));
                world.row(row("Pending", "100").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("a Pending row without Stripe ids is another payment")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "125").session(id));
                world.row(row("Pending", "125"));
            })
            .payments(&["Paid 125", "Pending 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("the metadata names the invoice by its id")
            .when(|world| {
                world.invoice(bill("Sent", "125"));
                let checkout = Checkout::new(12_500, "usd").metadata("invoice_id", world.id());
                let id = world.stripe().checkout(checkout).pay().session_id();
                world.store_session(&id);
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("the metadata of the intent names the invoice by its number")
            .when(|world| {
                world.invoice(bill("Sent", "125"));
                let intent = Intent::new(12_500, "usd").metadata("invoice_id", world.number());
                let id = world.stripe().intent(intent).pay().intent_id();
                world.store_intent(&id);
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("an invoice keeps a status whose meaning is not known, and the payment is booked")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("On hold", "125").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("On hold 125 paid, 0 left")
            .issues(&["warning unknown_status"]),
        case("money for a cancelled invoice is booked, and nothing else")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Cancelled", "125").session(id));
            })
            .payments(&["Paid 125"])
            .issues(&["warning unlinked_payment"])
            .asked_again("later"),
        case("money for an invoice over nothing is booked, and nothing else")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Draft", "0").session(id));
            })
            .payments(&["Paid 125"])
            .issues(&["warning amount_mismatch"]),
        case("Paid, no row, Stripe confirms the money: amounts are set right")
            .dumped()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Paid", "125").session(id));
            })
            .payments(&["Paid 125"])
            .invoice("Paid 125 paid, 0 left, dated"),
        case("Paid, no row, Stripe confirms the money: amounts are right")
            .without_triggers()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_500, "usd")).pay();
                let id = session.session_id();
                let paid = bill("Paid", "125").paid("125").day("2024-01-01");
                world.invoice(paid.session(id));
            })
            .payments(&["Paid 125"]),
    ]
}

fn parts_and_excess() -> Vec<Case> {
    vec![
        case("a part of the total")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(5_025, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "200").session(id));
            })
            .payments(&["Paid 50.25"])
            .invoice("Partial 50.25 paid, 149.75 left"),
        case("a part of the total, where the host has no word for it")
            .settings("invoice_partial_word = null")
            .without_triggers()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(5_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "200").session(id));
            })
            .payments(&["Paid 50"])
            .invoice("Sent 50 paid, 150 left"),
        case("received more than the total")
            .dumped()
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_050, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .payments(&["Paid 120.5"])
            .invoice("Paid 120.5 paid, 0 left, dated")
            .issues(&["warning overpaid"])
            .also(|world| {
                assert_eq!(world.issue_evidence("overpaid")["excess"], "20.50 USD");
            }),
        case("the intent's amount differs from what was received")
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .pay_receiving(7_500);
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .payments(&["Paid 75"])
            .invoice("Partial 75 paid, 25 left"),
        case("authorised, then captured in part")
            .when(|world| {
                let session = world
                    .stripe()
                    .checkout(Checkout::new(10_000, "usd"))
                    .authorise()
                    .capture(6_000);
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .payments(&["Paid 60"])
            .invoice("Partial 60 paid, 40 left"),
    ]
}

fn deposit_and_balance() -> Vec<Case> {
    vec![
        case("deposit, then balance: the later session overwrote the invoice's")
            .dumped()
            .when(|world| {
                let deposit = world.stripe().checkout(Checkout::new(5_000, "usd")).pay();
                let balance = world.stripe().checkout(Checkout::new(15_000, "usd"));
                let (deposit, balance) = (deposit.session_id(), balance.session_id());
                world.invoice(bill("Sent", "200").session(&balance));
                world.row(row("Pending", "50").session(deposit));
                world.keep("balance", balance);
            })
            .payments(&["Paid 50"])
            .invoice("Partial 50 paid, 150 left")
            .requests(2)
            .asked_again("less and less often")
            .when(|world| {
                world.purchase("balance").pay();
            })
            .payments(&["Paid 50", "Paid 150"])
            .invoice("Paid 200 paid, 0 left, dated")
            .asked_again("never"),
        case("deposit and balance were both paid meanwhile")
            .when(|world| {
                let deposit = world.stripe().checkout(Checkout::new(5_000, "usd")).pay();
                let balance = world.stripe().checkout(Checkout::new(15_000, "usd")).pay();
                let (deposit, balance) = (deposit.session_id(), balance.session_id());
                world.invoice(bill("Sent", "200").session(balance));
                world.row(row("Pending", "50").session(deposit));
            })
            .payments(&["Paid 50", "Paid 150"])
            .invoice("Paid 200 paid, 0 left, dated"),
        case("the deposit was booked before the session was overwritten")
            .when(|world| {
                let deposit = world.stripe().checkout(Checkout::new(5_000, "usd")).pay();
                let id = deposit.session_id();
                world.invoice(bill("Sent", "200").session(id));
            })
            .payments(&["Paid 50"])
            .invoice("Partial 50 paid, 150 left")
            .when(|world| {
                let balance = world.stripe().checkout(Checkout::new(15_000, "usd")).pay();
                let id = balance.session_id();
                world.store_session(&id);
            })
            .payments(&["Paid 50", "Paid 150"])
            .invoice("Paid 200 paid, 0 left, dated"),
        case("session and intent that the invoice stores are two payments")
            .when(|world| {
                let deposit = world.stripe().checkout(Checkout::new(5_000, "usd")).pay();
                let balance = world.stripe().intent(Intent::new(15_000, "usd")).pay();
                let (session, intent) = (deposit.session_id(), balance.intent_id());
                world.invoice(bill("Sent", "200").session(session).intent(intent));
            })
            .payments(&["Paid 50", "Paid 150"])
            .invoice("Paid 200 paid, 0 left, dated")
            // This shop has taken payments by Stripe Invoices: whether one of them was paid by the intent is asked, too.
            .requests(4)
            .requests_once_known(2),
        case("a part in cash, the rest by card")
            .when(|world| {
                let card = world.stripe().checkout(Checkout::new(15_000, "usd")).pay();
                let id = card.session_id();
                world.invoice(bill("Partial", "200").paid("50").session(id));
                world.row(row("Paid", "50").day("2024-01-01"));
            })
            .payments(&["Paid 50", "Paid 150"])
            .invoice("Paid 200 paid, 0 left, dated"),
    ]
}

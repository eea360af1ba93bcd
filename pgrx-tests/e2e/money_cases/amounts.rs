//! Gratuities, currencies without two decimals, and missing columns.

use stripe_double::{Checkout, Intent};

use super::case::{Case, case};
use super::hosts::{bill, row};
use super::world::World;

pub fn cases() -> Vec<Case> {
    let mut cases = gratuities();
    cases.extend(currencies());
    cases.extend(missing_columns());
    cases
}

/// An invoice over 100, and 120 received with this said of the gratuity.
fn tipped(world: &mut World, gratuity: &str) {
    let checkout = Checkout::new(12_000, "usd").metadata("gratuity_amount", gratuity);
    let id = world.stripe().checkout(checkout).pay().session_id();
    world.invoice(bill("Sent", "100").session(id));
}

fn gratuities() -> Vec<Case> {
    let bad = ["warning amount_mismatch", "warning overpaid"];
    vec![
        case("a gratuity on the session is split off")
            .dumped()
            .when(|world| tipped(world, "20.00"))
            .payments(&["Paid 100 + 20"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("a gratuity on the intent is split off")
            .when(|world| {
                let intent = Intent::new(12_000, "usd").metadata("gratuity_amount", "20");
                let id = world.stripe().intent(intent).pay().intent_id();
                world.invoice(bill("Sent", "100").intent(id));
            })
            .payments(&["Paid 100 + 20"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("a gratuity of 0")
            .when(|world| tipped(world, "0"))
            .payments(&["Paid 120"])
            .invoice("Paid 120 paid, 0 left, dated")
            .issues(&["warning overpaid"]),
        case("a Pending row gets its gratuity")
            .when(|world| {
                tipped(world, "20");
                let id = world.stored_session();
                world.row(row("Pending", "120").session(id));
            })
            .payments(&["Paid 100 + 20"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("a gratuity larger than what was received is taken as 0")
            .when(|world| tipped(world, "120.01"))
            .payments(&["Paid 120"])
            .invoice("Paid 120 paid, 0 left, dated")
            .issues(&bad),
        case("a gratuity below 0 is taken as 0")
            .when(|world| tipped(world, "-20"))
            .payments(&["Paid 120"])
            .invoice("Paid 120 paid, 0 left, dated")
            .issues(&bad),
        case("a gratuity that is no number is taken as 0")
            .when(|world| tipped(world, "20 dollars"))
            .payments(&["Paid 120"])
            .invoice("Paid 120 paid, 0 left, dated")
            .issues(&bad),
        case("a gratuity finer than a cent is taken as 0")
            .when(|world| tipped(world, "20.005"))
            .payments(&["Paid 120"])
            .invoice("Paid 120 paid, 0 left, dated")
            .issues(&bad),
        case("session and intent contradict each other about the gratuity")
            .when(|world| {
                let checkout = Checkout::new(12_000, "usd")
                    .metadata("gratuity_amount", "20")
                    .intent_metadata("gratuity_amount", "10");
                let id = world.stripe().checkout(checkout).pay().session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .payments(&["Paid 120"])
            .invoice("Paid 120 paid, 0 left, dated")
            .issues(&bad),
        case("the gratuity's key and unit are settings")
            .settings("gratuity_key = 'tip', gratuity_unit = 'minor'")
            .when(|world| {
                let checkout = Checkout::new(12_000, "usd")
                    .metadata("gratuity_amount", "99")
                    .metadata("tip", "2000");
                let id = world.stripe().checkout(checkout).pay().session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .payments(&["Paid 100 + 20"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("a gratuity without a column is split off all the same")
            .settings("payment_gratuity_column = null")
            .when(|world| tipped(world, "20"))
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
    ]
}

fn currencies() -> Vec<Case> {
    vec![
        case("yen have no hundredths")
            .dumped()
            .when(|world| {
                let checkout = Checkout::new(5_000, "jpy").metadata("gratuity_amount", "500");
                let id = world.stripe().checkout(checkout).pay().session_id();
                world.invoice(bill("Sent", "4500").currency("jpy").session(id));
            })
            .payments(&["Paid 4500 + 500"])
            .invoice("Paid 4500 paid, 0 left, dated"),
        case("Stripe sends krónur times 100, which have no minor unit")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(150_000, "isk")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "2000").currency("isk").session(id));
            })
            .payments(&["Paid 1500"])
            .invoice("Partial 1500 paid, 500 left"),
        case("a total of 1240.32 krónur, of which nobody can pay the fraction")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(124_000, "isk")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "1240.32").currency("isk").session(id));
            })
            .payments(&["Paid 1240"])
            .invoice("Paid 1240 paid, 0 left, dated"),
        case("Kuwaiti dinars have thousandths")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(12_340, "kwd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "12.34").currency("kwd").session(id));
            })
            .payments(&["Paid 12.34"])
            .invoice("Paid 12.34 paid, 0 left, dated"),
        case("the default currency is a setting")
            .settings("default_currency = 'eur'")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "eur")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").session(id));
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
    ]
}

/// An invoice over 100 in dollars, paid by card.
fn paid(world: &mut World) {
    let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
    let id = session.session_id();
    world.invoice(bill("Sent", "100").session(id));
}

fn missing_columns() -> Vec<Case> {
    vec![
        case("no column for the balance")
            .settings("invoice_balance_column = null")
            .without_triggers()
            .when(paid)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 100 left, dated"),
        case("no column for the amount paid")
            .settings("invoice_amount_paid_column = null")
            .without_triggers()
            .when(paid)
            .payments(&["Paid 100"])
            .invoice("Paid 0 paid, 0 left, dated"),
        case("no column for the day of payment")
            .settings("invoice_paid_at_column = null, payment_date_column = null")
            .when(paid)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left")
            .also(|world| assert_eq!(world.days(), (None, vec![None]))),
        case("no column for the currency: all are in the default one")
            .settings("invoice_currency_column = null")
            .when(|world| {
                let session = world.stripe().checkout(Checkout::new(10_000, "usd")).pay();
                let id = session.session_id();
                world.invoice(bill("Sent", "100").currency("eur").session(id));
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("no column at all that may be missing")
            .settings(
                "invoice_number_column = null, invoice_amount_paid_column = null,
                invoice_balance_column = null, invoice_paid_at_column = null,
                invoice_currency_column = null, payment_gratuity_column = null,
                payment_date_column = null, payment_refunded_column = null,
                invoice_intent_column = null, payment_session_column = null",
            )
            .without_triggers()
            .when(|world| tipped(world, "20"))
            .payments(&["Paid 100"])
            .invoice("Paid 0 paid, 100 left"),
        case("payments have a column for the session only")
            .settings("payment_intent_column = null")
            .when(paid)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("payments have a column for the intent only")
            .settings("payment_session_column = null")
            .when(paid)
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("invoices have a column for the intent only")
            .settings("invoice_session_column = null")
            .when(|world| {
                let intent = world.stripe().intent(Intent::new(10_000, "usd")).pay();
                let id = intent.intent_id();
                world.invoice(bill("Sent", "100").session("not looked at").intent(id));
            })
            .payments(&["Paid 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
        case("payments have no status: every row counts")
            .settings("payment_status_column = null")
            .without_triggers()
            .when(paid)
            .payments(&["Pending 100"])
            .invoice("Paid 100 paid, 0 left, dated"),
    ]
}

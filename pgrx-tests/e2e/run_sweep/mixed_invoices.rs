//! Invoices of every sort, most of which need a repair.

use postgres::Client;
use stripe_double::{Checkout, Dispute, Double, Intent, Purchase, Refund};

const INSERT_INVOICE: &str = "
    insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due,
                          stripe_session_id, stripe_payment_intent)
    values ($1::text::uuid, 'INV-' || $2, 'Customer', $3, 100, 100, $4, $5)";

/// The id of an invoice by its number.
pub fn id(number: usize) -> String {
    format!("7d8e6b50-0000-4000-8000-{number:012}")
}

/// So many sorts there are.
pub const SORTS: usize = 14;

/// An invoice over 100.00 USD of each of these sorts, with what Stripe has of it.
pub fn fill(stripe: &Double, db: &mut Client, sorts: impl Iterator<Item = usize>) {
    for (number, sort) in sorts.enumerate() {
        Entry {
            stripe,
            db,
            id: id(number),
            number: format!("{number:04}"),
        }
        .make(sort);
    }
}

/// An invoice to be made.
struct Entry<'a> {
    stripe: &'a Double,
    db: &'a mut Client,
    id: String,
    number: String,
}

impl Entry<'_> {
    fn make(mut self, sort: usize) {
        match sort {
            0..=3 => {
                let paid = self.checkout(10_000).pay();
                self.invoice("Sent", Some(&paid.session_id()), None);
            }
            4 => {
                let paid = self.stripe.intent(Intent::new(10_000, "usd")).pay();
                self.invoice("Sent", None, Some(&paid.intent_id()));
            }
            5 => {
                self.checkout(4_000).pay();
                let balance = self.checkout(6_000).pay();
                self.invoice("Sent", Some(&balance.session_id()), None);
            }
            6 => self.refunded(Refund::of(2_500)),
            7 => self.refunded(Refund::whole()),
            8 => {
                let paid = self.checkout(10_000).pay();
                self.invoice("Sent", Some(&paid.session_id()), None);
                self.payment("Pending", Some(&paid.session_id()));
            }
            9 => {
                let open = self.checkout(10_000);
                self.invoice("Sent", Some(&open.session_id()), None);
            }
            10 => {
                self.checkout(10_000).pay();
                self.invoice("Sent", None, None);
            }
            11 => {
                let paid = self.stripe.checkout(Checkout::new(10_000, "eur")).pay();
                self.invoice("Sent", Some(&paid.session_id()), None);
            }
            12 => {
                self.invoice("Sent", None, None);
                self.payment("Paid", None);
            }
            _ => {
                let paid = self.checkout(10_000).pay();
                paid.dispute(Dispute::new("needs_response"));
                self.invoice("Paid", Some(&paid.session_id()), None);
            }
        }
    }

    /// That names the invoice.
    fn checkout(&self, amount: i64) -> Purchase {
        let checkout = Checkout::new(amount, "usd").metadata("invoice_id", &*self.id);
        self.stripe.checkout(checkout)
    }

    fn refunded(&mut self, refund: Refund) {
        let paid = self.checkout(10_000).pay();
        paid.refund(refund);
        self.invoice("Sent", Some(&paid.session_id()), None);
    }

    fn invoice(&mut self, status: &str, session: Option<&str>, intent: Option<&str>) {
        self.db
            .execute(
                INSERT_INVOICE,
                &[&self.id, &self.number, &status, &session, &intent],
            )
            .expect("the invoice is inserted");
    }

    /// A row that the application wrote, over the whole amount.
    fn payment(&mut self, status: &str, session: Option<&str>) {
        self.db
            .execute(
                "insert into payments (invoice_id, payment_name, payment_status, total_amount, transaction_date, stripe_session_id)
                values ($1::text::uuid, 'By hand', $2, 100, '2026-01-31', $3)",
                &[&self.id, &status, &session],
            )
            .expect("the payment is inserted");
    }
}

//! A sale whose webhook was lost: paid in Stripe, open in the books.

use std::ops::Range;

use stripe_double::Checkout;

use super::Shop;

pub struct Sale {
    pub invoice: String,
    pub session: String,
    pub intent: String,
}

impl Sale {
    /// Creates a sale of 100.00 USD, with this invoice number.
    pub fn unbooked(shop: &mut Shop, number: &str) -> Self {
        Self::by(shop, number, Checkout::new(10_000, "usd"))
    }

    /// As [`Self::unbooked`], by a session that names the invoice, so that its event says enough by itself.
    pub fn named(shop: &mut Shop, number: &str) -> Self {
        let checkout = Checkout::new(10_000, "usd").metadata("invoice_id", number);
        Self::by(shop, number, checkout)
    }

    fn by(shop: &mut Shop, number: &str, checkout: Checkout) -> Self {
        let paid = shop.stripe.checkout(checkout).pay();
        let session = paid.session_id();
        let invoice: String = shop
            .db
            .query_one(
                "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
                values ($1, 'Customer', 'Sent', 100, $2) returning id::text",
                &[&number, &session],
            )
            .expect("the invoice is inserted")
            .get(0);
        Self {
            invoice,
            session,
            intent: paid.intent_id(),
        }
    }

    /// Creates this many sales.
    pub fn many(shop: &mut Shop, count: usize) -> Vec<Self> {
        (0..count)
            .map(|n| Self::unbooked(shop, &format!("INV-{n}")))
            .collect()
    }

    /// As [`Self::named`], for each of these numbers.
    pub fn many_named(shop: &mut Shop, numbers: Range<usize>) -> Vec<Self> {
        numbers
            .map(|n| Self::named(shop, &format!("INV-{n}")))
            .collect()
    }

    /// Returns the call of `sync_invoice`, as the button makes it.
    pub fn sync(&self) -> String {
        format!("invoice_sync.sync_invoice('{}')", self.invoice)
    }
}

impl Shop {
    /// The application's own handler books a payment of 100.00 for a new invoice with this number.
    pub fn book_for_another(&mut self, number: &str, intent: &str) {
        self.execute(&format!(
            "with other as (
                insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
                values ('{number}', 'Customer', 'Paid', 100, 100, 0) returning id)
            insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
            select id, 'Handler', 'Paid', 100, '{intent}' from other"
        ));
    }
}

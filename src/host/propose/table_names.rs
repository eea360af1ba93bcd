//! Usual names of the tables of invoices and of payments.

use crate::domain::words::squash;
use crate::host::catalog::Table;

/// Usual names of tables, as [`squash`] returns them.
pub(super) struct Names {
    whole: &'static [&'static str],
    other: &'static [&'static str],
    /// Parts that a matching name must not contain.
    not: &'static [&'static str],
    /// Words, in the singular, with which a matching name must not end.
    not_last: &'static [&'static str],
}

pub(super) const INVOICES: Names = Names {
    whole: &["invoices", "invoice"],
    other: &["bills", "bill", "orders", "order", "bookings", "booking"],
    not: &[
        "payment",
        "transaction",
        "receipt",
        "charge",
        "refund",
        "line",
        "item",
        "payout",
        "credit_note",
        "credit_memo",
        "estimate",
        "quote",
        "quotation",
        "proforma",
        "recurring",
        "draft",
        "template",
        "supplier",
        "vendor",
        "purchase",
        "expense",
    ],
    not_last: &[
        "subscription",
        "cart",
        "status",
        "statuses",
        "state",
        "type",
        "setting",
        "config",
        "history",
        "histories",
        "log",
        "event",
        "note",
        "message",
        "reminder",
        "request",
        "session",
        "tag",
        "file",
        "attachment",
        "address",
        "addresses",
        "tax",
        "taxes",
        "fee",
        "discount",
        "adjustment",
        "shipment",
        "fulfillment",
        "sequence",
        "counter",
    ],
};

pub(super) const PAYMENTS: Names = Names {
    whole: &["payments", "payment"],
    other: &["transactions", "transaction", "receipts", "receipt"],
    not: &[
        "invoice_lines",
        "line",
        "item",
        "reminder",
        "event",
        "log",
        "intent",
        "method",
        "link",
        "request",
        "plan",
        "payout",
        "refund",
        "allocation",
        "dispute",
        "supplier",
        "vendor",
        "purchase",
        "expense",
    ],
    not_last: &[
        "status",
        "statuses",
        "state",
        "type",
        "setting",
        "config",
        "fee",
        "note",
        "provider",
        "gateway",
        "profile",
        "token",
        "term",
        "file",
        "attachment",
    ],
};

impl Names {
    pub(super) fn rate(&self, table: &Table) -> i32 {
        let name = squash(&table.bare_name);
        let is_whole_name = |name: &str| self.whole.contains(&name);
        let singular = name.strip_suffix('s').unwrap_or(&name);
        let ends_otherwise = |word: &&str| name.ends_with(*word) || singular.ends_with(*word);
        if is_whole_name(&name) {
            100
        } else if self.not.iter().any(|word| name.contains(&squash(word)))
            || self.not_last.iter().any(ends_otherwise)
        {
            -1
        } else if self.whole.iter().any(|whole| name.ends_with(whole)) {
            60
        } else if self.whole.iter().any(|whole| name.contains(whole)) {
            30
        } else if self.other.contains(&name.as_str()) {
            20
        } else if self.other.contains(&last_part(&table.bare_name).as_str()) {
            // The name of a module before it: shop_orders.
            10
        } else {
            0
        }
    }
}

/// Returns what follows the last underscore of a name.
fn last_part(name: &str) -> String {
    squash(name.rsplit('_').next().unwrap_or(name))
}

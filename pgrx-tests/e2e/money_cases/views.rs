//! Views in place of a host's tables.

use super::hosts::{Bill, DefaultTables, Host, HostileTables, Row};

/// The tables of another host behind views, which have the tables' names.
pub struct Views {
    name: &'static str,
    /// The tables, and the views of them.
    tables: String,
    host: Box<dyn Host>,
}

impl Views {
    pub fn of_default_tables() -> Self {
        Self {
            name: "views of the default tables",
            tables: DefaultTables.tables().to_owned() + include_str!("default_views.sql"),
            host: Box::new(DefaultTables),
        }
    }

    pub fn of_hostile_tables() -> Self {
        Self {
            name: "views of the hostile tables",
            tables: HostileTables.tables().to_owned() + include_str!("hostile_views.sql"),
            host: Box::new(HostileTables),
        }
    }
}

impl Host for Views {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tables(&self) -> &str {
        &self.tables
    }

    fn settings(&self) -> &'static str {
        self.host.settings()
    }

    fn invoices(&self) -> &'static str {
        self.host.invoices()
    }

    fn payments(&self) -> &'static str {
        self.host.payments()
    }

    fn invoice_ids(&self) -> [&'static str; 3] {
        self.host.invoice_ids()
    }

    fn invoice_number(&self) -> &'static str {
        self.host.invoice_number()
    }

    fn payment_ids(&self) -> [&'static str; 4] {
        self.host.payment_ids()
    }

    fn insert_invoice(&self, bill: &Bill) -> String {
        self.host.insert_invoice(bill)
    }

    fn insert_payment(&self, invoice: &str, currency: &str, row: &Row) -> String {
        self.host.insert_payment(invoice, currency, row)
    }

    fn read_invoices(&self, currency: &str) -> String {
        self.host.read_invoices(currency)
    }

    fn read_payments(&self, currency: &str) -> String {
        self.host.read_payments(currency)
    }

    fn invoice_words(&self) -> &'static [(&'static str, &'static str)] {
        self.host.invoice_words()
    }

    fn payment_words(&self) -> &'static [(&'static str, &'static str)] {
        self.host.payment_words()
    }

    fn has_refunded_column(&self) -> bool {
        self.host.has_refunded_column()
    }

    fn recomputes(&self) -> bool {
        self.host.recomputes()
    }

    fn day_of_1_700_000_000(&self) -> &'static str {
        self.host.day_of_1_700_000_000()
    }
}

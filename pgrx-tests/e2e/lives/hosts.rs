//! The application's tables, in three makes with the same names of tables and columns.

/// How a shop keeps its books.
pub struct Host {
    pub name: &'static str,
    tables: fn() -> String,
    settings: &'static str,
    /// How many of the amount columns' units make a cent, as SQL.
    pub per_cent: &'static str,
}

/// The tables of the demonstration.
pub const DEFAULT: Host = Host {
    name: "default",
    tables: || crate::harness::DEFAULT_TABLES.to_owned(),
    settings: "",
    per_cent: "0.01",
};

/// Amounts in cents, in integers.
pub const MINOR_UNITS: Host = Host {
    name: "minor",
    tables: || {
        crate::harness::DEFAULT_TABLES.replace("numeric(12, 3)", "bigint")
            + "alter table payments add amount_refunded bigint;"
    },
    settings: ", amount_unit = 'minor', payment_refunded_column = 'amount_refunded'",
    per_cent: "1",
};

/// Triggers that do the invoice's sums by themselves, and a constraint that lets a payment
/// in once.
pub const TRIGGERS: Host = Host {
    name: "triggers",
    tables: || crate::harness::DEFAULT_TABLES.to_owned() + include_str!("triggers.sql"),
    settings: ", payment_refunded_column = 'amount_refunded'",
    per_cent: "0.01",
};

impl Host {
    /// All that a shop's database has before its life begins.
    pub fn statements(&self) -> String {
        format!(
            "{}; create extension invoice_sync;
            update invoice_sync.settings
            set webhook_budget_ms = 400, alert_sender = 'shop@example.com',
                alert_recipients = '{{books@example.com}}', alert_minimum_severity = 'notice',
                alert_reminder_after = null{};",
            (self.tables)(),
            self.settings,
        )
    }
}

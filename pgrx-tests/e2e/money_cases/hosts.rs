//! The application's tables in two forms, default and hostile; cases use the same words and major units for both; and views of both.

/// An application's tables, and how a test writes and reads them.
pub trait Host {
    /// For messages.
    fn name(&self) -> &'static str;
    /// The statements that make the tables.
    fn tables(&self) -> &str;
    /// The statements that tell the extension of them.
    fn settings(&self) -> &'static str;
    /// Quoted, with its schema.
    fn invoices(&self) -> &'static str;
    /// Quoted, with its schema.
    fn payments(&self) -> &'static str;
    /// The invoices' columns, quoted: key, session, intent.
    fn invoice_ids(&self) -> [&'static str; 3];
    /// The invoices' column of what people call them, quoted.
    fn invoice_number(&self) -> &'static str;
    /// The payments' columns, quoted: key, invoice, session, intent.
    fn payment_ids(&self) -> [&'static str; 4];
    /// `insert into … returning …::text` of an invoice.
    fn insert_invoice(&self, bill: &Bill) -> String;
    /// `insert into …` of a payment row.
    fn insert_payment(&self, invoice: &str, currency: &str, row: &Row) -> String;
    /// `select` of the columns status, paid, balance and day, all text, of all invoices.
    fn read_invoices(&self, currency: &str) -> String;
    /// `select` of the columns status, amount, gratuity, refunded and day, all text, of all payments.
    fn read_payments(&self, currency: &str) -> String;
    /// Pairs of the default tables' word and this host's, of invoices.
    fn invoice_words(&self) -> &'static [(&'static str, &'static str)];
    /// Pairs of the default tables' word and this host's, of payments.
    fn payment_words(&self) -> &'static [(&'static str, &'static str)];
    /// Whether payments have a column for what went back.
    fn has_refunded_column(&self) -> bool;
    /// Whether triggers of the host's write the invoice's amounts and status too.
    fn recomputes(&self) -> bool;
    /// The day, in the host's time zone, of 2023-11-14 22:13:20 UTC (1700000000).
    fn day_of_1_700_000_000(&self) -> &'static str;
}

/// An invoice to be written. Amounts in major units.
#[derive(Clone, Debug)]
pub struct Bill {
    pub status: &'static str,
    pub total: &'static str,
    pub paid: &'static str,
    /// Nothing means: all that is not paid.
    pub balance: Option<&'static str>,
    pub day: Option<&'static str>,
    pub currency: Option<&'static str>,
    pub session: Option<String>,
    pub intent: Option<String>,
}

/// An invoice over `total`, nothing paid.
pub fn bill(status: &'static str, total: &'static str) -> Bill {
    Bill {
        status,
        total,
        paid: "0",
        balance: None,
        day: None,
        currency: None,
        session: None,
        intent: None,
    }
}

impl Bill {
    pub fn paid(mut self, amount: &'static str) -> Self {
        self.paid = amount;
        self
    }

    pub fn balance(mut self, amount: &'static str) -> Self {
        self.balance = Some(amount);
        self
    }

    pub fn day(mut self, day: &'static str) -> Self {
        self.day = Some(day);
        self
    }

    pub fn currency(mut self, code: &'static str) -> Self {
        self.currency = Some(code);
        self
    }

    pub fn session(mut self, id: impl Into<String>) -> Self {
        self.session = Some(id.into());
        self
    }

    pub fn intent(mut self, id: impl Into<String>) -> Self {
        self.intent = Some(id.into());
        self
    }
}

/// A payment row to be written. Amounts in major units.
#[derive(Clone, Debug)]
pub struct Row {
    pub status: &'static str,
    pub amount: &'static str,
    pub gratuity: &'static str,
    pub day: Option<&'static str>,
    pub session: Option<String>,
    pub intent: Option<String>,
}

/// A row without Stripe ids: cash, until it says otherwise.
pub fn row(status: &'static str, amount: &'static str) -> Row {
    Row {
        status,
        amount,
        gratuity: "0",
        day: None,
        session: None,
        intent: None,
    }
}

impl Row {
    pub fn day(mut self, day: &'static str) -> Self {
        self.day = Some(day);
        self
    }

    pub fn session(mut self, id: impl Into<String>) -> Self {
        self.session = Some(id.into());
        self
    }

    pub fn intent(mut self, id: impl Into<String>) -> Self {
        self.intent = Some(id.into());
        self
    }
}

/// The tables of the demonstration.
pub struct DefaultTables;

impl Host for DefaultTables {
    fn name(&self) -> &'static str {
        "the default tables"
    }

    fn tables(&self) -> &'static str {
        crate::harness::DEFAULT_TABLES
    }

    fn settings(&self) -> &'static str {
        "insert into invoice_sync.settings default values"
    }

    fn invoices(&self) -> &'static str {
        "public.invoices"
    }

    fn payments(&self) -> &'static str {
        "public.payments"
    }

    fn invoice_ids(&self) -> [&'static str; 3] {
        ["id", "stripe_session_id", "stripe_payment_intent"]
    }

    fn invoice_number(&self) -> &'static str {
        "invoice_number"
    }

    fn payment_ids(&self) -> [&'static str; 4] {
        [
            "id",
            "invoice_id",
            "stripe_session_id",
            "stripe_payment_intent",
        ]
    }

    fn insert_invoice(&self, bill: &Bill) -> String {
        format!(
            "insert into invoices (
                invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due,
                paid_date, currency, stripe_session_id, stripe_payment_intent)
            select 'INV-' || count(*) + 1, 'Ada', {}, {}, {}, coalesce({}, {}::numeric - {}::numeric),
                   {}, {}, {}, {}
            from invoices
            returning id::text",
            literal(Some(bill.status)),
            bill.total,
            bill.paid,
            literal(bill.balance) + "::numeric",
            bill.total,
            bill.paid,
            literal(bill.day) + "::timestamptz",
            literal(bill.currency),
            literal(bill.session.as_deref()),
            literal(bill.intent.as_deref()),
        )
    }

    fn insert_payment(&self, invoice: &str, _currency: &str, row: &Row) -> String {
        format!(
            "insert into payments (
                invoice_id, payment_name, payment_status, total_amount, gratuity, transaction_date,
                stripe_session_id, stripe_payment_intent)
            values ('{invoice}', 'By the application', {}, {}, {}, {}, {}, {})",
            literal(Some(row.status)),
            row.amount,
            row.gratuity,
            literal(row.day),
            literal(row.session.as_deref()),
            literal(row.intent.as_deref()),
        )
    }

    fn read_invoices(&self, _currency: &str) -> String {
        "select id::text as key, invoice_status as status, trim_scale(amount_paid)::text as paid,
                trim_scale(balance_due)::text as balance,
                to_char(paid_date at time zone 'UTC', 'YYYY-MM-DD') as day
        from invoices"
            .to_owned()
    }

    fn read_payments(&self, _currency: &str) -> String {
        "select invoice_id::text as invoice, payment_status as status,
                trim_scale(total_amount)::text as amount, trim_scale(gratuity)::text as gratuity,
                null as refunded, transaction_date::text as day
        from payments p order by p.total_amount, p.payment_status"
            .to_owned()
    }

    fn invoice_words(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn payment_words(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn has_refunded_column(&self) -> bool {
        false
    }

    fn recomputes(&self) -> bool {
        false
    }

    fn day_of_1_700_000_000(&self) -> &'static str {
        "2023-11-14"
    }
}

/// Everything at once that real tables do to a guest.
pub struct HostileTables;

impl Host for HostileTables {
    fn name(&self) -> &'static str {
        "the hostile tables"
    }

    fn tables(&self) -> &'static str {
        include_str!("hostile_tables.sql")
    }

    fn settings(&self) -> &'static str {
        include_str!("hostile_settings.sql")
    }

    fn invoices(&self) -> &'static str {
        r#""Billing Data"."order""#
    }

    fn payments(&self) -> &'static str {
        r#""Billing Data"."group""#
    }

    fn invoice_ids(&self) -> [&'static str; 3] {
        [r#""Key""#, r#""session""#, r#""select""#]
    }

    fn invoice_number(&self) -> &'static str {
        r#""No.""#
    }

    fn payment_ids(&self) -> [&'static str; 4] {
        [r#""from""#, r#""for""#, r#""Session Id""#, r#""Intent""#]
    }

    fn insert_invoice(&self, bill: &Bill) -> String {
        let unit = minor_units(bill.currency.unwrap_or("usd"));
        format!(
            r#"insert into "Billing Data"."order" (
                "No.", "user", "Org ""1""", "State", "total", "Paid So Far", "left", "when", "Currency", "session", "select")
            select count(*) + 1, 'Ada', 42, {}, {} * {unit}, {} * {unit},
                   coalesce({}::numeric, {}::numeric - {}::numeric) * {unit}, {}::date, {}, {}, {}
            from "Billing Data"."order"
            returning "Key"::text"#,
            literal(Some(self.invoice_word(bill.status)))
                + r#"::"Billing Data"."State of an Order""#,
            bill.total,
            bill.paid,
            literal(bill.balance),
            bill.total,
            bill.paid,
            literal(bill.day),
            literal(bill.currency.map(str::to_uppercase).as_deref()),
            literal(bill.session.as_deref()),
            literal(bill.intent.as_deref()),
        )
    }

    fn insert_payment(&self, invoice: &str, currency: &str, row: &Row) -> String {
        let unit = minor_units(currency);
        format!(
            r#"insert into "Billing Data"."group" (
                "for", "State", "amount", "Tip", "when", "Session Id", "Intent", "Org ""1""", "how", "remark")
            values ({invoice}, {}, {} * {unit}, {} * {unit}, {}, {}, {}, 42, 'cash', 'by the application')"#,
            literal(Some(self.payment_word(row.status))),
            row.amount,
            row.gratuity,
            literal(row.day),
            literal(row.session.as_deref()),
            literal(row.intent.as_deref()),
        )
    }

    fn read_invoices(&self, currency: &str) -> String {
        let unit = minor_units(currency);
        format!(
            r#"select "Key"::text as key, "State"::text as status,
                      trim_scale("Paid So Far"::numeric / {unit})::text as paid,
                      trim_scale("left"::numeric / {unit})::text as balance, "when"::text as day
            from "Billing Data"."order""#
        )
    }

    fn read_payments(&self, currency: &str) -> String {
        let unit = minor_units(currency);
        format!(
            r#"select "for"::text as invoice, "State"::text as status,
                      trim_scale("amount"::numeric / {unit})::text as amount,
                      trim_scale("Tip"::numeric / {unit})::text as gratuity,
                      trim_scale("Back"::numeric / {unit})::text as refunded, "when"::text as day
            from "Billing Data"."group" p order by p."amount", p."State" <> 'done'"#
        )
    }

    fn invoice_words(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("Draft", "draft"),
            ("Sent", "awaiting money"),
            ("On hold", "customer's query"),
            ("Partial", "partly paid"),
            ("Paid", "settled"),
            ("Overdue", "late"),
            ("Cancelled", "void"),
        ]
    }

    fn payment_words(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("Pending", "expected"),
            ("Overdue", "late"),
            ("Paid", "done"),
            ("Refunded", "gone back"),
            ("Disputed", "fought over"),
            ("Bounced", "bounced"),
        ]
    }

    fn has_refunded_column(&self) -> bool {
        true
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn day_of_1_700_000_000(&self) -> &'static str {
        // Its days are those of Auckland.
        "2023-11-15"
    }
}

impl HostileTables {
    fn invoice_word(&self, word: &'static str) -> &'static str {
        translate(self.invoice_words(), word)
    }

    fn payment_word(&self, word: &'static str) -> &'static str {
        translate(self.payment_words(), word)
    }
}

fn translate(words: &[(&'static str, &'static str)], word: &'static str) -> &'static str {
    words
        .iter()
        .find(|(default, _)| *default == word)
        .unwrap_or_else(|| panic!("the hostile tables have no word for \"{word}\""))
        .1
}

/// How many of the minor unit of ISO 4217 make one of the major.
fn minor_units(currency: &str) -> &'static str {
    match currency {
        "jpy" | "isk" | "ugx" => "1",
        "kwd" | "tnd" => "1000",
        _ => "100",
    }
}

/// A literal of SQL.
pub fn literal(text: Option<&str>) -> String {
    text.map_or_else(
        || "null".to_owned(),
        |text| format!("'{}'", text.replace('\'', "''")),
    )
}

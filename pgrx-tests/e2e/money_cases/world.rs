//! The invoice of a case in a shop, for either form of the tables.

use std::collections::BTreeMap;

use serde_json::Value;
use stripe_double::{Double, Purchase};

use super::hosts::{Bill, Host, Row, literal};
use crate::harness::Shop;

/// What a case arranges and looks at.
pub struct World<'a> {
    pub shop: &'a mut Shop,
    host: &'a dyn Host,
    invoice: Option<String>,
    currency: String,
    kept: BTreeMap<&'static str, String>,
}

/// The host's rows as they are, by table and primary key.
pub type Books = BTreeMap<(String, String), Value>;

impl<'a> World<'a> {
    pub fn new(shop: &'a mut Shop, host: &'a dyn Host) -> Self {
        Self {
            shop,
            host,
            invoice: None,
            currency: "usd".to_owned(),
            kept: BTreeMap::new(),
        }
    }

    pub fn stripe(&self) -> &Double {
        &self.shop.stripe
    }

    /// Writes the case's invoice, past all triggers.
    pub fn invoice(&mut self, bill: Bill) {
        self.currency = bill.currency.unwrap_or("usd").to_owned();
        let statement = self.host.insert_invoice(&bill);
        let id = self.past_triggers(|shop| shop.rows(&statement).remove(0).get(0));
        self.invoice = Some(id);
    }

    /// Writes a payment row of the invoice, past all triggers.
    pub fn row(&mut self, row: Row) {
        let statement = self
            .host
            .insert_payment(&self.id(), &self.currency.clone(), &row);
        self.past_triggers(|shop| shop.execute(&statement));
    }

    /// Lets the invoice store another session.
    pub fn store_session(&mut self, id: &str) {
        let [key, session, _] = self.host.invoice_ids();
        self.store(key, session, id);
    }

    /// Lets the invoice store another intent.
    pub fn store_intent(&mut self, id: &str) {
        let [key, _, intent] = self.host.invoice_ids();
        self.store(key, intent, id);
    }

    fn store(&mut self, key: &str, column: &str, id: &str) {
        let statement = format!(
            "update {} set {column} = {} where {key} = '{}'",
            self.host.invoices(),
            literal(Some(id)),
            self.id()
        );
        self.past_triggers(|shop| shop.execute(&statement));
    }

    /// The invoice's id, as text.
    pub fn id(&self) -> String {
        self.invoice.clone().expect("the case has an invoice")
    }

    pub fn host(&self) -> &dyn Host {
        self.host
    }

    /// The session that the invoice stores.
    pub fn stored_session(&mut self) -> String {
        let [_, session, _] = self.host.invoice_ids();
        self.column(session)
    }

    /// What people call the invoice.
    pub fn number(&mut self) -> String {
        self.column(self.host.invoice_number())
    }

    fn column(&mut self, column: &str) -> String {
        let [key, ..] = self.host.invoice_ids();
        let query = format!(
            "select {column} from {} where {key} = '{}'",
            self.host.invoices(),
            self.id()
        );
        self.shop
            .text(&query)
            .unwrap_or_else(|| panic!("the invoice's {column} is null"))
    }

    /// Remembers an id for a later step.
    pub fn keep(&mut self, what: &'static str, id: String) {
        self.kept.insert(what, id);
    }

    /// An id that an earlier step kept.
    pub fn kept(&self, what: &'static str) -> String {
        self.kept
            .get(what)
            .unwrap_or_else(|| panic!("no step kept the {what}"))
            .clone()
    }

    /// The purchase whose id an earlier step kept.
    pub fn purchase(&self, what: &'static str) -> Purchase {
        self.stripe().purchase(self.kept(what))
    }

    fn past_triggers<T>(&mut self, act: impl FnOnce(&mut Shop) -> T) -> T {
        self.shop
            .execute("set session_replication_role = 'replica'");
        let done = act(self.shop);
        self.shop.execute("reset session_replication_role");
        done
    }

    /// `Paid 125 paid, 0 left, dated`.
    pub fn invoice_line(&mut self) -> String {
        let query = format!(
            "select status, coalesce(paid, '-'), coalesce(balance, '-'), day is not null
            from ({}) i where key = '{}'",
            self.host.read_invoices(&self.currency),
            self.id()
        );
        let row = self.shop.rows(&query).remove(0);
        let status = default_word(self.host.invoice_words(), row.get(0));
        let (paid, balance): (String, String) = (row.get(1), row.get(2));
        let dated = if row.get(3) { ", dated" } else { "" };
        format!("{status} {paid} paid, {balance} left{dated}")
    }

    /// The invoice's day, and those of its payments.
    pub fn days(&mut self) -> (Option<String>, Vec<Option<String>>) {
        let (invoices, payments) = (
            self.host.read_invoices(&self.currency),
            self.host.read_payments(&self.currency),
        );
        let id = self.id();
        let of_invoice = self.shop.text(&format!(
            "select day from ({invoices}) i where key = '{id}'"
        ));
        let of_payments = self.shop.texts(&format!(
            "select day from ({payments}) p where invoice = '{id}'"
        ));
        (of_invoice, of_payments)
    }

    /// `Paid 100 + 20 - 30` for each row, by amount: the amount, the gratuity
    /// beside it, and what of it went back.
    pub fn payment_lines(&mut self) -> Vec<String> {
        let query = format!(
            "select status, amount, coalesce(nullif(gratuity, '0'), ''), coalesce(nullif(refunded, '0'), '')
            from ({}) p where invoice = '{}'",
            self.host.read_payments(&self.currency),
            self.id()
        );
        let rows = self.shop.rows(&query);
        rows.iter()
            .map(|row| {
                let status = default_word(self.host.payment_words(), row.get(0));
                let amount: String = row.get(1);
                let part = |sign: &str, column: usize| match row.get::<_, String>(column) {
                    none if none.is_empty() => none,
                    amount => format!(" {sign} {amount}"),
                };
                format!("{status} {amount}{}{}", part("+", 2), part("-", 3))
            })
            .collect()
    }

    /// `severity kind` of each open issue of the invoice, and of the one about its status word.
    pub fn issue_lines(&mut self) -> Vec<String> {
        let query = format!(
            "select format('%s %s', severity, kind) from invoice_sync.open_issues
            where invoice_id = '{id}' or invoice_id is null and kind = 'unknown_status'
              and object in (select status from ({invoices}) i where key = '{id}')
            order by 1",
            id = self.id(),
            invoices = self.host.read_invoices(&self.currency),
        );
        self.shop.texts(&query).into_iter().flatten().collect()
    }

    /// The evidence of the invoice's open issue of a kind.
    pub fn issue_evidence(&mut self, kind: &str) -> Value {
        let id = self.id();
        self.shop.json(&format!(
            "evidence from invoice_sync.open_issues where invoice_id = '{id}' and kind = '{kind}'"
        ))
    }

    /// When Stripe will be asked again: `less and less often`, `later` or `never`.
    pub fn next_check(&mut self) -> String {
        let query = format!(
            "select case when next_check_at is null then 'never' when back_off is not null then 'less and less often' else 'later' end
            from (select invoice_id from invoice_sync.stripe_payment
                  union select invoice_id from invoice_sync.invoice_check) i
            left join invoice_sync.invoice_check k using (invoice_id)
            where invoice_id = '{}'",
            self.id()
        );
        self.shop
            .text(&query)
            .unwrap_or_else(|| "not known".to_owned())
    }

    /// All rows of the invoice, as they stand.
    pub fn books(&mut self) -> Books {
        let [key, ..] = self.host.invoice_ids();
        let [row_key, invoice, ..] = self.host.payment_ids();
        let id = self.id();
        let query = format!(
            "select '{invoices}', {key}::text, to_jsonb(t) from {invoices} t where {key} = '{id}'
            union all
            select '{payments}', {row_key}::text, to_jsonb(t) from {payments} t where {invoice} = '{id}'",
            invoices = self.host.invoices(),
            payments = self.host.payments(),
        );
        let rows = self.shop.rows(&query);
        rows.iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)))
            .collect()
    }

    /// A word about the contents of every table and sequence that a run could touch.
    pub fn fingerprint(&mut self) -> Vec<Option<String>> {
        let tables = [
            self.host.invoices(),
            self.host.payments(),
            "invoice_sync.settings",
            "invoice_sync.run",
            "invoice_sync.change",
            "invoice_sync.issue",
            "invoice_sync.invoice_check",
            "invoice_sync.stripe_payment",
            // But for the handle of the limiter's shared memory, which any session may renew.
            "(select * from pg_sequences where sequencename <> 'limiter_segment')",
        ];
        let query = tables.map(|table| {
            format!(
                "select $t${table} $t$ || md5(string_agg(t::text, ' ' order by t::text)) from {table} t"
            )
        });
        self.shop.texts(&query.join(" union all "))
    }

    /// How many changes the ledger has of the invoice.
    pub fn changes(&mut self) -> usize {
        let id = self.id();
        self.shop
            .rows(&format!(
                "select from invoice_sync.change where invoice_id = '{id}'"
            ))
            .len()
    }
}

fn default_word(words: &[(&str, &str)], word: String) -> String {
    words
        .iter()
        .find(|(_, own)| *own == word)
        .map_or(word, |(default, _)| (*default).to_owned())
}

//! Proposes which rows count where a table contains other things as well: estimates and credit notes beside invoices,
//! refunds and authorizations beside payments.

use std::collections::BTreeSet;

use crate::domain::words::{is_among, squash};
use crate::host::catalog::{Column, Table};
use crate::host::owner::reading_as;
use crate::host::propose::relations::Relations;
use crate::host::propose::words::Vocabulary;
use crate::pg::sql;

/// Usual names of columns and words that tell the rows of one table from its others.
pub(super) struct Kinds {
    /// Columns that contain a word for the kind of a row, the most likely first.
    columns: &'static [&'static str],
    /// Words of rows that count.
    counting: &'static [&'static str],
    /// Words of rows that do not.
    other: &'static [&'static str],
    /// Boolean columns that are true for rows that do not count.
    flags: &'static [&'static str],
    /// What the other rows are, for people.
    others_are: &'static str,
}

pub(super) const INVOICES: Kinds = Kinds {
    columns: &[
        "invoice_type",
        "document_type",
        "doc_type",
        "move_type",
        "order_type",
        "record_type",
        "type",
        "kind",
    ],
    counting: &[
        "invoice",
        "sales_invoice",
        "customer_invoice",
        "out_invoice",
        "standard",
        "standard_invoice",
        "regular",
        "order",
    ],
    other: &[
        "estimate",
        "quote",
        "quotation",
        "offer",
        "proposal",
        "proforma",
        "pro_forma",
        "proforma_invoice",
        "credit_note",
        "credit_memo",
        "creditnote",
        "refund",
        "out_refund",
        "in_refund",
        "in_invoice",
        "in_receipt",
        "out_receipt",
        "entry",
        "bill",
        "purchase",
        "purchase_invoice",
        "purchase_order",
        "supplier_invoice",
        "vendor_bill",
        "vendor_invoice",
        "expense",
        "delivery_note",
        "cart",
        "wishlist",
        "template",
        "invoice_template",
        "invoice_recurring",
        "bill_recurring",
    ],
    flags: &[
        "is_estimate",
        "is_quote",
        "is_quotation",
        "is_proposal",
        "is_proforma",
        "is_pro_forma",
        "is_template",
        "is_credit_note",
        "is_refund",
        "is_cancellation",
        "is_cart",
        "is_bill",
        "is_expense",
    ],
    others_are: "other documents than invoices",
};

pub(super) const PAYMENTS: Kinds = Kinds {
    columns: &[
        "transaction_type",
        "payment_type",
        "transaction_kind",
        "entry_type",
        "operation",
        "record_type",
        "direction",
        "type",
        "kind",
    ],
    counting: &[
        "payment",
        "invoice_payment",
        "customer_payment",
        "capture",
        "charge",
        "sale",
        "income",
        "inbound",
        "incoming",
        "in",
    ],
    other: &[
        "refund",
        "partial_refund",
        "full_refund",
        "reversal",
        "void",
        "chargeback",
        "dispute",
        "intent",
        "authorization",
        "authorisation",
        "authorize",
        "authorise",
        "auth",
        "expense",
        "outbound",
        "outgoing",
        "out",
        "payout",
        "withdrawal",
        "platform_fee",
        "application_fee",
        "credit_note",
    ],
    flags: &["is_refund", "is_reversal", "is_payout", "is_expense"],
    others_are: "other things than payments that were received",
};

/// Words of rows that take from what was received if their amounts are negative.
const TAKEN_OFF: &[&str] = &[
    "refund",
    "partial_refund",
    "full_refund",
    "reversal",
    "chargeback",
    "credit_note",
];

/// Which rows count.
pub(super) struct Counting {
    pub(super) condition: String,
    pub(super) reason: String,
    /// The column and the word that new rows need in order to count.
    pub(super) word: Option<(String, String)>,
}

impl Kinds {
    /// Returns what the table's rows, types and constraints say; `None` if all rows may count. `mapped` columns mean
    /// something else. A refund that is negative, by `amount`, counts as such.
    pub(super) fn counting(
        &self,
        relations: &Relations,
        table: &Table,
        mapped: &BTreeSet<String>,
        amount: Option<&Column>,
    ) -> Option<Counting> {
        let free = |wanted: &str| {
            let mut columns = table.columns.iter();
            columns.find(|(name, _)| squash(name) == squash(wanted) && !mapped.contains(*name))
        };
        let flag = self.flags.iter().find_map(|wanted| free(wanted));
        let flag = flag.filter(|(_, column)| column.base == "bool");
        let by_flag = flag.map(|(name, column)| Counting {
            condition: format!("{} is not true", column.quoted),
            reason: format!("{name} marks {}", self.others_are),
            word: None,
        });
        let mut columns = self.columns.iter().filter_map(|wanted| free(wanted));
        let by_word =
            columns.find_map(|(name, column)| self.by_word(relations, table, name, column, amount));
        match (by_flag, by_word) {
            (Some(flag), Some(word)) => Some(Counting {
                condition: format!("{} and {}", flag.condition, word.condition),
                reason: format!("{}; {}", flag.reason, word.reason),
                word: word.word,
            }),
            (flag, word) => flag.or(word),
        }
    }

    fn by_word(
        &self,
        relations: &Relations,
        table: &Table,
        name: &str,
        column: &Column,
        amount: Option<&Column>,
    ) -> Option<Counting> {
        let is_text = matches!(
            column.base.as_str(),
            "text" | "varchar" | "bpchar" | "citext"
        );
        if !is_text && column.labels.is_none() {
            return None;
        }
        let words = Vocabulary::of(relations, table, name, column, None).into_words();
        let negative = amount.map(|amount| with_negative_amounts(table, column, amount));
        let negative = negative.unwrap_or_default();
        let (others, rest): (Vec<String>, Vec<String>) = words.into_iter().partition(|word| {
            let is_taken_off = is_among(TAKEN_OFF, word) && negative.contains(word);
            // A debit is a card, but for accounts that write each payment twice.
            let is_counterpart = is_among(&["debit"], word) && negative.contains(word);
            is_among(self.other, word) && !is_taken_off || is_counterpart
        });
        if others.is_empty() {
            return None;
        }
        let known = |word: &&String| is_among(self.counting, word) || is_credit(word, &others);
        let counting: Vec<&String> = rest.iter().filter(known).collect();
        let literal = |word: &str| pgrx::spi::quote_literal(word);
        // As text: an enum may not compare with the literal under every search path.
        let text = format!("{}::text", column.quoted);
        let (condition, word) = match counting.as_slice() {
            [only] if rest.len() == 1 => (
                format!("{text} = {}", literal(only)),
                Some((name.to_owned(), (*only).clone())),
            ),
            counting => {
                let distinct = |word: &String| format!("{text} is distinct from {}", literal(word));
                let distinct: Vec<String> = others.iter().map(distinct).collect();
                let word = match counting {
                    [only] => Some((name.to_owned(), (*only).clone())),
                    _ => None,
                };
                (distinct.join(" and "), word)
            }
        };
        Some(Counting {
            condition,
            reason: format!(
                "rows whose {name} is {} are {}",
                others.join(", "),
                self.others_are
            ),
            word,
        })
    }
}

/// Returns whether the word means what came in because there is one for what went out.
fn is_credit(word: &str, others: &[String]) -> bool {
    is_among(&["credit"], word) && others.iter().any(|other| is_among(&["debit"], other))
}

/// The most rows that are read.
const SAMPLED: u32 = 5_000;

/// Returns the kinds of which rows have a negative amount. Reads the rows as the table's owner.
fn with_negative_amounts(table: &Table, kind: &Column, amount: &Column) -> BTreeSet<String> {
    let statement = format!(
        "select to_jsonb(s.kind)
        from (select {kind} as kind, {amount} as amount from {table} t limit {SAMPLED}) s
        where s.amount < 0
        group by s.kind",
        kind = kind.plain_text("t"),
        amount = amount.quoted,
        table = table.name,
    );
    let found = reading_as(&table.relation(), || sql::fetch(&statement, &[])).into_iter();
    found
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

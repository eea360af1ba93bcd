//! Proposes which status words have which meaning.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::unknown_word::INVOICE_SETTINGS;
use crate::domain::words::{invoice, is_among, payment, same_word, squash};
use crate::host::catalog::{Column, Table};
use crate::host::owner::reading_as;
use crate::host::propose::columns::{CLOSED_COLUMN, is_flag};
use crate::host::propose::evidence::{Evidence, INVOICE_PAID};
use crate::host::propose::relations::Relations;
use crate::pg::sql;

/// A setting that contains one or several status words.
pub(super) struct Meaning {
    pub(super) setting: &'static str,
    /// True if the setting is a list.
    takes_all: bool,
    /// Usual words, the most likely first.
    words: &'static [&'static [&'static str]],
}

/// The meanings of the words of one status column. A word that several settings could contain goes to the first.
pub(super) struct StatusWords {
    pub(super) column_setting: &'static str,
    /// The setting of the words for the column's values.
    pub(super) values_setting: &'static str,
    /// The setting of the column that says whether a row is closed; empty if there is none.
    pub(super) closed_setting: &'static str,
    pub(super) meanings: &'static [Meaning],
    /// Words that have a meaning of their own if no row waits.
    without_waiting: &'static [&'static str],
    /// What is said about a word without a meaning.
    unsorted: fn() -> String,
}

const fn one(setting: &'static str, words: &'static [&'static [&'static str]]) -> Meaning {
    Meaning {
        setting,
        takes_all: false,
        words,
    }
}

const fn all(setting: &'static str, words: &'static [&'static [&'static str]]) -> Meaning {
    Meaning {
        setting,
        takes_all: true,
        words,
    }
}

/// Its value if nobody has set it.
const DEFAULT_PAID: &str = "Paid";

/// What a paid booking or order is in some applications, and what comes before or after it in others.
const RIVALS: [&str; 4] = ["confirmed", "accepted", "booked", "registered"];

/// Words for paid that may come after one of these.
const LATE_PAID: [&str; 2] = ["completed", "complete"];

pub(super) const INVOICE: StatusWords = StatusWords {
    column_setting: "invoice_status_column",
    values_setting: "invoice_status_values",
    closed_setting: CLOSED_COLUMN,
    meanings: &[
        one(INVOICE_PAID, &[invoice::PAID]),
        one("invoice_partial_word", &[invoice::PARTIAL]),
        all("invoice_closed_words", &[invoice::CLOSED]),
        all("invoice_open_words", &[invoice::OPEN]),
        all(
            "invoice_after_paid_words",
            &[invoice::AFTER_PAID, invoice::PAID],
        ),
        all("invoice_refunded_words", &[invoice::REFUNDED]),
    ],
    without_waiting: &[],
    unsorted: || {
        format!(
            "no meaning is recognized: invoices with this status keep it. Add it to one of {}",
            INVOICE_SETTINGS.join(", ")
        )
    },
};

pub(super) const PAYMENT: StatusWords = StatusWords {
    column_setting: "payment_status_column",
    values_setting: "payment_status_values",
    closed_setting: "",
    meanings: &[
        one("payment_paid_word", &[payment::PAID]),
        all("payment_pending_words", &[payment::PENDING]),
        all("payment_failed_words", &[payment::FAILED]),
        one("payment_refunded_word", &[payment::REFUNDED]),
        all("payment_partly_refunded_words", &[payment::PARTLY_REFUNDED]),
        one("payment_disputed_word", &[payment::DISPUTED]),
    ],
    without_waiting: payment::IN_PART,
    unsorted: || {
        "no meaning is recognized: such payments are neither counted nor changed. Add it to payment_pending_words, payment_failed_words or payment_partly_refunded_words if it is one of these".to_owned()
    },
};

impl StatusWords {
    /// Returns the words of the column that none of the settings contains: each with what is said about it.
    pub(super) fn unsorted(
        &self,
        vocabulary: &Vocabulary,
        sorted: &BTreeSet<String>,
    ) -> Vec<(String, String)> {
        let unknown = self.unknown(vocabulary, sorted).into_iter();
        unknown.map(|word| (word, (self.unsorted)())).collect()
    }

    /// Returns the words of the column that have no usual meaning and are not among these.
    pub(super) fn unknown(
        &self,
        vocabulary: &Vocabulary,
        sorted: &BTreeSet<String>,
    ) -> Vec<String> {
        let waits = sorted.iter().any(|word| is_among(payment::PENDING, word));
        let is_usual = |word: &str| {
            if !waits && is_among(self.without_waiting, word) {
                return true;
            }
            let mut lists = self.meanings.iter().flat_map(|meaning| meaning.words);
            lists.any(|usual| is_among(usual, word))
        };
        let words = vocabulary.words.iter();
        words
            .filter(|word| !sorted.contains(*word) && !is_usual(word))
            .cloned()
            .collect()
    }

    /// Returns the words that the current settings of other meanings contain.
    pub(super) fn named_otherwise(
        &self,
        but_for: &Meaning,
        current: &Map<String, Value>,
    ) -> BTreeSet<String> {
        let others = self.meanings.iter();
        let others = others.filter(|other| other.setting != but_for.setting);
        let values = others.filter_map(|other| current.get(other.setting));
        values.flat_map(words_of).collect()
    }
}

/// Returns the words that the value of a setting contains.
pub(super) fn words_of(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::Array(words) => words.iter().filter_map(text).collect(),
        word => text(word).into_iter().collect(),
    }
}

/// The most rows that are read to collect a column's words, and the most words that are kept.
const SAMPLED_ROWS: u32 = 5_000;
const SAMPLED_WORDS: u32 = 200;

/// The words of a status column.
pub(super) struct Vocabulary {
    words: Vec<String>,
    /// True if no other words can be written.
    is_closed: bool,
    /// True if the names of table and column say that it is about a payment: a paid invoice is paid, and a paid booking
    /// may be confirmed.
    is_of_payment: bool,
    /// True if the column contains numbers, which only the settings can give words.
    has_numbers: bool,
}

impl Vocabulary {
    /// `values` are those to which the settings give words.
    pub(super) fn of(
        relations: &Relations,
        table: &Table,
        name: &str,
        column: &Column,
        values: Option<&Value>,
    ) -> Self {
        let names = squash(&format!("{} {name}", table.bare_name));
        let is_of_payment = ["invoice", "bill", "pay", "paid"]
            .iter()
            .any(|part| names.contains(part));
        let closed = |words| Self {
            words,
            is_closed: true,
            is_of_payment,
            has_numbers: column.is_integer(),
        };
        let named = values.and_then(Value::as_object);
        if let Some(named) = named.filter(|named| !named.is_empty() || column.is_integer()) {
            closed(named.keys().cloned().collect())
        } else if let Some(labels) = &column.labels {
            closed(labels.clone())
        } else if is_flag(column) {
            closed(vec!["true".to_owned(), "false".to_owned()])
        } else if let Some(allowed) = relations.allowed_words(table, name) {
            closed(allowed)
        } else if column.allowed.len() > 1 {
            closed(column.allowed.clone())
        } else {
            let mut words = sample(table, column);
            let default = column.default_text.iter();
            let default = default.filter(|word| !word.is_empty() && !words.contains(word));
            words.extend(default.cloned().collect::<Vec<_>>());
            Self {
                words,
                is_closed: false,
                is_of_payment,
                has_numbers: false,
            }
        }
    }

    pub(super) fn into_words(self) -> Vec<String> {
        self.words
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns whether a word says that something was paid, and not only that it is complete.
    pub(super) fn says_paid(&self) -> bool {
        self.paid().next().is_some()
    }

    /// Returns the word that says so, if it is the only one.
    pub(super) fn only_paid(&self) -> Option<&str> {
        let mut paid = self.paid();
        let only = paid.next()?;
        paid.next().is_none().then_some(only)
    }

    fn paid(&self) -> impl Iterator<Item = &str> {
        let says = |word: &str| {
            ["paid", "payment"]
                .iter()
                .any(|part| squash(word).contains(part))
        };
        let words = self.words.iter().map(String::as_str);
        words.filter(move |word| is_among(invoice::PAID, word) && says(word))
    }

    /// Returns the words with this meaning, without those of another: first in the order of `meaning`, then in that
    /// of the column.
    fn matching(&self, meaning: &Meaning, others: &BTreeSet<String>) -> Vec<&str> {
        let usual = meaning.words.iter().copied().flatten();
        usual
            .flat_map(|wanted| {
                let words = self.words.iter();
                words.filter(|word| same_word(word, wanted) && !others.contains(*word))
            })
            .map(String::as_str)
            .collect()
    }

    /// Returns whether a setting's word is one of the column's.
    fn has(&self, set: &Value) -> bool {
        self.words
            .iter()
            .any(|word| Some(word.as_str()) == set.as_str())
    }

    /// Returns the words that mean paid in some applications, if the meaning is that of a paid invoice.
    fn may_be_paid(&self, meaning: &Meaning) -> Vec<&str> {
        let words = self.words.iter().map(String::as_str);
        words
            .filter(|word| meaning.setting == INVOICE_PAID && is_among(&RIVALS, word))
            .collect()
    }

    /// Returns a word in the letter case of the column's words.
    fn in_letter_case(&self, word: &str) -> String {
        let all_words = |is: fn(char) -> bool| {
            let letters = || self.words.iter().flat_map(|word| word.chars());
            letters().any(char::is_alphabetic) && !letters().any(is)
        };
        if all_words(char::is_uppercase) {
            word.to_lowercase()
        } else if all_words(char::is_lowercase) {
            word.to_uppercase()
        } else {
            word.to_owned()
        }
    }
}

impl Meaning {
    /// Returns whether the word is the one for paid.
    pub(super) fn is_paid(&self) -> bool {
        [INVOICE_PAID, "payment_paid_word"].contains(&self.setting)
    }

    /// Returns whether the words are those of the column that says whether an invoice is closed, if there is one.
    pub(super) fn is_of_closed(&self) -> bool {
        self.setting == "invoice_closed_words"
    }

    /// Returns the proposed value and the reason. Keeps the current word unless the column cannot contain it.
    /// `others` are words of other meanings; `paid` is the word for paid, once it is known.
    pub(super) fn find(
        &self,
        vocabulary: &Vocabulary,
        set: &Value,
        others: &BTreeSet<String>,
        paid: Option<&str>,
        evidence: &Evidence,
    ) -> (Value, String) {
        let found = vocabulary.matching(self, others);
        if self.takes_all {
            return self.find_all(vocabulary, &found, set);
        }
        // Where paid is another word than by default, so are those of which no row says how they look.
        let is_default = paid.is_none_or(|paid| {
            paid == DEFAULT_PAID || vocabulary.words.len() > 1 && !is_among(&RIVALS, paid)
        });
        if !is_default && found.is_empty() && !vocabulary.has(set) {
            let reason = "no row has such a status; set the word if your application has one";
            return (Value::Null, reason.to_owned());
        }
        self.find_one(vocabulary, &found, set, evidence)
    }

    fn find_one(
        &self,
        vocabulary: &Vocabulary,
        found: &[&str],
        set: &Value,
        evidence: &Evidence,
    ) -> (Value, String) {
        let set = set.as_str();
        if let Some(word) = set.filter(|set| vocabulary.has(&Value::from(*set))) {
            return (word.into(), "set so, and there is such a status".to_owned());
        }
        let rivals = vocabulary.may_be_paid(self);
        match (found.first(), set) {
            (found, _)
                if !rivals.is_empty() && found.is_none_or(|word| is_among(&LATE_PAID, word)) =>
            {
                let is_paid =
                    |word: &&&str| evidence.history.paid_statuses().any(|paid| paid == **word);
                let paid: Vec<&&str> = rivals.iter().filter(is_paid).collect();
                if let [only] = paid[..] {
                    let reason = "the status of invoices whose payments come to their total";
                    return ((*only).into(), reason.to_owned());
                }
                let words: Vec<&str> = rivals.into_iter().chain(found.copied()).collect();
                let reason = format!("{} may mean it: set the one that does", words.join(", "));
                (Value::Null, reason)
            }
            (Some(word), _) => match evidence.rival_of_paid(self.setting, found) {
                Some(rival) if !vocabulary.is_closed => {
                    let reason = format!(
                        "{word} or {rival}, which invoices have whose payments come to their total: set the one that means it"
                    );
                    (Value::Null, reason)
                }
                _ => (
                    (*word).into(),
                    "a status that usually has this meaning".to_owned(),
                ),
            },
            (None, _) if let Some(word) = evidence.rival_of_paid(self.setting, &[]) => {
                let reason = "the status of invoices whose payments come to their total";
                (word.into(), reason.to_owned())
            }
            // Those that are known to be in use are not added to.
            (None, Some(_))
                if self.is_paid() && !evidence.unknown.is_empty() && !vocabulary.is_closed =>
            {
                (Value::Null, evidence.question(self.setting))
            }
            (None, _) if vocabulary.has_numbers => {
                let reason = "the column contains numbers: give them words in invoice_status_values or payment_status_values, as in {\"draft\": 0, \"paid\": 1}";
                (Value::Null, reason.to_owned())
            }
            (None, _) if vocabulary.is_closed => {
                (Value::Null, "no allowed status has this meaning".to_owned())
            }
            (None, Some(DEFAULT_PAID))
                if self.setting == INVOICE_PAID && !vocabulary.is_of_payment =>
            {
                (
                    Value::Null,
                    "no row has such a status yet: set the word that your application uses"
                        .to_owned(),
                )
            }
            (None, Some(set)) => (
                vocabulary.in_letter_case(set).into(),
                "no row has such a status yet".to_owned(),
            ),
            (None, None) => (Value::Null, "no row has such a status".to_owned()),
        }
    }

    fn find_all(&self, vocabulary: &Vocabulary, found: &[&str], set: &Value) -> (Value, String) {
        let set: Vec<&str> = set
            .as_array()
            .map(|words| words.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        let known = |word: &str| vocabulary.words.iter().any(|known| known == word);
        for word in set.iter().filter(|word| known(word)).chain(found) {
            if !words.iter().any(|listed| listed == word) {
                words.push((*word).to_owned());
            }
        }
        let mut reason = "statuses that usually have this meaning";
        if words.is_empty() {
            reason = "no status has this meaning";
        }
        if !vocabulary.is_closed {
            // The sample may not contain a rare word.
            for word in &set {
                if !words.iter().any(|listed| same_word(listed, word)) {
                    words.push(vocabulary.in_letter_case(word));
                }
            }
            if found.is_empty() {
                reason = "no row has such a status yet";
            }
        }
        (words.into(), reason.to_owned())
    }
}

/// Reads the words of some of the rows, as the table's owner, because a type's conversion to text may be
/// user-defined code.
fn sample(table: &Table, column: &Column) -> Vec<String> {
    let statement = format!(
        "select to_jsonb(w.word)
        from (select distinct left({text}, 100) as word
              from (select {column} from {table} limit {SAMPLED_ROWS}) s
              limit {SAMPLED_WORDS}) w
        where w.word <> ''
        order by w.word",
        column = column.quoted,
        text = column.plain_text("s"),
        table = table.name,
    );
    reading_as(&table.relation(), || sql::fetch(&statement, &[]))
        .into_iter()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

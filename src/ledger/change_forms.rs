//! Forms of changes (`invoice_sync.change_form`): what the documents of many changes have in common, stored once.
//!
//! A form is a JSON document with gaps. Its lines are by turns text and the name of what goes into the gap: the
//! number of one of the values, or `invoice`. The values are one text, a line each. JSON contains no line breaks within
//! its tokens, so that both can be put together by concatenation (`invoice_sync.full_change`).

use sha2::{Digest, Sha256};

/// How much of a document belongs to its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// All that other changes are likely to have, too: words, zeros, and the invoice's id. The same value in several places
    /// is stored once. There may be many such forms.
    Shared,
    /// The names of columns, and no value but null, true and false. There are few such forms, whatever the rows contain.
    Bare,
}

/// A document, divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Divided {
    pub(super) form: String,
    pub(super) values: String,
}

/// Divides the document of an invoice's changes: table, row, before and after of each, and the evidence of all, as JSON
/// without line breaks.
pub(super) fn divide(
    invoice: &str,
    changes: &[[Option<&str>; 4]],
    evidence: &str,
    style: Style,
) -> Divided {
    let mut writer = Writer {
        style,
        invoice,
        form: "{\"changes\": [".to_owned(),
        values: Vec::new(),
    };
    for (n, [table, row, before, after]) in changes.iter().enumerate() {
        writer.text(if n == 0 { "{" } else { ", {" });
        writer.text("\"table\": ");
        writer.text(table.unwrap_or("null"));
        writer.text(", \"row\": ");
        // However it looks, it is that of one row.
        writer.leave_out(row.unwrap_or("null"));
        for (name, columns) in [("before", before), ("after", after)] {
            if let Some(columns) = columns {
                writer.text(&format!(", \"{name}\": "));
                writer.json(columns, |rest| rest.len() < columns.len());
            }
        }
        writer.text("}");
    }
    writer.text("], \"evidence\": ");
    writer.json(evidence, |_| style == Style::Bare);
    writer.text("}");
    Divided {
        form: writer.form,
        values: writer.values.join("\n"),
    }
}

/// Returns the id of a form: the first 64 bits of its SHA-256.
pub(super) fn id(form: &str) -> i64 {
    let digest = Sha256::digest(form);
    digest
        .iter()
        .take(8)
        .fold(0, |id: i64, byte| (id << 8) | i64::from(*byte))
}

/// Returns whether PostgreSQL may refuse to store the document as jsonb: it has escapes, or numbers with exponents.
pub(super) fn may_be_refused(json: &str) -> bool {
    let mut rest = json;
    while let Some(start) = rest.find(|c: char| !is_between(c)) {
        let (token, after) = split_token(&rest[start..]);
        let is_number = token.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if is_number && (token.len() > MOST_DIGITS || token.contains(['e', 'E']))
            || token.contains("\\u")
        {
            return true;
        }
        rest = after;
    }
    false
}

/// No number that a row of money contains is longer.
const MOST_DIGITS: usize = 100;

/// The longest text that is taken for a word of a form, and the longest for several.
const LONGEST_WORD: usize = 20;
const LONGEST_WORDS: usize = 40;

struct Writer<'a> {
    style: Style,
    invoice: &'a str,
    form: String,
    values: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    fn text(&mut self, text: &str) {
        self.form.push_str(text);
    }

    fn gap(&mut self, what: &str) {
        self.form.push_str(&format!("\n{what}\n"));
    }

    /// Adds JSON. Each text and number is a value, and so are objects and arrays for which `is_whole`.
    fn json(&mut self, json: &'a str, is_whole: impl Fn(&str) -> bool) {
        let mut rest = json;
        while let Some(next) = rest.chars().next() {
            let is_nested = matches!(next, '{' | '[') && is_whole(rest);
            let (token, after) = if is_nested {
                split_nested(rest)
            } else if is_between(next) {
                rest.split_at(next.len_utf8())
            } else {
                split_token(rest)
            };
            let is_name = next == '"' && after.trim_start().starts_with(':');
            if is_nested || !is_between(next) && !is_name {
                self.value(token);
            } else {
                self.text(token);
            }
            rest = after;
        }
    }

    fn value(&mut self, token: &'a str) {
        let is_word = matches!(token, "null" | "true" | "false");
        let is_common = || self.style == Style::Shared && !self.has(token) && is_common(token);
        if is_word || is_common() {
            self.text(token);
        } else {
            self.leave_out(token);
        }
    }

    /// Whether a gap stands for this value already.
    fn has(&self, token: &str) -> bool {
        let content = content(token);
        content == self.invoice || self.values.contains(&content)
    }

    /// Leaves a gap for a text or number.
    fn leave_out(&mut self, token: &'a str) {
        let content = content(token);
        let quote = if content.len() < token.len() {
            "\""
        } else {
            ""
        };
        self.text(quote);
        let shared = self.style == Style::Shared;
        if shared && content == self.invoice {
            self.gap("invoice");
        } else {
            let known = self.values.iter().position(|value| *value == content);
            let place = known.filter(|_| shared).unwrap_or_else(|| {
                self.values.push(content);
                self.values.len() - 1
            });
            self.gap(&(place + 1).to_string());
        }
        self.text(quote);
    }
}

/// Returns a text without its quotes, or a number.
fn content(token: &str) -> &str {
    let inner = token.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or(token)
}

/// Whether a value is likely to be that of many rows. An id is not, though it may happen to contain no digit.
fn is_common(token: &str) -> bool {
    if !token.starts_with('"') {
        return token.chars().all(|c| matches!(c, '0' | '.'));
    }
    let text = content(token);
    let may_be_id = text.split(' ').any(|word| {
        word.contains('_') && word.contains(char::is_uppercase) && word.contains(char::is_lowercase)
    });
    let is_short = text.len() <= LONGEST_WORD || text.len() <= LONGEST_WORDS && text.contains(' ');
    is_short && !may_be_id && !text.contains(|c: char| c.is_ascii_digit())
}

/// Whether the character is between tokens, and none itself.
fn is_between(c: char) -> bool {
    matches!(c, '{' | '}' | '[' | ']' | ',' | ':') || c.is_ascii_whitespace()
}

/// Splits off the first token: a text with its quotes, a number or a word.
fn split_token(json: &str) -> (&str, &str) {
    if !json.starts_with('"') {
        return json.split_at(json.find(is_between).unwrap_or(json.len()));
    }
    let mut is_escaped = false;
    let end = json.char_indices().skip(1).find_map(|(at, c)| {
        if is_escaped {
            is_escaped = false;
        } else if c == '"' {
            return Some(at + 1);
        } else {
            is_escaped = c == '\\';
        }
        None
    });
    json.split_at(end.unwrap_or(json.len()))
}

/// Splits off the object or array that `json` starts with.
fn split_nested(json: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(next) = json[at..].chars().next() {
        match next {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        let length = match next {
            '"' => split_token(&json[at..]).0.len(),
            _ => next.len_utf8(),
        };
        at += length;
        if depth == 0 {
            break;
        }
    }
    json.split_at(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// As `invoice_sync.full_change` does.
    fn filled(divided: &Divided, invoice: &str) -> String {
        let values: Vec<&str> = divided.values.split('\n').collect();
        let lines = divided.form.split('\n').enumerate();
        let filled = lines.map(|(n, line)| match line {
            line if n % 2 == 0 => line,
            "invoice" => invoice,
            number => number
                .parse()
                .map(|n: usize| values[n - 1])
                .expect("a number"),
        });
        filled.collect()
    }

    fn divided(document: &Value, style: Style) -> Divided {
        let changes: Vec<[Option<String>; 4]> = document["changes"]
            .as_array()
            .expect("an array")
            .iter()
            .map(|change| {
                ["table", "row", "before", "after"].map(|it| change.get(it).map(Value::to_string))
            })
            .collect();
        let changes: Vec<[Option<&str>; 4]> = changes
            .iter()
            .map(|it| it.each_ref().map(Option::as_deref))
            .collect();
        divide("inv-1", &changes, &document["evidence"].to_string(), style)
    }

    #[test]
    fn what_is_common_is_in_the_form_and_nothing_is_stored_twice() {
        let document = |amount: f64, cents: i64, intent: &str| {
            json!({
                "changes": [
                    { "table": "p2", "row": "17", "after": {
                        "id": 17, "invoice": "inv-1", "status": "Paid", "tip": 0, "amount": amount, "note": null
                    }},
                    { "table": "i", "row": "inv-1", "before": { "paid": 0 }, "after": { "paid": amount }},
                ],
                "evidence": { "stripe": [{ "intent": intent, "received": cents, "charge": intent }] },
            })
        };
        let one = divided(&document(150.25, 15025, "pi_1"), Style::Shared);
        assert_eq!(one.values, "17\n150.25\npi_1\n15025");
        let other = divided(&document(7.5, 750, "pi_2"), Style::Shared);
        assert_eq!(other.form, one.form);
    }

    #[test]
    fn ids_without_digits_are_not_words() {
        for id in [
            "pi_AbcdefghIjklmnopQrstuvwx",
            "req_AbCdEfGhIjKlMn",
            "abcdefabcdefabcdefabcdef",
        ] {
            assert!(!is_common(&format!("\"{id}\"")), "{id}");
        }
        for word in [
            "Paid",
            "PARTIALLY_REFUNDED",
            "partially_refunded",
            "Recorded by invoice_sync",
            "",
        ] {
            assert!(is_common(&format!("\"{word}\"")), "{word}");
        }
    }

    #[test]
    fn a_bare_form_contains_names_of_columns_only() {
        let with = |extra: Value| {
            let document = json!({
                "changes": [{
                    "table": "i", "row": "1",
                    "before": { "status": "Sent", "extra": extra }, "after": { "status": "Paid", "extra": 0 },
                }],
                "evidence": { "decided": extra },
            });
            divided(&document, Style::Bare).form
        };
        let form = with(json!({ "a": [1, "}"] }));
        assert_eq!(form, with(json!(["b", { "c": "\\\"" }])));
    }

    #[test]
    fn what_jsonb_may_refuse_is_noticed() {
        for refused in [r#"{"a": "\u0000"}"#, r#"{"a": [1e9999999]}"#, r#"[-2E5]"#] {
            assert!(may_be_refused(refused), "{refused}");
        }
        assert!(!may_be_refused(r#"{"a": "\\e 1e5", "total": -12.50}"#));
    }

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..30).prop_map(Value::from),
            "[ -~\n\u{e9}\\\\\"]{0,12}".prop_map(Value::from),
            Just(json!("inv-1")),
        ]
    }

    fn nested() -> impl Strategy<Value = Value> {
        leaf().prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c1\":]{1,3}", inner, 0..4)
                    .prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_is_what_its_form_and_values_say(
            changes in prop::collection::vec((
                "[a-z.\"1]{1,8}",
                "[a-z1\"]{0,4}",
                prop::option::of(prop::collection::btree_map("[a-d\":1]{1,3}", nested(), 0..5)),
                prop::collection::btree_map("[a-d]{1,3}", nested(), 0..5),
            ), 1..4),
            evidence in nested(),
        ) {
            let changes: Vec<Value> = changes.into_iter().map(|(table, row, before, after)| {
                let mut change = json!({ "table": table, "row": row, "after": after });
                if let Some(before) = before { change["before"] = json!(before); }
                change
            }).collect();
            let document = json!({ "changes": changes, "evidence": evidence });
            for style in [Style::Shared, Style::Bare] {
                let divided = divided(&document, style);
                let read: Value = serde_json::from_str(&filled(&divided, "inv-1")).expect("is JSON");
                prop_assert_eq!(&read, &document);
            }
        }
    }
}

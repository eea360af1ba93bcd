//! SQL conditions on status words.

use crate::domain::words::plain;

/// Returns the condition that the text `status` is one of the words `named`, or not among `all` and a spelling of a
/// usual one.
pub(super) fn has_word(status: &str, named: &[String], all: &[String], usual: &[&str]) -> String {
    let usual: Vec<String> = usual.iter().map(|word| plain(word)).collect();
    // The words that the settings name are most of them, and cheaper to compare.
    format!(
        "case when {status} = any ({all}) then {status} = any ({named})
              else replace(regexp_replace(lower({status}), '[^[:alnum:]]', '', 'g'), 'll', 'l') = any ({usual}) end",
        all = literals(all),
        named = literals(named),
        usual = literals(&usual),
    )
}

pub(super) fn literals(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(pgrx::spi::quote_literal).collect();
    format!("array[{}]::text[]", quoted.join(", "))
}

//! Text that JSON can write and Rust cannot hold: one half of a surrogate pair.

use serde_json::Value;

/// In metadata and descriptions, stands for the first half of a surrogate pair; in JSON it becomes `\ud83d`, as where a
/// library cut a text in the middle of an emoji. A character that nothing else uses.
pub const HALF_SURROGATE: char = '\u{10fffd}';

/// Writes a value as Stripe sends it, with [`HALF_SURROGATE`] as what it stands for.
pub fn json_text(value: &Value) -> String {
    with_half_surrogates(value.to_string())
}

pub(crate) fn with_half_surrogates(json: String) -> String {
    if json.contains(HALF_SURROGATE) {
        json.replace(HALF_SURROGATE, "\\ud83d")
    } else {
        json
    }
}

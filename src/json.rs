//! Reads JSON from outside so that PostgreSQL can store what it says.

use std::borrow::Cow;

use serde_json::Value;

/// What stands for a character that no text of PostgreSQL's can hold: U+FFFD.
const REPLACEMENT: &str = "\\ufffd";

/// Reads a document. The characters that JSON can write and PostgreSQL cannot store, U+0000 and
/// halves of surrogate pairs, become U+FFFD; other faults of the text are errors.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(&storable(text))
}

/// The same document, with each escape that stands for no storable character replaced.
fn storable(text: &str) -> Cow<'_, str> {
    let mut replaced = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let escape = at + found;
        let Some(unit) = code_unit(text, escape) else {
            // Another escape: the backslash, and the character that it escapes.
            at = escape + 1 + text[escape + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        let next = code_unit(text, escape + ESCAPE);
        let length = match unit {
            0xd800..=0xdbff if matches!(next, Some(0xdc00..=0xdfff)) => 2 * ESCAPE,
            0 | 0xd800..=0xdfff => {
                replaced.push_str(&text[copied..escape]);
                replaced.push_str(REPLACEMENT);
                copied = escape + ESCAPE;
                ESCAPE
            }
            _ => ESCAPE,
        };
        at = escape + length;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    replaced.push_str(&text[copied..]);
    Cow::Owned(replaced)
}

/// The length of `\u0000`.
const ESCAPE: usize = 6;

/// The UTF-16 code unit that is escaped at this place.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16)
        .ok()
        .filter(|_| !digits.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn read(text: &str) -> String {
        parse(&format!("\"{text}\""))
            .expect("is JSON")
            .as_str()
            .expect("is a text")
            .to_owned()
    }

    #[test]
    fn what_postgresql_cannot_store_is_replaced() {
        assert_eq!(read(r"a\u0000b"), "a\u{fffd}b");
        assert_eq!(read(r"\ud83d"), "\u{fffd}");
        assert_eq!(read(r"x\uDE00\ud83dy"), "x\u{fffd}\u{fffd}y");
        assert_eq!(read(r"\ud83d\u0041"), "\u{fffd}A");
        assert_eq!(read(r"\ud83d\ud83d\ude00"), "\u{fffd}\u{1f600}");
    }

    #[test]
    fn what_it_can_store_stays() {
        assert_eq!(read(r"\ud83d\ude00"), "\u{1f600}");
        assert_eq!(read(r"\\u0000"), r"\u0000");
        assert_eq!(read(r"\\\u0000"), "\\\u{fffd}");
        assert_eq!(read(r"\u0001é\n"), "\u{1}é\n");
    }

    #[test]
    fn other_faults_are_errors() {
        for text in [r#""\u00"#, r#""\u+041""#, r#""\"#, "\"\\é\"", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

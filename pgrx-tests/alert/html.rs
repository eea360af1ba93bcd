//! Escaping of HTML.

use super::{Html, visible};

fn escaped(text: &str) -> String {
    Html::new().text(text).into_string()
}

#[test]
fn text_is_escaped() {
    assert_eq!(
        escaped("<script>alert(1)</script>"),
        "&lt;script&gt;alert(1)&lt;/script&gt;"
    );
    assert_eq!(escaped("a & b &lt;"), "a &amp; b &amp;lt;");
}

#[test]
fn text_does_not_end_an_attribute_value() {
    assert_eq!(escaped(r#"" onload='x'"#), "&quot; onload=&#39;x&#39;");
}

#[test]
fn markup_is_kept_and_fragments_are_not_escaped_twice() {
    let piece = Html::new().markup("<b>").text("1 < 2").markup("</b>");
    let whole = Html::new().markup("<p>").all([piece]).markup("</p>");
    assert_eq!(whole.into_string(), "<p><b>1 &lt; 2</b></p>");
}

#[test]
fn control_characters_and_direction_marks_are_replaced() {
    assert_eq!(visible("a\r\nBcc: b\0c\u{85}d\u{2028}e"), "a  Bcc: b c d e");
    assert_eq!(visible("INV-\u{202e}1\u{2066}"), "INV-\u{fffd}1\u{fffd}");
    assert_eq!(visible("Ärger – 株式会社 שלום"), "Ärger – 株式会社 שלום");
}

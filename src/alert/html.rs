//! HTML built from literals of the program and escaped text, and from nothing else.

/// A piece of HTML. Markup can only be what stands in the program's own text
/// (`&'static str`); whatever comes from outside goes in through [`Html::text`].
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds markup.
    pub(super) fn markup(mut self, markup: &'static str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, escaped: fit for an element's content and for an attribute's
    /// value between quotes.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.push_str(&escape(text));
        self
    }

    /// Adds pieces that are HTML already.
    pub(super) fn all(mut self, pieces: impl IntoIterator<Item = Self>) -> Self {
        for piece in pieces {
            self.0.push_str(&piece.0);
        }
        self
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// One line of text that reads as it is: line ends and other control characters
/// become spaces, and characters that turn the direction of writing, by which a
/// text can be made to look like another, become visible.
pub(super) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                char::REPLACEMENT_CHARACTER
            }
            c => c,
        })
        .collect()
}

#[cfg(test)]
#[path = "../../pgrx-tests/alert_room/html.rs"]
mod tests;

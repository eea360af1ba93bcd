//! HTML built from literals of the program and escaped text, and from nothing else.

/// A fragment of HTML. Markup comes from literals of the program only (`&'static str`); all other text is added
/// through [`Html::text`].
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

    /// Adds text, escaped for an element's content or for a quoted attribute value.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.push_str(&escape(text));
        self
    }

    /// Adds fragments that are HTML already.
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

/// Returns text that is shown as one line and as it is stored: line ends and other control characters become spaces;
/// characters that change the direction of writing, which could make a text look like another one, are replaced.
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
#[path = "../../pgrx-tests/alert/html.rs"]
mod tests;

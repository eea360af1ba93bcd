//! A secret in memory: never printed, and wiped when dropped.

use std::fmt;
use std::hint::black_box;

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use crate::pg::Problem;

/// An API key or a signing secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Returns `text` without surrounding white space, or `None` if nothing is left. `setting` is named in the error.
    ///
    /// Fails with F0000 if the text contains a character that is not printable ASCII: a line end, for example, would
    /// end the HTTP header that the secret is sent in.
    pub(super) fn from_text(text: &str, setting: &str) -> Result<Option<Self>, Problem> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::new(
                PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
                format!("the secret of parameter \"{setting}\" is not valid"),
            )
            .detail("It contains a space, a control character or a character that is not ASCII.")
            .hint("Store only the key, on one line."));
        }
        Ok(Some(Self(text.to_owned())))
    }

    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the secret itself, for the header or signature that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the last four characters, which identify the secret in the server's log; the empty string if the
    /// secret is shorter than 16 characters.
    pub(crate) fn ending(&self) -> &str {
        match self.0.len() {
            // ASCII, so every index is a character boundary.
            length if length >= 16 => &self.0[length - 4..],
            _ => "",
        }
    }

    /// Returns the mode of a Stripe key: true for `sk_live_` and `rk_live_`, false for `sk_test_` and `rk_test_`,
    /// otherwise `None`.
    pub(crate) fn livemode(&self) -> Option<bool> {
        let rest = self
            .0
            .strip_prefix("sk_")
            .or_else(|| self.0.strip_prefix("rk_"))?;
        if rest.starts_with("live_") {
            Some(true)
        } else if rest.starts_with("test_") {
            Some(false)
        } else {
            None
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Drop for Secret {
    /// Copies made elsewhere (by PostgreSQL, by the TLS library) are not overwritten.
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0).into_bytes());
    }
}

/// Overwrites bytes that held a secret.
pub(super) fn wipe(mut bytes: Vec<u8>) {
    bytes.fill(0);
    // Keeps the compiler from removing the writes, because the memory is freed next.
    black_box(&bytes);
}

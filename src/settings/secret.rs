//! A secret in memory: never printed, and wiped when dropped.

use std::fmt;
use std::hint::black_box;

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use crate::pg::Problem;

/// An API key or a signing secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// `text` without the white space around it; `None` where nothing is left.
    /// `setting` names the setting in the error.
    ///
    /// A control character inside (a line end, say) is refused with F0000: it
    /// would end the HTTP header that the secret is sent in.
    pub(super) fn from_text(text: &str, setting: &str) -> Result<Option<Self>, Problem> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::new(
                PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
                format!("the secret that parameter \"{setting}\" leads to is not valid"),
            )
            .detail("It holds a space, a control character or one that is not ASCII.")
            .hint("Store the key alone, on one line, as it was given to you."));
        }
        Ok(Some(Self(text.to_owned())))
    }

    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself, for the one header or signature that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The last four characters, for telling secrets apart in the server's log;
    /// nothing of a secret too short for that.
    pub(crate) fn ending(&self) -> &str {
        match self.0.len() {
            // ASCII, so every index is a boundary.
            length if length >= 16 => &self.0[length - 4..],
            _ => "",
        }
    }

    /// Whether this Stripe key is for live money: true for `sk_live_` and
    /// `rk_live_`, false for `sk_test_` and `rk_test_`, else `None`.
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
    /// Best effort: copies made elsewhere (by PostgreSQL, by the TLS library) are
    /// out of reach.
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0).into_bytes());
    }
}

/// Overwrites bytes that held a secret.
pub(super) fn wipe(mut bytes: Vec<u8>) {
    bytes.fill(0);
    // Keeps the compiler from dropping the writes to memory that is freed next.
    black_box(&bytes);
}

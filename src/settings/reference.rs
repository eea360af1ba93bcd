//! References to secrets: `file:/path`, `vault:name`, or the secret itself.

mod file;
mod vault;

use core::ffi::CStr;

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::secret::{Secret, wipe};
use crate::pg::Problem;
use crate::pg::guc::{self, Refusal, TextSetting, ValueSource};

/// Where a secret is stored, the safest place first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    File,
    Vault,
    Literal,
}

enum Reference<'a> {
    File(&'a str),
    Vault(&'a str),
    Literal(&'a str),
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Self {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file:") {
            Self::File(path.trim())
        } else if let Some(name) = text.strip_prefix("vault:") {
            Self::Vault(name.trim())
        } else {
            Self::Literal(text)
        }
    }

    fn origin(&self) -> Origin {
        match self {
            Self::File(_) => Origin::File,
            Self::Vault(_) => Origin::Vault,
            Self::Literal(_) => Origin::Literal,
        }
    }

    /// Returns the raw text that the reference points to.
    fn read(&self, setting: &str) -> Result<String, Problem> {
        match self {
            Self::File(path) => file::read(path, setting),
            Self::Vault(name) => vault::read(name, setting),
            Self::Literal(text) => Ok((*text).to_owned()),
        }
    }
}

/// Returns the references in a setting's value, without empty ones.
fn references(value: &str) -> impl Iterator<Item = Reference<'_>> {
    value
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .map(Reference::parse)
}

/// Checks the value of a setting that holds one secret.
pub(super) fn check_one(value: &str, source: ValueSource) -> Result<(), Refusal> {
    if value.trim().is_empty() {
        return Ok(());
    }
    check_reference(&Reference::parse(value), source)
}

/// Checks the value of a setting that holds several secrets, separated by commas.
pub(super) fn check_list(value: &str, source: ValueSource) -> Result<(), Refusal> {
    references(value).try_for_each(|reference| check_reference(&reference, source))
}

fn check_reference(reference: &Reference<'_>, source: ValueSource) -> Result<(), Refusal> {
    let (detail, hint) = match reference {
        Reference::File(path) if !path.starts_with('/') => {
            (c"After file: an absolute path is expected.", USE_REFERENCE)
        }
        Reference::Vault("") => (
            c"After vault: the name of a secret is expected.",
            USE_REFERENCE,
        ),
        Reference::File(_) | Reference::Vault(_) => return Ok(()),
        Reference::Literal(_) => match refusal_of_literal(source) {
            Some(texts) => texts,
            None => return Ok(()),
        },
    };
    Err(Refusal {
        reason: "does not accept this value",
        detail,
        hint,
        hides_statement: true,
    })
}

const USE_REFERENCE: &CStr =
    c"Use file:/absolute/path (a file that only the server's user may read) or vault:name.";

/// Returns detail and hint, or `None` if a literal secret is accepted. Other roles cannot see the server's own
/// configuration, but only if the library is always loaded; all other sources are visible to them.
fn refusal_of_literal(source: ValueSource) -> Option<(&'static CStr, &'static CStr)> {
    match source {
        ValueSource::Start if guc::is_preloaded() => None,
        ValueSource::Start => Some((
            c"The library is not in shared_preload_libraries, so every role could read a literal with SHOW.",
            USE_REFERENCE,
        )),
        ValueSource::Reload => Some((
            c"PostgreSQL writes the values that a reload changes to the server log.",
            c"Restart the server to use another literal, or use file:/absolute/path or vault:name.",
        )),
        ValueSource::Statement => Some((
            c"Statements are logged, are visible in pg_stat_activity, and may be stored in catalogs that every role can read.",
            USE_REFERENCE,
        )),
        ValueSource::Catalog => Some((
            c"Every role can read what ALTER DATABASE and ALTER ROLE store. Consider this secret compromised and replace it.",
            USE_REFERENCE,
        )),
        ValueSource::Client => Some((
            c"Secrets cannot be set by the connection options of a client.",
            USE_REFERENCE,
        )),
    }
}

/// Returns whether showing the value would reveal a secret.
pub(super) fn holds_literal(value: &CStr) -> bool {
    match value.to_str() {
        Ok(value) => references(value).any(|reference| reference.origin() == Origin::Literal),
        Err(_) => true,
    }
}

/// Returns the secret of a setting that holds one.
pub(super) fn resolve_one<S: TextSetting>() -> Result<Option<Secret>, Problem> {
    let value = S::value();
    if value.is_empty() {
        return Ok(None);
    }
    let setting = S::NAME.to_string_lossy();
    let text = Reference::parse(&value).read(&setting)?;
    let secret = Secret::from_text(&text, &setting);
    wipe(text.into_bytes());
    wipe(value.into_bytes());
    secret?.map_or_else(|| Err(no_secret_at(&setting)), |secret| Ok(Some(secret)))
}

/// Returns the secrets of a setting that holds several. Each reference may point to several secrets, separated by
/// commas or line ends.
pub(super) fn resolve_list<S: TextSetting>() -> Result<Vec<Secret>, Problem> {
    let value = S::value();
    let setting = S::NAME.to_string_lossy();
    let mut secrets = Vec::new();
    for reference in references(&value) {
        let text = reference.read(&setting)?;
        let found_before = secrets.len();
        for part in text.split([',', '\n']) {
            secrets.extend(Secret::from_text(part, &setting)?);
        }
        wipe(text.into_bytes());
        if secrets.len() == found_before {
            return Err(no_secret_at(&setting));
        }
    }
    wipe(value.into_bytes());
    Ok(secrets)
}

/// Returns the secrets that a reference points to, which `stored_in` contains: a column, for the errors.
pub(super) fn resolve_stored(reference: &str, stored_in: &str) -> Result<Vec<Secret>, Problem> {
    let text = Reference::parse(reference).read(stored_in)?;
    let parts = text.split([',', '\n']);
    let secrets: Result<Vec<_>, _> = parts
        .map(|part| Secret::from_text(part, stored_in))
        .collect();
    wipe(text.into_bytes());
    let secrets: Vec<Secret> = secrets?.into_iter().flatten().collect();
    if secrets.is_empty() {
        return Err(no_secret_at(stored_in));
    }
    Ok(secrets)
}

/// A reference to an empty text is an error; it does not count as an unset parameter.
fn no_secret_at(setting: &str) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
        format!("parameter \"{setting}\" refers to an empty secret"),
    )
    .hint("Store only the key there, on one line.")
}

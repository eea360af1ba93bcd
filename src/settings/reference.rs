//! References to secrets: `file:/path`, `vault:name`, or the secret itself.

mod file;
mod vault;

use core::ffi::CStr;

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::secret::{Secret, wipe};
use crate::pg::Problem;
use crate::pg::guc::{self, Arrival, Refusal, TextSetting};

/// How a secret is given, the safest first.
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

    /// The raw text behind the reference.
    fn read(&self, setting: &str) -> Result<String, Problem> {
        match self {
            Self::File(path) => file::read(path, setting),
            Self::Vault(name) => vault::read(name, setting),
            Self::Literal(text) => Ok((*text).to_owned()),
        }
    }
}

/// The references in a setting's value, empty ones left out.
fn references(value: &str) -> impl Iterator<Item = Reference<'_>> {
    value
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .map(Reference::parse)
}

/// The rule for a setting that holds one secret.
pub(super) fn judge_one(value: &str, arrival: Arrival) -> Result<(), Refusal> {
    if value.trim().is_empty() {
        return Ok(());
    }
    judge_reference(&Reference::parse(value), arrival)
}

/// The rule for a setting that holds several, separated by commas.
pub(super) fn judge_list(value: &str, arrival: Arrival) -> Result<(), Refusal> {
    references(value).try_for_each(|reference| judge_reference(&reference, arrival))
}

fn judge_reference(reference: &Reference<'_>, arrival: Arrival) -> Result<(), Refusal> {
    let (detail, hint) = match reference {
        Reference::File(path) if !path.starts_with('/') => {
            (c"After file: an absolute path is expected.", USE_REFERENCE)
        }
        Reference::Vault("") => (
            c"After vault: the name of a secret is expected.",
            USE_REFERENCE,
        ),
        Reference::File(_) | Reference::Vault(_) => return Ok(()),
        Reference::Literal(_) => match refusal_of_literal(arrival) {
            Some(texts) => texts,
            None => return Ok(()),
        },
    };
    Err(Refusal {
        reason: "does not take this value",
        detail,
        hint,
        hides_statement: true,
    })
}

const USE_REFERENCE: &CStr =
    c"Use file:/absolute/path (a file that only the server's user may read) or vault:name.";

/// Detail and hint, or `None` where a literal is taken: only the server's own
/// configuration is out of sight of other roles, and only while the library is
/// always loaded.
fn refusal_of_literal(arrival: Arrival) -> Option<(&'static CStr, &'static CStr)> {
    match arrival {
        Arrival::Start if guc::is_preloaded() => None,
        Arrival::Start => Some((
            c"The library is not in shared_preload_libraries, so every role could read a literal with SHOW.",
            USE_REFERENCE,
        )),
        Arrival::Reload => Some((
            c"PostgreSQL writes what a reload changes into the server's log.",
            c"Restart the server to use another literal, or use file:/absolute/path or vault:name.",
        )),
        Arrival::Statement => Some((
            c"Statements are logged, seen in pg_stat_activity, and may end in catalogs that every role reads.",
            USE_REFERENCE,
        )),
        Arrival::Catalog => Some((
            c"Every role can read what ALTER DATABASE and ALTER ROLE store. Treat this secret as known and replace it.",
            USE_REFERENCE,
        )),
        Arrival::Client => Some((
            c"What a client sends at its start is no place for a secret.",
            USE_REFERENCE,
        )),
    }
}

/// Whether showing the value would show a secret.
pub(super) fn holds_literal(value: &CStr) -> bool {
    match value.to_str() {
        Ok(value) => references(value).any(|reference| reference.origin() == Origin::Literal),
        Err(_) => true,
    }
}

/// The one secret of a setting.
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

/// The secrets of a setting that holds several; each reference may lead to
/// several again, separated by commas or line ends.
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

/// A reference that leads to nothing is a mistake and not the same as no setting.
fn no_secret_at(setting: &str) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
        format!("parameter \"{setting}\" leads to an empty secret"),
    )
    .hint("Store the key there, alone, on one line, as it was given to you.")
}

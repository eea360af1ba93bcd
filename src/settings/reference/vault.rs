//! `vault:name`: a secret in Supabase Vault (extension `supabase_vault`), which
//! keeps it encrypted in the database.

use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::prelude::*;

use crate::pg::identity::current_role_name;
use crate::pg::{Problem, in_subtransaction};

/// The text stored under `name`.
pub(super) fn read(name: &str, setting: &str) -> Result<String, Problem> {
    let place = format!("Parameter \"{setting}\" leads to secret \"{name}\" of the vault.");
    if !vault_is_installed()? {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "there is no vault in this database",
        )
        .detail(place)
        .hint("Install it with create extension supabase_vault, or use file:/absolute/path."));
    }
    // Alone, so that a caller may report the failure and go on.
    match in_subtransaction(|| decrypted_secret(name)) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err(Problem::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "there is no such secret in the vault",
        )
        .detail(place)
        .hint("Store it with vault.create_secret(secret, name).")),
        Err(problem) if problem.is(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE) => {
            Err(Problem::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "the vault may not be read",
            )
            .detail(format!(
                "{place} Role \"{}\" has no right to it.",
                current_role_name()
            ))
            .hint(
                "Grant usage on schema vault and select on vault.decrypted_secrets to that role.",
            ))
        }
        // The vault's own message could quote what it failed to decrypt.
        Err(problem) => Err(Problem::new(
            PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
            "the vault could not decrypt the secret",
        )
        .detail(format!(
            "{place} It failed with SQLSTATE {}.",
            problem.sqlstate_text()
        ))),
    }
}

/// Asks the catalog, where a missing schema is an answer and not an error.
fn vault_is_installed() -> Result<bool, Problem> {
    let found = Spi::get_one::<bool>(
        "select exists (
             select from pg_catalog.pg_class as c
             join pg_catalog.pg_namespace as n
                 on n.oid operator(pg_catalog.=) c.relnamespace
             where n.nspname operator(pg_catalog.=) 'vault'
                 and c.relname operator(pg_catalog.=) 'decrypted_secrets'
         )",
    )?;
    Ok(found.unwrap_or(false))
}

fn decrypted_secret(name: &str) -> Result<Option<String>, Problem> {
    Spi::connect(|client| {
        let found = client.select(
            "select decrypted_secret
             from vault.decrypted_secrets
             where name operator(pg_catalog.=) $1",
            Some(1),
            &[name.into()],
        )?;
        if found.is_empty() {
            return Ok(None);
        }
        Ok(found.first().get_one::<String>()?)
    })
}

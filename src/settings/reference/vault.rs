//! A secret in Supabase Vault (extension `supabase_vault`).

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use crate::pg::identity::as_table_owner;
use crate::pg::{Problem, in_subtransaction, sql};

/// The text stored under `name`.
///
/// Anybody who may create a schema can make one that is called `vault`, with a view in it
/// that runs what they like and answers what they like. So the view has to belong to the
/// extension, which only a superuser can have made; and it is read with the rights of its own
/// owner, who needs nobody's, and no more of them than any code in it has anyway.
pub(super) fn read(name: &str, setting: &str) -> Result<String, Problem> {
    let place = format!("Parameter \"{setting}\" leads to secret \"{name}\" of the vault.");
    let Some(owner) = vaults_owner() else {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "there is no vault in this database",
        )
        .detail(format!(
            "{place} The view vault.decrypted_secrets of the extension supabase_vault is not there; another of that name is not read."
        ))
        .hint("Install it with create extension supabase_vault, or use file:/absolute/path."));
    };
    // Alone, so that a caller may report the failure and go on.
    let read = || as_table_owner(owner, || decrypted_secret(name));
    match in_subtransaction(read) {
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
                "{place} The owner of vault.decrypted_secrets has no right to what is behind it."
            )))
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

/// Who owns the extension's view; `None` where there is no such view.
fn vaults_owner() -> Option<pg_sys::Oid> {
    sql::fetch_one(
        "select pg_catalog.to_jsonb(c.relowner::pg_catalog.int8)
        from pg_catalog.pg_extension as e
        join pg_catalog.pg_depend as d
            on d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
            and d.refobjid operator(pg_catalog.=) e.oid
            and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.deptype operator(pg_catalog.=) 'e'
        join pg_catalog.pg_class as c on c.oid operator(pg_catalog.=) d.objid
        join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) c.relnamespace
        where e.extname operator(pg_catalog.=) 'supabase_vault'
            and n.nspname operator(pg_catalog.=) 'vault'
            and c.relname operator(pg_catalog.=) 'decrypted_secrets'
            and c.relkind operator(pg_catalog.=) 'v'",
        &[],
    )
    .and_then(|owner| u32::try_from(owner.as_u64()?).ok())
    .map(pg_sys::Oid::from)
}

fn decrypted_secret(name: &str) -> Result<Option<String>, Problem> {
    let [secret] = sql::fetch_texts::<1>(
        "select decrypted_secret::pg_catalog.text
        from vault.decrypted_secrets
        where name operator(pg_catalog.=) $1
        limit 1",
        &[Some(name)],
    )
    .pop()
    .unwrap_or_default();
    Ok(secret)
}

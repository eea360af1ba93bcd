//! A secret in Supabase Vault (extension `supabase_vault`).

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use crate::pg::identity::as_table_owner;
use crate::pg::{Problem, in_subtransaction, sql};

/// Returns the text stored under `name`.
///
/// Any role that may create a schema could create one named `vault` with a view in it that runs and returns what that
/// role likes. So the view must belong to the extension supabase_vault, which only a superuser can have installed,
/// and it is read with the rights of its own owner, which gives code in it no more rights than it has anyway.
pub(super) fn read(name: &str, setting: &str) -> Result<String, Problem> {
    let reference = format!("Parameter \"{setting}\" refers to secret \"{name}\" of the vault.");
    let Some(owner) = vault_owner() else {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "there is no vault in this database",
        )
        .detail(format!(
            "{reference} The view vault.decrypted_secrets of the extension supabase_vault does not exist; another view of that name is not read."
        ))
        .hint("Install it with create extension supabase_vault, or use file:/absolute/path."));
    };
    // In a subtransaction, so that a caller may report the failure and continue.
    let read = || as_table_owner(owner, || decrypted_secret(name));
    match in_subtransaction(read) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err(Problem::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            "there is no such secret in the vault",
        )
        .detail(reference)
        .hint("Store it with vault.create_secret(secret, name).")),
        Err(problem) if problem.is(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE) => {
            Err(Problem::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "the vault cannot be read",
            )
            .detail(format!(
                "{reference} The owner of vault.decrypted_secrets lacks privileges on the objects that the view reads."
            )))
        }
        // The error does not include the vault's own message, which could quote what it failed to decrypt.
        Err(problem) => Err(Problem::new(
            PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
            "the vault could not decrypt the secret",
        )
        .detail(format!(
            "{reference} It failed with SQLSTATE {}.",
            problem.sqlstate_text()
        ))),
    }
}

/// Returns the owner of the extension's view, or `None` if there is no such view.
fn vault_owner() -> Option<pg_sys::Oid> {
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

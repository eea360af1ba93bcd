//! The check that an RPC caller is an admin, by the function in `settings.rpc_admin_check`.

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;

use super::settings::Settings;
use crate::pg::identity::is_rpc;
use crate::pg::{Problem, function, sql};

/// The function that `settings.rpc_admin_check` names.
#[derive(Deserialize)]
pub(crate) struct AdminCheck {
    oid: u32,
    /// The quoted name, with its schema, for messages.
    name: String,
    owner: u32,
    answers_boolean: bool,
}

const FIND: &str = "
    select jsonb_build_object(
        'oid', p.oid::bigint,
        'name', format('%I.%I', n.nspname, p.proname),
        'owner', p.proowner::bigint,
        'answers_boolean', p.prorettype = 'boolean'::regtype and not p.proretset and p.prokind = 'f')
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where p.oid = to_regprocedure($1 || '()')";

impl AdminCheck {
    /// Looks up the function. Fails with 42883 if it does not exist, and with 42804 if it does not return a
    /// boolean.
    pub(crate) fn find(settings: &Settings) -> Result<Self, Problem> {
        let name = settings.rpc_admin_check.as_str();
        let found = look_up(name).ok_or_else(|| {
            Problem::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION,
                format!("function {name}() does not exist"),
            )
            .detail("The setting rpc_admin_check names it.")
            .hint("Set it to a schema-qualified name, such as public.is_admin, of a function without arguments.")
        })?;
        if found.answers_boolean {
            return Ok(found);
        }
        Err(Problem::new(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("function {}() does not return boolean", found.name),
        )
        .detail("The setting rpc_admin_check names it."))
    }

    /// Calls the function with the rights of its owner and returns whether it returned true. Fails with 55000 if it
    /// was dropped or given to another owner since it was looked up.
    pub(crate) fn says_yes(&self) -> bool {
        if function::owner_of(self.oid) != Some(self.owner) {
            Problem::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("function {}() has changed", self.name),
            )
            .detail("It was dropped, or its owner changed, since it was looked up.")
            .raise();
        }
        function::call_boolean(self.oid, self.owner) == Some(true)
    }
}

fn look_up(name: &str) -> Option<AdminCheck> {
    sql::fetch_one(FIND, &[Some(name)])
        .map(serde_json::from_value)
        .and_then(Result::ok)
}

/// Fails with 42501 if the caller is an RPC caller who is not an admin.
pub(crate) fn require_admin() -> Result<(), Problem> {
    if !is_rpc() {
        return Ok(());
    }
    let settings = Settings::load()?;
    let check = AdminCheck::find(&settings)?;
    if check.says_yes() {
        return Ok(());
    }
    Err(Problem::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "only admins may do this",
    )
    .detail(format!("{}() did not return true for the caller.", check.name))
    .hint("By default, an admin's token contains \"app_metadata\": {\"role\": \"admin\"}; the setting rpc_admin_check can name another function."))
}

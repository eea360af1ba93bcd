//! The check that an RPC caller is an admin, by the function in `settings.rpc_admin_check`.

use pgrx::prelude::PgSqlErrorCode;
use serde::Deserialize;
use serde_json::Value;

use super::settings::Settings;
use crate::pg::identity::{as_table_owner, is_rpc};
use crate::pg::{Problem, sql, while_checked};

/// The function that `settings.rpc_admin_check` names.
#[derive(Clone, Deserialize, PartialEq)]
pub(crate) struct AdminCheck {
    oid: u32,
    /// The quoted name, with its schema.
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

    /// Calls the function with the rights of its owner and returns whether it returned true. Fails with 55000 if
    /// the name refers to another function, or the function has another owner, at the moment of the call.
    pub(crate) fn says_yes(&self, settings: &Settings) -> bool {
        let question = format!("select to_jsonb({}())", self.name);
        let answer = while_checked(self.check_unchanged(settings), || {
            as_table_owner(self.owner.into(), || sql::fetch_one(&question, &[]))
        });
        answer == Some(Value::Bool(true))
    }

    fn check_unchanged(&self, settings: &Settings) -> impl Fn() + use<> {
        let (then, name) = (self.clone(), settings.rpc_admin_check.clone());
        move || {
            let now = look_up(&name);
            if now.as_ref() != Some(&then) {
                Problem::new(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("function {}() was replaced", then.name),
                )
                .detail("It was replaced, or its owner changed, during the call.")
                .raise();
            }
        }
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
    if check.says_yes(&settings) {
        return Ok(());
    }
    Err(Problem::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "only admins may do this",
    )
    .detail(format!("{}() did not return true for the caller.", check.name))
    .hint("By default, an admin's token contains \"app_metadata\": {\"role\": \"admin\"}; the setting rpc_admin_check can name another function."))
}

//! Checks the secrets: set, readable by the server and by nobody else. No answer contains one.

use pgrx::prelude::PgSqlErrorCode;
use serde_json::Value;

use super::{Check, reset_statement, set_statement, text};
use crate::ledger::stripe_accounts;
use crate::pg::guc::is_preloaded;
use crate::pg::identity::{outer_role, server_user_id};
use crate::pg::{Problem, in_subtransaction, sql};
use crate::settings;

const STRIPE_KEY: &str = "invoice_sync.stripe_api_key";
const WEBHOOK_SECRET: &str = "invoice_sync.stripe_webhook_secret";
const EMAIL_KEY: &str = "invoice_sync.resend_api_key";

/// The first check of `doctor()`: nothing works without a key.
pub(super) fn stripe_key() -> Result<Vec<Check>, Problem> {
    let preloaded = match is_preloaded() {
        true => "invoice_sync is in shared_preload_libraries",
        false => {
            "invoice_sync is not in shared_preload_libraries, which only literal secrets require"
        }
    };
    let name = "Stripe key";
    let key = judge(name, STRIPE_KEY, "the key is", || {
        Ok(settings::stripe_api_key()?.is_some())
    });
    // A key that is not set, not one that cannot be read.
    let is_unset = matches!(in_subtransaction(settings::stripe_api_key), Ok(None));
    let key = match is_unset && stripe_accounts::have_own_keys() {
        true => Check::good(
            name,
            format!("{STRIPE_KEY} is not set; only accounts with a key of their own are asked"),
        ),
        false => key,
    };
    Ok(vec![key, Check::good("library", preloaded)])
}

pub(super) fn webhook_secret() -> Check {
    judge("webhook secret", WEBHOOK_SECRET, "it is", || {
        Ok(!settings::stripe_webhook_secrets()?.is_empty())
    })
}

pub(super) fn email_key() -> Check {
    judge("e-mail key", EMAIL_KEY, "it is", || {
        Ok(settings::resend_api_key()?.is_some())
    })
}

/// `read` returns whether the secret is set, or why it cannot be read.
fn judge(
    name: &str,
    setting: &str,
    there: &str,
    read: impl FnOnce() -> Result<bool, Problem>,
) -> Check {
    match in_subtransaction(read) {
        Ok(true) => Check::good(name, format!("{there} {}", source_of(setting))),
        Ok(false) => Check::bad(
            name,
            format!("the setting {setting} is not set"),
            place_statement(setting),
        ),
        Err(problem) => Check::bad(
            name,
            super::described(&problem),
            fix_statement(setting, &problem),
        ),
    }
}

/// Returns how a secret is given.
fn source_of(setting: &str) -> String {
    let shown = shown(setting);
    let way = shown
        .split(',')
        .map(|part| match part.trim().split_once(':') {
            Some(("file", path)) => format!("in the file {path}"),
            Some(("vault", name)) => format!("in the vault as {name}"),
            _ => "a literal in the server's configuration".to_owned(),
        });
    let mut ways: Vec<String> = way.collect();
    ways.dedup();
    ways.join(" and ")
}

/// Returns what SHOW returns, which is never a literal.
fn shown(setting: &str) -> String {
    text(&format!("current_setting('{setting}', true)"))
}

/// Returns paths on the server that SHOW denies the caller, each with a placeholder; none if the caller may read
/// all settings.
pub(super) fn hidden_paths() -> Vec<(String, String)> {
    let may_read = sql::fetch_one(
        "select to_jsonb(pg_has_role($1, 'pg_read_all_settings', 'usage'))",
        &[Some(&outer_role())],
    );
    if may_read == Some(Value::Bool(true)) {
        return Vec::new();
    }
    let mut paths = Vec::new();
    for setting in [STRIPE_KEY, WEBHOOK_SECRET, EMAIL_KEY] {
        let shown = shown(setting);
        let files = shown
            .split(',')
            .filter_map(|part| part.trim().strip_prefix("file:"));
        paths.extend(files.map(|path| (path.trim().to_owned(), format!("<file of {setting}>"))));
    }
    let of_accounts: Vec<[Option<String>; 2]> = sql::fetch_texts(
        "select distinct split_part(r, ':', 2), c
        from invoice_sync.stripe_account a
        cross join lateral (values (a.api_key, 'api_key'), (a.webhook_secret, 'webhook_secret')) s (r, c)
        where r like 'file:%'",
        &[],
    );
    for [path, column] in of_accounts {
        let placeholder = format!("<file of stripe_account.{}>", column.unwrap_or_default());
        paths.push((path.unwrap_or_default(), placeholder));
    }
    for setting in ["config_file", "hba_file", "data_directory"] {
        paths.push((
            text(&format!("current_setting('{setting}')")),
            format!("<{setting}>"),
        ));
    }
    let directory = text("regexp_replace(current_setting('config_file'), '/[^/]*$', '')");
    paths.push((directory, "<directory of config_file>".to_owned()));
    paths.retain(|(path, _)| path.len() > 1);
    // Longer paths first, because a shorter one may be a prefix.
    paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    paths
}

/// Returns statements that create a file next to the server's configuration and set the setting to it.
pub(super) fn place_statement(setting: &str) -> String {
    let file = setting.replace("invoice_sync.", "invoice_sync_");
    let directory = text("regexp_replace(current_setting('config_file'), '/[^/]*$', '')");
    let path = format!("{directory}/{file}");
    format!(
        "{}\n{}",
        file_statement(&path),
        set_statement(setting, &format!("file:{path}"))
    )
}

/// Returns a command that reads the secret from its standard input, so that no shell history contains it.
fn file_statement(path: &str) -> String {
    format!(
        "$ install -m 600 -o {user} /dev/stdin '{path}'  # then paste it, Enter, Ctrl-D",
        user = server_user_id(),
    )
}

fn fix_statement(setting: &str, problem: &Problem) -> String {
    let shown = shown(setting);
    let Some(path) = shown.strip_prefix("file:") else {
        return place_statement(setting);
    };
    if problem.is(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE) {
        return format!(
            "$ chown {user} '{path}' && chmod 600 '{path}'",
            user = server_user_id()
        );
    }
    file_statement(path)
}

/// Finds literals that other roles can read, whether or not they are in use: in the catalog of ALTER DATABASE and
/// ALTER ROLE, and, without the library preloaded, in the configuration file.
pub(super) fn visible_literals() -> Result<Vec<Check>, Problem> {
    let found = sql::fetch(
        r"
        with secret (name) as (
            values ('invoice_sync.stripe_api_key'), ('invoice_sync.stripe_webhook_secret'),
                   ('invoice_sync.resend_api_key')
        ),
        stored as (
            select split_part(c, '=', 1) as name, substr(c, strpos(c, '=') + 1) as value,
                   case
                       when s.setrole = 0 then format('alter database %I', d.datname)
                       when s.setdatabase = 0 then format('alter role %I', r.rolname)
                       else format('alter role %I in database %I', r.rolname, d.datname)
                   end as place
            from pg_db_role_setting s
            cross join unnest(s.setconfig) c
            left join pg_database d on d.oid = s.setdatabase
            left join pg_roles r on r.oid = s.setrole
            where s.setdatabase = 0 or d.datname = current_database()
            union all
            select f.name, f.setting, null
            from pg_file_settings f
            where not $1::boolean
        )
        select jsonb_build_object('name', name, 'place', place)
        from stored
        join secret using (name)
        where value !~ '^\s*((file|vault):[^,]*(,\s*|$))*$'
        order by 1",
        &[Some(sql::boolean(is_preloaded()))],
    );
    let name = "secrets in sight";
    if found.is_empty() {
        return Ok(vec![Check::good(
            name,
            "no secret is readable by other roles",
        )]);
    }
    let field = |row: &Value, field: &str| row[field].as_str().map(str::to_owned);
    Ok(found
        .iter()
        .map(|row| {
            let setting = field(row, "name").unwrap_or_default();
            match field(row, "place") {
                Some(place) => Check::bad(
                    name,
                    format!("every role can read the literal for {setting} that was stored by {place}; it is not used, and must be replaced in Stripe or Resend"),
                    format!("{place} reset {setting};\n{}", place_statement(&setting)),
                ),
                None => Check::bad(
                    name,
                    format!("the configuration file contains a literal for {setting}, which every role can read with SHOW, because invoice_sync is not in shared_preload_libraries; it is not used"),
                    format!("{}\n{}", without_line(&setting), place_statement(&setting)),
                ),
            }
        })
        .collect())
}

fn without_line(setting: &str) -> String {
    let file = text("current_setting('config_file')");
    let pattern = setting.replace('.', r"\.");
    format!("$ sed -i '/^ *{pattern} *=/d' '{file}'\nselect pg_reload_conf();")
}

/// Returns the statement that resets the API's base URL, if it is not Stripe's own.
pub(super) fn reset_base_statement() -> Option<String> {
    (settings::stripe_api_base() != "https://api.stripe.com")
        .then(|| reset_statement("invoice_sync.stripe_api_base"))
}

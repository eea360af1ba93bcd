//! Checks the Stripe accounts beside that of the key: named, with secrets that can be read, heard of, and answering.

use std::rc::Rc;

use super::Check;
use crate::host::mapping::Mapping;
use crate::host::owner::reading_as;
use crate::ledger::stripe_accounts::{self, StripeAccount};
use crate::pg::{Problem, in_subtransaction, sql};
use crate::run::webhook::MOST_TRIED;
use crate::settings;

/// How many invoices are examined for the accounts that they name, and how many accounts for their secrets.
const SAMPLE: usize = 1_000;

/// How many accounts a check lists.
const LISTED: usize = 5;

/// Returns nothing as long as there is one account only.
pub(super) fn checks() -> Result<Vec<Check>, Problem> {
    let named = stripe_accounts::all(SAMPLE);
    let column = mapping_with_column();
    let unnamed = unnamed(column.as_deref());
    if named.is_empty() && column.is_none() && unnamed.is_empty() {
        return Ok(Vec::new());
    }
    let mut checks = vec![column_is_set(&named, column.is_some()), are_named(&unnamed)];
    if !named.is_empty() {
        checks.push(secrets("account keys", &named, key_of));
        checks.push(secrets(
            "account webhook secrets",
            &named,
            webhook_secret_of,
        ));
        checks.push(endpoints(&named));
        checks.push(answering());
        checks.push(heard_of());
        checks.push(webhooks());
    }
    Ok(checks)
}

/// Returns the mapping, if it has a column of the account.
fn mapping_with_column() -> Option<Rc<Mapping>> {
    let (mapping, _) = in_subtransaction(Mapping::load).ok()?;
    mapping.invoices.account.is_some().then_some(mapping)
}

fn column_is_set(named: &[StripeAccount], is_set: bool) -> Check {
    let name = "account column";
    match (is_set, named.first()) {
        (true, _) => Check::good(name, "a column says which account an invoice belongs to"),
        (false, Some(first)) => Check::bad(
            name,
            format!(
                "accounts are named ({}), but no column says which invoices belong to them, so their payments are booked for none",
                first.account
            ),
            "update invoice_sync.settings set invoice_account_column = 'stripe_account_id';",
        ),
        (false, None) => Check::good(name, "all invoices belong to the account of the key"),
    }
}

/// Returns accounts that invoices or events name and the table of accounts does not.
fn unnamed(mapping: Option<&Mapping>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if let Some(mapping) = mapping
        && let Some(column) = &mapping.invoices.account
    {
        let statement = format!(
            "select distinct btrim(a) from (
                select i.{column}::text from {rows} i
                where i.{column} is not null and btrim(i.{column}::text) <> '' limit {SAMPLE}
            ) t (a)",
            column = column.quoted,
            rows = mapping.invoices.counting.rows(),
        );
        found.extend(reading_as(&mapping.invoices.relation, || texts(&statement)));
    }
    found.extend(texts(
        "select object from invoice_sync.issue
        where invoice_id is null and kind = 'event_failing' and object like 'acct\\_%' and object !~ '/'
          and state <> 'resolved'",
    ));
    found.sort_unstable();
    found.dedup();
    let named = stripe_accounts::named(found.iter().map(String::as_str));
    let own = settings::stripe_account();
    found.retain(|account| !named.contains_key(account) && own.as_ref() != Some(account));
    found
}

fn are_named(unnamed: &[String]) -> Check {
    let name = "accounts named";
    if unnamed.is_empty() {
        return Check::good(name, "all accounts that invoices and events name are named");
    }
    let valid = unnamed
        .iter()
        .filter(|it| crate::domain::account::is_account(it));
    let rows: Vec<String> = valid.map(|account| format!("('{account}')")).collect();
    let hint = match rows.is_empty() {
        true => "-- Write ids of Stripe accounts (acct_…) into the column.".to_owned(),
        false => format!(
            "insert into invoice_sync.stripe_account (account) values {};",
            rows.join(", ")
        ),
    };
    Check::bad(
        name,
        format!(
            "nothing is booked for invoices of these accounts, which nobody named: {}",
            listed(unnamed)
        ),
        hint,
    )
}

/// Why a secret of the account's own cannot be used; `None` if it can, or if the account has none.
type Fault = fn(&StripeAccount) -> Option<String>;

fn key_of(account: &StripeAccount) -> Option<String> {
    let reference = account.api_key.as_deref()?;
    match in_subtransaction(|| settings::api_key_of_account(reference)) {
        Ok(Some(_)) => None,
        Ok(None) => Some("the key is empty".to_owned()),
        Err(problem) => Some(super::described(&problem)),
    }
}

fn webhook_secret_of(account: &StripeAccount) -> Option<String> {
    let reference = account.webhook_secret.as_deref()?;
    match in_subtransaction(|| settings::webhook_secrets_of_account(reference)) {
        Ok(secrets) if secrets.is_empty() => Some("the secret is empty".to_owned()),
        Ok(_) => None,
        Err(problem) => Some(super::described(&problem)),
    }
}

fn secrets(name: &str, named: &[StripeAccount], fault: Fault) -> Check {
    let faults: Vec<String> = named
        .iter()
        .filter_map(|it| Some(format!("{}: {}", it.account, fault(it)?)))
        .collect();
    Check::judged(
        name,
        faults.is_empty(),
        match faults.is_empty() {
            true => "those that accounts have of their own can be read".to_owned(),
            false => listed(&faults),
        },
        "select account, api_key, webhook_secret from invoice_sync.stripe_account;",
    )
}

/// Where many accounts have endpoints of their own, not each secret is tried for each delivery.
fn endpoints(named: &[StripeAccount]) -> Check {
    let own = named
        .iter()
        .filter(|it| it.webhook_secret.is_some())
        .count();
    Check::judged(
        "account endpoints",
        own <= MOST_TRIED,
        match own {
            0 => "no account has an endpoint of its own".to_owned(),
            _ => format!(
                "{own} accounts have endpoints of their own; beside the account that an event states, the secrets of {MOST_TRIED} are tried"
            ),
        },
        "-- In Stripe, use one endpoint of the platform for events on connected accounts.",
    )
}

fn answering() -> Check {
    let refused = texts(
        "select account || ': ' || refused from invoice_sync.account_health where refused is not null",
    );
    Check::judged(
        "accounts answer",
        refused.is_empty(),
        match refused.is_empty() {
            true => "none has refused to be asked".to_owned(),
            false => format!("{} cannot be asked: {}", refused.len(), listed(&refused)),
        },
        "select * from invoice_sync.account_health where refused is not null;",
    )
}

fn heard_of() -> Check {
    let silent = texts(
        "select account from invoice_sync.account_health
        where feed_read_at is null and last_webhook_at is null and since < now() - interval '1 day'",
    );
    Check::judged(
        "accounts heard of",
        silent.is_empty(),
        match silent.is_empty() {
            true => "the feed of each was read, or webhooks of it arrived".to_owned(),
            false => format!("never heard of since they were added: {}", listed(&silent)),
        },
        "call invoice_sync.run_sweep();",
    )
}

fn webhooks() -> Check {
    let missed = texts(
        "select account from invoice_sync.account_health
        where last_missed_at > now() - interval '1 day'
          and coalesce(last_webhook_at, '-infinity') < last_missed_at - interval '1 hour'",
    );
    Check::judged(
        "account webhooks",
        missed.is_empty(),
        match missed.is_empty() {
            true => "no account has had events that only its feed brought".to_owned(),
            false => format!(
                "events of these accounts are found in their feeds only; the endpoint in Stripe must listen to connected accounts: {}",
                listed(&missed)
            ),
        },
        "select * from invoice_sync.account_health where last_missed_at is not null;",
    )
}

/// Returns the first few, and how many more there are.
fn listed(all: &[String]) -> String {
    let shown = all.iter().take(LISTED).cloned().collect::<Vec<_>>();
    let more = match all.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn texts(statement: &str) -> Vec<String> {
    let rows: Vec<[Option<String>; 1]> = sql::fetch_texts(statement, &[]);
    rows.into_iter().flatten().flatten().collect()
}

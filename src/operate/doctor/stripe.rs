//! Checks that Stripe answers and that the key may read what is needed.

use std::time::Duration;

use serde_json::Value;

use super::secrets::{place_statement, reset_base_statement};
use super::{Check, reset_statement};
use crate::host::mapping::Mapping;
use crate::host::owner::reading_as;
use crate::pg::{Problem, in_subtransaction, sql, within_the_statement};
use crate::settings;
use crate::stripe::error::StripeError;
use crate::stripe::probe::{Reply, Seen, probe};
use crate::stripe_access;

/// The time for all requests together.
const PATIENCE: Duration = Duration::from_secs(5);

/// In seconds. A signature is valid for 300 seconds; the remainder is left for the delivery.
const CLOCKS_MAY_DIFFER: i64 = 60;

/// How many invoices with a session are examined for their mode.
const SAMPLE: u32 = 1000;

/// Returns nothing without a key, which another check reports.
pub(super) fn checks() -> Result<Vec<Check>, Problem> {
    let Ok(Some(connection)) = in_subtransaction(stripe_access::connection) else {
        return Ok(Vec::new());
    };
    let livemode = connection.key.livemode();
    let replies = probe(connection, within_the_statement(PATIENCE))?;
    let mut checks = vec![reachable(&replies)];
    if checks[0].ok {
        checks.push(accepted(&replies));
        checks.push(version(&replies));
    }
    if checks.iter().all(|check| check.ok) {
        let (needed, optional): (Vec<_>, Vec<_>) = replies
            .iter()
            .partition(|reply| reply.resource.loss.is_none());
        checks.extend(needed.into_iter().map(permission));
        // Without a needed permission, Stripe's error may be about that one.
        if checks.iter().all(|check| check.ok) {
            checks.extend(optional.into_iter().map(permission));
        }
        checks.extend(clock(&replies));
        checks.push(mode(livemode, &replies)?);
    }
    Ok(checks)
}

fn answers(reply: &Reply) -> bool {
    !matches!(
        reply.outcome,
        Err(StripeError::Unreachable { .. }
            | StripeError::NotAsked
            | StripeError::Malformed { .. })
    )
}

fn reachable(replies: &[Reply]) -> Check {
    let base = settings::stripe_api_base();
    if replies.iter().any(answers) {
        return Check::good("Stripe reachable", format!("{base} answers"));
    }
    let why = replies
        .iter()
        .find_map(|reply| reply.outcome.as_ref().err());
    let why = why.map(ToString::to_string).unwrap_or_default();
    let curl = format!(
        "$ curl --noproxy '*' -sS -m 5 -o /dev/null -w '%{{http_code}}\\n' '{base}/v1/charges'"
    );
    let hint =
        reset_base_statement().map_or_else(|| curl.clone(), |reset| format!("{curl}\n{reset}"));
    Check::bad("Stripe reachable", format!("{base}: {why}"), hint)
}

fn accepted(replies: &[Reply]) -> Check {
    let rejected = replies.iter().find_map(|reply| match &reply.outcome {
        Err(StripeError::RejectedKey { message }) => Some(message),
        _ => None,
    });
    match rejected {
        Some(message) => Check::bad(
            "Stripe accepts the key",
            format!("Stripe says: {message}"),
            place_statement("invoice_sync.stripe_api_key"),
        ),
        None => Check::good("Stripe accepts the key", "Stripe accepted the key"),
    }
}

/// Checks the API version. Source: <https://docs.stripe.com/api/versioning>.
fn version(replies: &[Reply]) -> Check {
    let version = settings::stripe_api_version();
    let refused = replies.iter().find_map(|reply| match &reply.outcome {
        Err(StripeError::Refused {
            status: 400,
            message,
        }) if message.contains("API version") => Some(message),
        _ => None,
    });
    match refused {
        Some(message) => Check::bad(
            "Stripe API version",
            format!("Stripe says: {message}"),
            reset_statement("invoice_sync.stripe_api_version"),
        ),
        None => Check::good("Stripe API version", format!("{version} is accepted")),
    }
}

/// An optional permission that is missing is no failure: the check states what is lost.
fn permission(reply: &Reply) -> Check {
    let resource = reply.resource;
    let name = format!("Stripe permission: {}", resource.name);
    match &reply.outcome {
        Ok(_) => Check::good(name, "the key may read them"),
        Err(StripeError::Forbidden { message }) => {
            let hint = format!(
                "-- In https://dashboard.stripe.com/apikeys: edit the key, {}: Read",
                resource.name
            );
            match resource.loss {
                None => Check::bad(name, format!("Stripe says: {message}"), hint),
                Some(loss) => Check::good(
                    name,
                    format!("optional; without it, {loss}. Stripe says: {message}"),
                )
                .advice(hint),
            }
        }
        Err(error) => Check::bad(
            name,
            error.to_string(),
            "select * from invoice_sync.doctor() where not ok;",
        ),
    }
}

/// Compares the clocks; `None` if no answer has a date.
fn clock(replies: &[Reply]) -> Option<Check> {
    let ahead = seen(replies).find_map(|seen| seen.ahead)?;
    let detail = match ahead {
        0 => "the clocks of Stripe and this server agree".to_owned(),
        1.. => format!("Stripe's clock is {ahead} s ahead of this server's"),
        _ => format!("Stripe's clock is {} s behind this server's", -ahead),
    };
    Some(Check::judged(
        "clock",
        ahead.abs() <= CLOCKS_MAY_DIFFER,
        detail,
        "$ timedatectl set-ntp true",
    ))
}

fn seen(replies: &[Reply]) -> impl Iterator<Item = &Seen> {
    replies
        .iter()
        .filter_map(|reply| reply.outcome.as_ref().ok())
}

/// Compares the key's mode with that of Stripe's objects, of the invoices' sessions and of the answers to sweeps.
fn mode(livemode: Option<bool>, replies: &[Reply]) -> Result<Check, Problem> {
    let name = "mode";
    let key = "invoice_sync.stripe_api_key";
    let Some(livemode) = livemode else {
        return Ok(Check::bad(
            name,
            "the key does not begin with sk_live_, sk_test_, rk_live_ or rk_test_",
            place_statement(key),
        ));
    };
    let (ours, theirs) = if livemode {
        ("live", "test")
    } else {
        ("test", "live")
    };
    let shows_other = seen(replies).any(|seen| seen.livemode == Some(!livemode));
    let stored = sessions_by_mode()?;
    let of_other = |counts: &Value| counts[theirs].as_u64() > counts[ours].as_u64();
    let issues = sql::fetch_one(
        "select to_jsonb(count(*)) from invoice_sync.issue
        where state <> 'resolved' and kind = 'livemode_mismatch'",
        &[],
    );
    let issues = issues.and_then(|count| count.as_u64()).unwrap_or_default();
    if shows_other || issues > 0 || stored.as_ref().is_some_and(of_other) {
        return Ok(Check::bad(
            name,
            format!(
                "the key is a {ours} key, but {} of the checked invoices contain a {theirs} session, and {issues} open issues are about objects of the other mode",
                stored.map_or(0, |counts| counts[theirs].as_u64().unwrap_or_default()),
            ),
            place_statement(key),
        ));
    }
    Ok(Check::good(
        name,
        if livemode {
            "the key is a live key"
        } else {
            "the key is a test key: real payments are not visible"
        },
    ))
}

/// Counts the sessions of each mode, by their prefix, in a sample of invoices; `None` if they cannot be read.
fn sessions_by_mode() -> Result<Option<Value>, Problem> {
    let Ok((mapping, _)) = in_subtransaction(Mapping::load) else {
        return Ok(None);
    };
    let Some(session) = &mapping.invoices.session else {
        return Ok(None);
    };
    let statement = format!(
        r"select jsonb_build_object('live', count(*) filter (where s like 'cs\_live\_%'),
                                    'test', count(*) filter (where s like 'cs\_test\_%'))
        from (select {session}::text from {table} where {session} is not null limit {SAMPLE}) t (s)",
        session = session.quoted,
        table = mapping.invoices.counting.rows(),
    );
    Ok(reading_as(&mapping.invoices.relation, || {
        sql::fetch_one(&statement, &[])
    }))
}

//! The way through the host's invoices by primary key, a stretch at a time,
//! round after round: what nothing else brings up is found here.

use serde::Deserialize;

use crate::pg::sql;

/// Where the round stands.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Round {
    /// The last invoice that was looked at, as text; `None` at the beginning.
    pub(crate) after_id: Option<String>,
    /// Invoices to be looked through now, so that the round ends in time; at least 0.
    pub(crate) owed: f64,
}

/// Where the round over the table `invoices` (quoted) stands. A round is to be
/// done within `settings.full_round`; how many invoices there are, the last one
/// counted.
pub(crate) fn current(invoices: &str) -> Round {
    sql::fetch_one(
        "select jsonb_build_object(
            'after_id', r.after_id,
            'owed', coalesce(coalesce(r.last_rows, greatest(c.reltuples, 0)) * extract(epoch from clock_timestamp() - r.moved_at)
                             / extract(epoch from s.full_round), 0))
        from invoice_sync.settings s
        join pg_class c on c.oid = $1::regclass
        left join invoice_sync.round r on true",
        &[Some(invoices)],
    )
    .and_then(|row| serde_json::from_value(row).ok())
    .unwrap_or_default()
}

/// Goes on to the invoice `last`, over `rows` of them; to the beginning again
/// where `last` is `None`.
pub(crate) fn advance(last: Option<&str>, rows: usize) {
    sql::execute(
        "insert into invoice_sync.round as r (after_id, began_at, moved_at, rows, last_rows, ended_at)
        values ($1, clock_timestamp(), clock_timestamp(), case when $1 is null then 0 else $2::bigint end,
                case when $1 is null then $2::bigint end, case when $1 is null then clock_timestamp() end)
        on conflict (singleton) do update
        set after_id = excluded.after_id,
            began_at = case when r.after_id is null then excluded.began_at else r.began_at end,
            moved_at = excluded.moved_at,
            rows = case when $1 is null then 0 else r.rows + $2::bigint end,
            last_rows = case when $1 is null then r.rows + $2::bigint else r.last_rows end,
            ended_at = coalesce(excluded.ended_at, r.ended_at)",
        &[last, Some(&rows.to_string())],
    );
}

//! The progress of the scan of all invoices, round after round.

use serde::Deserialize;
use serde_json::Value;

use crate::pg::sql;

/// The state of the current round.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Round {
    /// The position reached; `None` at the beginning.
    pub(crate) place: Option<String>,
    /// The number of rows to scan now so that the round ends in time; at least 0.
    pub(crate) owed: f64,
    /// Rows that no transaction from this one on has written are skipped, because the previous round has checked
    /// them; `None` to skip no rows.
    pub(crate) basis: Option<u64>,
    /// The values to store when a round begins.
    beginning: Value,
}

/// A round skips rows that have not changed since the previous one checked them, if the server (a restored dump has
/// other transaction ids), this extension and the settings are the same, the tables are in the same files (TRUNCATE takes
/// a new one, and VACUUM FULL puts rows to other places, without writing them), and no payment was deleted, because a
/// deleted row cannot be found by a scan. Once a week a round skips nothing.
const CURRENT: &str = "
    select jsonb_build_object(
        'place', r.place,
        'owed', coalesce(coalesce(r.last_rows, c.rows)
                         * extract(epoch from clock_timestamp() - r.moved_at)
                         / extract(epoch from s.full_round), 0),
        'basis', case
            when pg_snapshot_xmax(pg_current_snapshot())::text::numeric - r.basis::text::numeric
                 between 0 and 2000000000
                then r.basis::text::numeric
        end,
        'beginning', jsonb_build_object('xid', pg_snapshot_xmin(pg_current_snapshot())::text,
                                        'basis', r.basis::text, 'conditions', n.conditions))
    from invoice_sync.settings s
    cross join lateral (
        select sum(greatest(reltuples, 0)) as rows
        from pg_class where oid = any (array[$1, $2]::regclass[])
    ) c
    cross join lateral (
        select jsonb_build_object(
                   'server', (select system_identifier::text from pg_control_system()),
                   'version', (select extversion from pg_extension where extname = 'invoice_sync'),
                   'settings', md5(to_jsonb(s)::text),
                   'files', array[pg_relation_filenode($1::regclass), pg_relation_filenode($2::regclass)],
                   'payments_deleted', pg_stat_get_tuples_deleted($2::regclass)) as conditions
    ) n
    left join lateral (
        select last_rows, moved_at,
               case when goes_on then place end as place,
               case
                   when goes_on then basis
                   when ended_at >= began_at and conditions = n.conditions
                       and thorough_at > now() - interval '7 days' then xid
               end as basis
        from invoice_sync.round,
             lateral (select place is not null
                      and conditions - 'payments_deleted' = n.conditions - 'payments_deleted' as goes_on) g
    ) r on true";

/// Returns the state of the round over the tables `invoices` and `payments` (quoted). A round is to end within
/// `settings.full_round`; the number of rows is that of the last completed round.
pub(crate) fn current(invoices: &str, payments: &str) -> Round {
    sql::fetch_one(CURRENT, &[Some(invoices), Some(payments)])
        .and_then(|row| serde_json::from_value(row).ok())
        .unwrap_or_default()
}

impl Round {
    /// Records that `rows` rows were scanned, up to `place`. If `place` is `None`, the round has ended.
    pub(crate) fn advance(&mut self, place: Option<&str>, rows: usize) {
        let begins = self.place.is_none();
        sql::execute(
            "insert into invoice_sync.round as r (
                place, began_at, moved_at, rows, last_rows, ended_at, xid, basis, conditions, thorough_at)
            select $1, t.now, t.now, case when $1 is null then 0 else $2::bigint end,
                   case when $1 is null then $2::bigint end, case when $1 is null then t.now end,
                   b.xid, b.basis, b.conditions, case when b.basis is null then t.now end
            from (select clock_timestamp() as now) t,
                 jsonb_to_record($3::jsonb) b (xid xid8, basis xid8, conditions jsonb)
            on conflict (singleton) do update
            set place = excluded.place,
                began_at = case when $4::boolean then excluded.began_at else r.began_at end,
                moved_at = excluded.moved_at,
                rows = case when $1 is null then 0 when $4::boolean then $2::bigint else r.rows + $2::bigint end,
                last_rows = case
                    when $1 is not null then r.last_rows
                    when $4::boolean then $2::bigint
                    else r.rows + $2::bigint
                end,
                ended_at = coalesce(excluded.ended_at, r.ended_at),
                xid = case when $4::boolean then excluded.xid else r.xid end,
                basis = case when $4::boolean then excluded.basis else r.basis end,
                conditions = case when $4::boolean then excluded.conditions else r.conditions end,
                thorough_at = case when $4::boolean then coalesce(excluded.thorough_at, r.thorough_at) else r.thorough_at end",
            &[
                place,
                Some(&rows.to_string()),
                Some(&self.beginning.to_string()),
                Some(sql::boolean(begins)),
            ],
        );
        self.place = place.map(str::to_owned);
    }
}

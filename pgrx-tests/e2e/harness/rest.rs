//! Every shop comes to rest: once nothing is left to do, a sweep makes one request.

use postgres::Client;
use stripe_double::Double;

use super::{Shop, connect, tell};

/// Within so many sweeps a shop comes to rest.
const SWEEPS: usize = 10;

/// The rows of the extension's own tables that cannot be. PostgreSQL does not check this, for the sake of speed.
const UNSOUND: &str = "
select coalesce(string_agg(what, '; '), '') from (
    select format('run %s is %s by %s', id, kind, cause) from invoice_sync.run
    where kind not in ('sweep', 'sync_invoice', 'webhook', 'backfill', 'resolve_issue', 'undo')
        or cause not in ('cron', 'sql', 'rpc', 'webhook')
    union all
    select format('change %s has no run, or no form', c.id) from invoice_sync.change c
    where not exists (select from invoice_sync.run r where r.id = c.run_id)
        or not exists (select from invoice_sync.change_form f where f.id = c.form_id)
        or exists (
            select from unnest(c.undone_by_runs) u (run)
            where u.run is not null and not exists (select from invoice_sync.run r where r.id = u.run))
    union all
    select format('change %s is there twice', id) from invoice_sync.full_change group by id having count(*) > 1
    union all
    select format('payment %s received %s, refunded %s, withheld %s, as of %s', id, received, refunded, withheld, as_of)
    from invoice_sync.stripe_payment
    where received < 0 or refunded not between 0 and received or withheld < 0 or as_of = '-infinity'
    union all
    select format('event %s is %s', id, state) from invoice_sync.event
    where state not in ('pending', 'done', 'ignored') or attempts < 0
        or state <> 'done' and processed_at is not null
        or state = 'pending' and next_attempt_at is null
) as u (what)";

/// In seconds.
const AN_HOUR: i64 = 3600;

impl Shop {
    /// The shop of this test does not come to rest, for this reason: [`Shop`] is dropped without the check.
    pub fn not_at_rest(&mut self, why: &'static str) {
        assert!(!why.is_empty(), "say why");
        self.restless = true;
    }

    /// Sweeps, as the scheduled job does, until a sweep makes one request; then the next one makes one, too.
    ///
    /// # Panics
    ///
    /// Panics if it does not.
    pub(super) fn check_rest(&mut self) {
        // Stripe answers again.
        self.stripe.clear_faults();
        self.stripe.release_held();
        // Whatever the test left open ends, and with it its locks.
        self.db = connect("postgres");
        let mut db = connect(&self.name);
        execute(
            &mut db,
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()",
        );
        assert_sound(&mut db);
        if !comes_to_rest(&mut db, &self.stripe) {
            // Each sweep reads all events of the last minutes again, perhaps on several pages.
            self.db = connect(&self.name);
            self.age(AN_HOUR);
            self.stripe.age(AN_HOUR);
            assert!(
                comes_to_rest(&mut db, &self.stripe),
                "a quiet sweep makes one request, but after {SWEEPS} sweeps one makes {:?}",
                requests_of_a_sweep(&mut db, &self.stripe)
            );
        }
    }
}

fn assert_sound(db: &mut Client) {
    let row = db.query_one(UNSOUND, &[]).unwrap_or_else(|error| {
        panic!("the extension's tables cannot be checked: {}", tell(&error));
    });
    let unsound: String = row.get(0);
    assert_eq!(unsound, "", "in the extension's tables");
}

/// Returns whether, after a sweep with one request, the next one makes one, too.
fn comes_to_rest(db: &mut Client, stripe: &Double) -> bool {
    let mut before = Vec::new();
    for _ in 0..SWEEPS {
        let requests = requests_of_a_sweep(db, stripe);
        if requests.len() == 1 {
            return requests_of_a_sweep(db, stripe).len() == 1;
        }
        if requests == before && requests.iter().all(|path| path == "/v1/events") {
            // The next sweeps read the same pages again.
            return false;
        }
        before = requests;
    }
    false
}

/// Returns the paths that a sweep requests.
fn requests_of_a_sweep(db: &mut Client, stripe: &Double) -> Vec<String> {
    stripe.reset_requests();
    execute(db, "call invoice_sync.run_sweep()");
    let requests = stripe.requests().into_iter().map(|seen| seen.path);
    requests.filter(|path| path.starts_with("/v1/")).collect()
}

fn execute(db: &mut Client, sql: &str) {
    db.batch_execute(sql)
        .unwrap_or_else(|error| panic!("the shop does not come to rest: {sql}: {}", tell(&error)));
}

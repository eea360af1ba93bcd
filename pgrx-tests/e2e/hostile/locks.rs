//! Locks that a role without rights can take do not stop sweeps and backfills.

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::server::{attempt, refusal};

#[test]
fn no_lock_that_any_role_may_take_keeps_sweeps_and_backfills_from_working() {
    let mut shop = Shop::open();
    Sale::unbooked(&mut shop, "INV-1");
    shop.make_roles(&["locks_nobody"]);
    let names = "select array_agg(c.oid::bigint) from pg_catalog.pg_class c
        where c.relnamespace = 'invoice_sync'::regnamespace";
    let oids: Vec<i64> = shop.db.query_one(names, &[]).expect("they are").get(0);
    let mut nobody = shop.connect_as("locks_nobody");
    for oid in &oids {
        // By two numbers of 32 bits, and by the one of 64 that both are together.
        for statement in [
            format!(
                "select pg_advisory_lock({oid}::bigint::bit(32)::int, n) from generate_series(0, 4) n"
            ),
            format!(
                "select pg_advisory_lock(({oid}::bigint << 32) + n) from generate_series(0, 4) n"
            ),
            format!("select pg_advisory_lock({oid})"),
        ] {
            attempt(&mut nobody, &statement).unwrap_or_else(|error| panic!("{error:?}"));
        }
    }
    for table in ["run", "backfill", "settings"] {
        let lock = format!("begin; lock table invoice_sync.{table} in access share mode");
        assert_eq!(refusal(&mut nobody, &lock).sqlstate, "42501", "{table}");
        attempt(&mut nobody, "rollback").expect("it ends");
    }

    assert_eq!(shop.sweep()["skipped"], serde_json::json!(null));
    shop.execute("call invoice_sync.run_sweep()");
    shop.execute("call invoice_sync.backfill(now() - interval '1 day')");
    assert_eq!(
        shop.text("select invoice_status from invoices"),
        Some("Paid".into())
    );
}

//! The owner of the schema replaces tables, or the check of admins, between their lookup and their use.

use std::thread::JoinHandle;

use postgres::Client;

use super::schema_owner::{
    LAST_RUN, Scene, Swap, no_stranger_ran, others_beside, rename_schemas, scene,
};
use crate::harness::server::attempt;
use crate::harness::{SqlError, connect_as, tell, wait_until};

/// By what the tables are used.
#[derive(Clone, Copy, Debug, PartialEq)]
enum EntryPoint {
    Sweep,
    SweepDry,
    RunSweep,
    Backfill,
    Sync,
    SyncDry,
    Webhook,
    Resolve,
    Undo,
    UndoDry,
    UndoChange,
    Doctor,
    PaidWithoutPayment,
    StripeWithoutPayment,
    Status,
}

impl EntryPoint {
    const ALL: [Self; 15] = [
        Self::Sweep,
        Self::SweepDry,
        Self::RunSweep,
        Self::Backfill,
        Self::Sync,
        Self::SyncDry,
        Self::Webhook,
        Self::Resolve,
        Self::Undo,
        Self::UndoDry,
        Self::UndoChange,
        Self::Doctor,
        Self::PaidWithoutPayment,
        Self::StripeWithoutPayment,
        Self::Status,
    ];

    /// Those that lock rows.
    const LOCKING: [Self; 8] = [
        Self::Sweep,
        Self::RunSweep,
        Self::Backfill,
        Self::Sync,
        Self::Webhook,
        Self::Resolve,
        Self::Undo,
        Self::UndoChange,
    ];

    /// Makes what there is to do, and gives the call.
    fn set(self, scene: &mut Scene) -> String {
        let sync = format!("invoice_sync.sync_invoice('{}'", scene.invoice);
        match self {
            Self::Sweep => "select invoice_sync.sweep()".to_owned(),
            Self::SweepDry => "select invoice_sync.sweep(dry_run => true)".to_owned(),
            Self::RunSweep => "call invoice_sync.run_sweep()".to_owned(),
            Self::Backfill => "call invoice_sync.backfill(now() - interval '1 day')".to_owned(),
            Self::Sync => format!("select {sync})"),
            Self::SyncDry => format!("select {sync}, true)"),
            Self::Webhook => scene.webhook(),
            Self::Resolve => {
                scene.shop.execute(
                    "insert into app.invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due)
                    values ('INV-2', 'Ada', 'Paid', 125, 125, 0);
                    select invoice_sync.sweep()",
                );
                let kind = "paid_without_payment";
                let issue = scene.shop.text(&format!(
                    "select id from invoice_sync.open_issues where kind = '{kind}'"
                ));
                format!(
                    "select invoice_sync.resolve_issue({}, 'set_status', arguments => '{{\"status\": \"Cancelled\"}}')",
                    issue.expect("the sweep found it")
                )
            }
            Self::Undo | Self::UndoDry | Self::UndoChange => {
                scene.shop.execute(&format!("select {sync})"));
                let (what, function) = match self {
                    Self::UndoChange => ("id", "undo_change"),
                    _ => ("run_id", "undo"),
                };
                let number = scene
                    .shop
                    .text(&format!("select max({what}) from invoice_sync.change"));
                format!(
                    "select invoice_sync.{function}({}, {})",
                    number.expect("it was repaired"),
                    self == Self::UndoDry
                )
            }
            Self::Doctor => "select * from invoice_sync.doctor()".to_owned(),
            Self::PaidWithoutPayment => {
                "select * from invoice_sync.paid_without_payment".to_owned()
            }
            Self::StripeWithoutPayment => {
                "select * from invoice_sync.stripe_without_payment".to_owned()
            }
            Self::Status => {
                "select * from invoice_sync.status; select * from invoice_sync.metrics".to_owned()
            }
        }
    }

    /// Of these, the catalogs and the ledger tell all.
    fn reads_no_table(self) -> bool {
        matches!(self, Self::Doctor | Self::Status)
    }
}

/// Calls in a session of its own, and comes back as soon as it waits for a lock, or is over.
fn call_until_it_waits(scene: &mut Scene, call: String) -> JoinHandle<Result<(), SqlError>> {
    let mut session = scene.shop.connect();
    let id: i32 = session
        .query_one("select pg_backend_pid()", &[])
        .expect("it lives")
        .get(0);
    let caller = std::thread::spawn(move || attempt(&mut session, &call));
    let waits =
        format!("select true from pg_stat_activity where pid = {id} and wait_event_type = 'Lock'");
    wait_until("the call waits for a lock, or is over", || {
        caller.is_finished() || scene.shop.text(&waits).is_some()
    });
    caller
}

/// Calls while the attacker has dropped the tables and made others, and has not committed yet.
fn drop_tables_and_call(scene: &mut Scene, call: String) -> Result<(), SqlError> {
    let mut attacker = connect_as(scene.shop.name(), &scene.attacker);
    attempt(&mut attacker, &Swap::Tables.statements()).expect("nobody else is there");
    let caller = call_until_it_waits(scene, call);
    attempt(&mut attacker, "commit").expect("it ends");
    caller.join().expect("the caller lives")
}

/// Calls while somebody has a lock of this mode on the tables; meanwhile the attacker gives their names to others.
fn call_and_rename_schema(scene: &mut Scene, call: String, mode: &str) -> Result<(), SqlError> {
    let mut attacker = connect_as(scene.shop.name(), &scene.attacker);
    attempt(&mut attacker, &others_beside()).expect("they may make a schema");
    let mut holder = scene.shop.connect();
    let lock = format!("begin; lock table app.invoices, app.payments in {mode} mode");
    attempt(&mut holder, &lock).expect("nobody else is there");
    let caller = call_until_it_waits(scene, call);
    attempt(&mut attacker, &rename_schemas()).expect("no lock of a table is needed");
    attempt(&mut holder, "commit").expect("it ends");
    caller.join().expect("the caller lives")
}

/// What has to become of a call whose tables were swapped.
fn must_have_ended(
    scene: &mut Scene,
    entry_point: EntryPoint,
    ended: Result<(), SqlError>,
    place: &str,
) {
    no_stranger_ran(scene, place);
    match entry_point {
        _ if entry_point.reads_no_table() => {
            ended.unwrap_or_else(|error| panic!("{place}: {error:?}"));
        }
        EntryPoint::Webhook => {
            ended.unwrap_or_else(|error| panic!("{place}: {error:?}"));
            assert_eq!(
                scene.shop.text("select state from invoice_sync.event"),
                Some("pending".into()),
                "{place}: a sweep acts on it later"
            );
        }
        _ => {
            let error = ended.expect_err(place);
            assert_eq!(error.sqlstate, "55000", "{place}: {error:?}");
            let replaced = "a table is not the one that was looked up: app.";
            assert!(error.message.starts_with(replaced), "{place}: {error:?}");
        }
    }
    if matches!(entry_point, EntryPoint::RunSweep | EntryPoint::Backfill) {
        assert_eq!(
            scene.shop.text(LAST_RUN),
            Some("failed with 55000".into()),
            "{place}: it says at once how it ended"
        );
    }
}

#[test]
fn tables_dropped_between_looking_them_up_and_locking_them_end_the_call() {
    for entry_point in EntryPoint::ALL {
        let mut scene = scene();
        let call = entry_point.set(&mut scene);
        let ended = drop_tables_and_call(&mut scene, call);
        must_have_ended(&mut scene, entry_point, ended, &format!("{entry_point:?}"));
    }
}

#[test]
fn a_schema_renamed_between_looking_tables_up_and_locking_them_ends_the_call() {
    for entry_point in EntryPoint::ALL {
        let mut scene = scene();
        let call = entry_point.set(&mut scene);
        let ended = call_and_rename_schema(&mut scene, call, "access exclusive");
        must_have_ended(&mut scene, entry_point, ended, &format!("{entry_point:?}"));
    }
}

/// The tables are locked by their numbers, and compared; then a statement that locks rows waits for somebody who changes
/// the table's indexes, say, while its name becomes another table's.
#[test]
fn a_schema_renamed_between_comparing_tables_and_naming_them_ends_the_call() {
    for entry_point in EntryPoint::LOCKING {
        let mut scene = scene();
        let call = entry_point.set(&mut scene);
        let ended = call_and_rename_schema(&mut scene, call, "exclusive");
        must_have_ended(&mut scene, entry_point, ended, &format!("{entry_point:?}"));
    }
}

/// Two checks of one name: that of the tables' owner, and one of the attacker's, which tells who runs it.
const CHECKS: &str = "
    create schema checks; create schema others;
    create function checks.is_admin() returns boolean language sql as 'select true';
    alter function checks.is_admin() owner to {owner};
    create function others.is_admin() returns boolean language plpgsql as $$
    begin perform public.note(); return true; end $$;
    alter function others.is_admin() owner to {attacker};
    alter schema checks owner to {attacker}; alter schema others owner to {attacker};
    grant usage on schema checks, others to public;
    update invoice_sync.settings set rpc_admin_check = 'checks.is_admin'";

#[test]
fn a_check_of_admins_that_is_swapped_again_and_again_never_runs_as_another() {
    let mut scene = scene();
    let owner = format!("innocent_of_{}", scene.shop.name());
    scene.shop.execute(
        &CHECKS
            .replace("{attacker}", &scene.attacker)
            .replace("{owner}", &owner),
    );
    let mut attacker = connect_as(scene.shop.name(), &scene.attacker);
    let caller = scene.shop.connect();
    let asking = std::thread::spawn(|| ask_as_rpc(caller));
    let mut swaps = 0;
    while !asking.is_finished() {
        attempt(
            &mut attacker,
            "begin; alter schema checks rename to away; alter schema others rename to checks;
            alter schema away rename to others; commit",
        )
        .expect("the schemas are the attacker's");
        swaps += 1;
    }
    let answers = asking.join().expect("the caller lives");
    println!("checks of admins: {answers} calls answered during {swaps} swaps");
    assert!(
        swaps > 10 && answers > 10,
        "{swaps} swaps, {answers} answers"
    );
    let strangers = scene.shop.texts(&format!(
        "select distinct name from witness where name <> '{}'",
        scene.attacker
    ));
    assert!(strangers.is_empty(), "ran as {strangers:?}");
}

/// Calls as an RPC gateway does; gives how many calls were answered, whatever with.
fn ask_as_rpc(mut caller: Client) -> usize {
    let mut answers = 0;
    for _ in 0..3_000 {
        let call = "begin;
            select set_config('request.jwt.claims', '{\"role\": \"x\"}', true);
            select from invoice_sync.find_currencies();
            commit";
        match caller.batch_execute(call) {
            Ok(()) => answers += 1,
            Err(error) => {
                let known = ["55000", "42883", "3F000", "42501", "XX000"];
                let error = error
                    .as_db_error()
                    .unwrap_or_else(|| panic!("{}", tell(&error)));
                assert!(known.contains(&error.code().code()), "{error:?}");
                caller.batch_execute("rollback").expect("the session lives");
            }
        }
    }
    answers
}

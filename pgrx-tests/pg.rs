//! Tests of src/pg inside a running server.

#[pgrx::pg_schema]
pub(crate) mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use pgrx::pg_sys::errcodes::PgSqlErrorCode;
    use pgrx::prelude::*;

    use crate::pg::identity::{as_table_owner, current_role_name, outer_role};
    use crate::pg::{Problem, Step, Stop, in_subtransaction, run_on_threads, start_on_threads};

    const SOON: Duration = Duration::from_secs(20);

    pub(crate) fn run(statement: &str) {
        Spi::connect_mut(|client| client.update(statement, None, &[]).map(|_| ()))
            .expect("SPI takes the statement");
    }

    /// Runs a statement as callers of src/pg do: in its own SPI connection, with errors that unwind.
    fn attempt(statement: &str) -> Result<(), Problem> {
        in_subtransaction(|| {
            run(statement);
            Ok(())
        })
    }

    fn count(table: &str) -> i64 {
        Spi::get_one(&format!("select count(*) from {table}"))
            .expect("the table can be counted")
            .expect("a count is never null")
    }

    fn create_payments() {
        run("create temp table room_payments (
                id int constraint room_payments_once unique,
                note text not null default '',
                amount int constraint room_amount_positive check (amount > 0)
             )");
    }

    #[pg_test]
    fn a_unique_violation_names_its_constraint_and_undoes_only_itself() {
        create_payments();
        run("insert into room_payments values (1)");

        let problem =
            attempt("insert into room_payments values (2); insert into room_payments values (1)")
                .expect_err("the second insert violates the constraint");

        assert_eq!(problem.sqlstate_text(), "23505");
        assert!(problem.is(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION));
        assert_eq!(problem.constraint(), Some("room_payments_once"));
        assert_eq!(problem.table(), Some("room_payments"));
        assert_eq!(problem.detail_text(), Some("Key (id)=(1) already exists."));
        assert_eq!(count("room_payments"), 1, "row 2 was undone, row 1 stays");
    }

    #[pg_test]
    fn check_and_not_null_violations_name_constraint_and_column() {
        create_payments();

        let check = attempt("insert into room_payments values (1, '', 0)").unwrap_err();
        let not_null = attempt("insert into room_payments values (1, null)").unwrap_err();

        assert_eq!(check.constraint(), Some("room_amount_positive"));
        assert_eq!(not_null.column(), Some("note"));
        assert_eq!(not_null.constraint(), None, "nothing is left over");
    }

    #[pg_test]
    fn an_error_caught_inside_is_not_reported_as_a_later_one() {
        create_payments();
        run("insert into room_payments values (1)");

        let problem = attempt(
            "do $$ begin
                 begin
                     insert into room_payments values (1);
                 exception when unique_violation then null;
                 end;
                 raise exception 'refused by the host' using errcode = 'UE001', hint = 'ask';
             end $$",
        )
        .unwrap_err();

        assert_eq!(problem.sqlstate_text(), "UE001", "the host's own code");
        assert_eq!(problem.message(), "refused by the host");
        assert_eq!(problem.hint_text(), Some("ask"));
        assert_eq!(problem.constraint(), None);
    }

    #[pg_test]
    fn an_err_of_the_work_is_rolled_back() {
        create_payments();

        let refused = in_subtransaction::<()>(|| {
            run("insert into room_payments values (1)");
            Err(Problem::new(PgSqlErrorCode::ERRCODE_RAISE_EXCEPTION, "no"))
        });

        assert_eq!(refused.unwrap_err().message(), "no");
        assert_eq!(count("room_payments"), 0);
    }

    #[pg_test]
    fn a_raised_problem_is_returned_unchanged() {
        let raised = Problem::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, "not yours")
            .detail("A fact.")
            .hint("An advice.");

        let caught = in_subtransaction::<()>({
            let raised = raised.clone();
            || raised.raise()
        });

        assert_eq!(caught.unwrap_err(), raised);
    }

    #[pg_test]
    fn a_nested_failure_rolls_back_only_itself() {
        create_payments();

        let outer = in_subtransaction(|| {
            run("insert into room_payments values (1)");
            let inner = attempt("insert into room_payments values (1)");
            assert_eq!(inner.unwrap_err().constraint(), Some("room_payments_once"));
            attempt("insert into room_payments values (2)")
        });

        assert_eq!(outer, Ok(()));
        assert_eq!(count("room_payments"), 2);

        let outer = in_subtransaction::<()>(|| {
            attempt("insert into room_payments values (3)")?;
            run("insert into room_payments values (1)");
            Ok(())
        });
        assert!(outer.is_err());
        assert_eq!(count("room_payments"), 2, "the inner success went with it");
    }

    #[pg_test]
    fn an_spi_connection_outside_survives_failures_inside() {
        create_payments();
        let total: Option<i64> = Spi::connect_mut(|client| {
            client
                .update("insert into room_payments values (1)", None, &[])
                .unwrap();
            for _ in 0..50 {
                assert!(attempt("insert into room_payments values (1)").is_err());
            }
            client
                .select("select count(*) from room_payments", None, &[])
                .unwrap()
                .first()
                .get_one()
                .unwrap()
        });
        assert_eq!(total, Some(1));
    }

    #[pg_test]
    fn a_failing_trigger_that_uses_spi_rolls_back_only_itself() {
        create_payments();
        run(
            "create function pg_temp.room_refuse() returns trigger language plpgsql as $$
             begin
                 perform count(*) from room_payments;
                 if new.id % 2 = 0 then
                     raise exception 'even';
                 end if;
                 return new;
             end $$;
             create trigger refuse before insert on room_payments
                 for each row execute function pg_temp.room_refuse()",
        );

        for id in 1..=200 {
            let outcome = attempt(&format!("insert into room_payments values ({id})"));
            assert_eq!(outcome.is_ok(), id % 2 == 1, "payment {id}");
        }
        assert_eq!(count("room_payments"), 100);
    }

    #[pg_test(error = "canceling statement due to user request")]
    fn a_cancel_is_not_swallowed() {
        let swallowed = attempt("select pg_cancel_backend(pg_backend_pid()); select pg_sleep(10)");
        panic!("the cancel was swallowed: {swallowed:?}");
    }

    #[pg_test]
    fn a_rust_panic_is_rolled_back_and_returned_as_a_problem() {
        create_payments();

        let outcome = in_subtransaction::<()>(|| {
            run("insert into room_payments values (1)");
            panic!("a bug");
        });

        let problem = outcome.expect_err("a panic is an error");
        assert_eq!(problem.sqlstate_text(), "XX000");
        assert_eq!(problem.message(), "a bug");
        assert_eq!(count("room_payments"), 0);
    }

    #[pg_test]
    fn the_owners_identity_ends_with_the_work() {
        run("create role room_owner");
        let owner = oid_of_role("room_owner");
        let before = current_role_name();

        let (during, asked_by) = as_table_owner(owner, || (current_role_name(), outer_role()));

        assert_eq!(during, "room_owner");
        assert_eq!(asked_by, before, "the caller stays the caller");
        assert_eq!(current_role_name(), before);
    }

    #[pg_test]
    fn the_owners_identity_ends_with_a_failure_too() {
        run("create role room_owner");
        let owner = oid_of_role("room_owner");
        let before = current_role_name();

        let inside = as_table_owner(owner, || attempt("select 1 / 0"));
        assert_eq!(inside.unwrap_err().sqlstate_text(), "22012");
        assert_eq!(current_role_name(), before);

        let around = in_subtransaction(|| {
            as_table_owner(owner, || run("select 1 / 0"));
            Ok(())
        });
        assert!(around.is_err());
        assert_eq!(current_role_name(), before);
    }

    #[pg_test]
    fn work_as_the_owner_cannot_change_its_role() {
        run("create role room_owner");
        let owner = oid_of_role("room_owner");

        let escape = as_table_owner(owner, || attempt("reset role; set role none"));

        assert_eq!(
            escape.unwrap_err().sqlstate_text(),
            "42501",
            "as in a SECURITY DEFINER function"
        );
    }

    #[pg_test]
    fn cursors_that_the_owner_opens_end_with_the_work_and_the_callers_stay() {
        run("declare callers cursor for select 1");
        let owner = oid_of_role("postgres");
        as_table_owner(owner, || {
            run("declare left_open cursor for select 1");
            let closed = attempt("do $$ declare c refcursor := 'callers'; begin close c; end $$");
            assert!(closed.is_err(), "it cannot close the caller's");
            assert_eq!(count("pg_cursors where name <> ''"), 2);
        });
        let cursors: Option<String> =
            Spi::get_one("select string_agg(name, ' ') from pg_cursors where name <> ''")
                .expect("they can be listed");
        assert_eq!(cursors.as_deref(), Some("callers"));
    }

    pub(crate) fn oid_of_role(name: &str) -> pg_sys::Oid {
        Spi::get_one(&format!("select '{name}'::regrole::oid"))
            .unwrap()
            .unwrap()
    }

    #[pg_test]
    fn results_arrive_in_job_order() {
        let jobs: Vec<u64> = (0..20).collect();
        let results = run_on_threads(jobs, 8, Instant::now() + SOON, |job, stop| {
            stop.sleep(Duration::from_millis((20 - job) * 2));
            job
        })
        .expect("threads start");

        let expected: Vec<_> = (0..20).map(Some).collect();
        assert_eq!(results, expected);
    }

    #[pg_test]
    fn no_jobs_need_no_threads() {
        let results = run_on_threads(Vec::<u8>::new(), 8, Instant::now() + SOON, |job, _| job);
        assert_eq!(results, Ok(Vec::new()));
    }

    #[pg_test]
    fn the_deadline_leaves_late_jobs_without_result() {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(150);

        let results = run_on_threads(vec![0, 60_000, 0], 2, deadline, |milliseconds, stop| {
            stop.sleep(Duration::from_millis(milliseconds));
            milliseconds
        })
        .expect("threads start");

        assert_eq!(results, vec![Some(0), None, Some(0)]);
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "nobody waits for late jobs, it took {:?}",
            started.elapsed()
        );
    }

    #[pg_test]
    fn a_panic_in_a_worker_is_contained() {
        let results = run_on_threads(vec![1, 2, 3], 2, Instant::now() + SOON, |job, _| {
            assert_ne!(job, 2, "a bug in a worker");
            job
        })
        .expect("threads start");

        assert_eq!(results, vec![Some(1), None, Some(3)]);
        assert_eq!(count("pg_class where relname = 'pg_class'"), 1, "SQL works");
    }

    #[pg_test]
    fn no_more_threads_than_the_limit_are_busy() {
        let busy = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let counted = (Arc::clone(&busy), Arc::clone(&most));

        run_on_threads((0..24).collect(), 3, Instant::now() + SOON, {
            move |_: i32, stop| {
                let (busy, most) = &counted;
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                stop.sleep(Duration::from_millis(10));
                busy.fetch_sub(1, Ordering::SeqCst);
            }
        })
        .expect("threads start");

        let most = most.load(Ordering::SeqCst);
        assert!((2..=3).contains(&most), "{most} threads were busy at once");
    }

    #[pg_test]
    fn a_cancel_ends_the_wait_at_once_and_stops_the_threads() {
        let canceled_at = Arc::new(Mutex::new(None));
        let stopped = Arc::new(AtomicUsize::new(0));
        let (noted, counted) = (Arc::clone(&canceled_at), Arc::clone(&stopped));

        let unwound = catch_unwind(AssertUnwindSafe(|| {
            run_on_threads((0..4).collect(), 4, Instant::now() + SOON, {
                move |job: i32, stop| {
                    if job == 0 {
                        stop.sleep(Duration::from_millis(50));
                        *noted.lock().unwrap() = Some(Instant::now());
                        cancel_this_backend();
                    }
                    if !stop.sleep(SOON) {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        }));

        let canceled_at = canceled_at.lock().unwrap().expect("job 0 ran");
        let waited = canceled_at.elapsed();
        assert!(unwound.is_err(), "the cancel unwinds");
        assert!(
            waited < Duration::from_millis(100),
            "the wait went on for {waited:?} after the cancel"
        );
        let deadline = Instant::now() + Duration::from_secs(5);
        while stopped.load(Ordering::SeqCst) < 4 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(stopped.load(Ordering::SeqCst), 4, "sleeping threads wake");
    }

    /// Does what pg_cancel_backend does, from a thread, where no SQL can be run.
    fn cancel_this_backend() {
        // SAFETY: sends a signal to this process. The calling thread masks it, so the backend's own thread handles
        // it.
        unsafe { libc::kill(libc::getpid(), libc::SIGINT) };
    }

    #[pg_test]
    fn jobs_that_follow_from_others_are_done_and_their_portions_arrive_early() {
        let last_may_end = Arc::new(AtomicUsize::new(0));
        let stop_running = Arc::clone(&last_may_end);
        let mut running = start_on_threads(vec![3_usize], 4, Instant::now() + SOON, {
            move |job: usize, stop: &Stop| {
                while job == 0 && stop_running.load(Ordering::SeqCst) == 0 {
                    stop.sleep(Duration::from_millis(1));
                }
                Step {
                    portion: job,
                    then: (0..job).collect(),
                }
            }
        })
        .expect("threads start");

        let mut first: Vec<usize> = (0..4).filter_map(|_| running.next()).collect();
        first.sort_unstable();
        last_may_end.store(1, Ordering::SeqCst);
        let rest: Vec<usize> = std::iter::from_fn(|| running.next()).collect();

        assert_eq!(first, [1, 1, 2, 3], "all but those that hang");
        assert_eq!(rest, [0; 4]);
    }

    #[pg_test]
    fn threads_run_with_every_signal_masked() {
        let masks = run_on_threads(vec![()], 1, Instant::now() + SOON, |(), _| {
            std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default()
        })
        .expect("threads start");

        let status = masks[0].clone().expect("the job ran");
        let blocked = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:"))
            .map(|mask| u64::from_str_radix(mask.trim(), 16).expect("a hexadecimal mask"));
        let Some(blocked) = blocked else {
            return; // There is no procfs on this system.
        };
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGALRM] {
            assert_ne!(blocked & (1 << (signal - 1)), 0, "signal {signal}");
        }
    }
}

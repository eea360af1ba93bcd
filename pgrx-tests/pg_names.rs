//! Tests of names and kept statements of src/pg inside a running server.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::host::admin::AdminCheck;
    use crate::host::settings::Settings;
    use crate::pg::{Relation, in_subtransaction, sql};
    use crate::pg_tests::tests::{oid_of_role, run};

    #[pg_test(error = "a table is not the one that was looked up: room.outer_table")]
    fn a_table_in_use_is_checked_again_after_each_change_of_the_catalogs() {
        with_a_renamed_table_in_use(|| sql::execute("select", &[]));
    }

    #[pg_test(error = "a table is not the one that was looked up: room.outer_table")]
    fn a_table_in_use_around_another_is_checked_again_too() {
        let inner = relation("inner_table");
        with_a_renamed_table_in_use(|| inner.in_use(|| sql::execute("select", &[])));
    }

    fn with_a_renamed_table_in_use(work: impl FnOnce()) {
        relation("outer_table").in_use(|| {
            run("alter table room.outer_table rename to moved");
            sql::execute("select", &[]);
            hear_of_a_change();
            work();
        });
    }

    fn relation(name: &str) -> Relation {
        run(&format!(
            "create schema if not exists room; create table room.{name} ()"
        ));
        let oid: Option<pg_sys::Oid> =
            Spi::get_one(&format!("select 'room.{name}'::regclass::oid")).expect("it exists");
        let owner = oid_of_role("postgres");
        Relation {
            oid: oid.expect("a regclass").to_u32(),
            schema: "room".to_owned(),
            name: name.to_owned(),
            owner: owner.to_u32(),
            kind: b'r',
        }
    }

    #[pg_test]
    fn a_kept_statement_follows_its_table_and_its_parameters() {
        const READ: &str = "select to_jsonb(t) from room.kept t where $1 is not null";
        let read = || sql::fetch_one(READ, &[Some("x")]).expect("there is a row");
        run("create schema room; create table room.kept as select 1 as one");
        assert_eq!(read(), serde_json::json!({ "one": 1 }));

        run("alter table room.kept add two int default 2");
        assert_eq!(read(), serde_json::json!({ "one": 1, "two": 2 }));

        run("drop table room.kept; create table room.kept as select 3 as three");
        assert_eq!(read(), serde_json::json!({ "three": 3 }));

        const COUNT: &str = "select to_jsonb(array_length($1::text[], 1))";
        let of_text = sql::fetch_one(COUNT, &[Some("{a}")]);
        assert_eq!(of_text, Some(1.into()));
        // The same text with a parameter of another type.
        let rows = [[Some("a")], [Some("b")]].into_iter();
        let of_array: Vec<[Option<String>; 1]> =
            sql::fetch_for_rows("select array_length($1::text[], 1)::text", &[], rows);
        assert_eq!(of_array, [[Some("2".to_owned())]]);
        let of_text: Vec<[Option<String>; 1]> =
            sql::fetch_texts("select array_length($1::text[], 1)::text", &[Some("{a}")]);
        assert_eq!(of_text, [[Some("1".to_owned())]]);
    }

    #[pg_test]
    fn statements_that_are_kept_no_more_run_all_the_same() {
        for number in 0..500 {
            let found = sql::fetch_one(&format!("select to_jsonb({number})"), &[]);
            assert_eq!(found, Some(number.into()));
        }
        let again = sql::fetch_one("select to_jsonb(0)", &[]);
        assert_eq!(again, Some(0.into()));
    }

    /// As if another session had changed the catalogs.
    fn hear_of_a_change() {
        // SAFETY: on the backend's thread; PostgreSQL only compares it with what it was.
        unsafe { pg_sys::SharedInvalidMessageCounter += 1 };
    }

    #[pg_test]
    fn a_check_of_admins_that_was_replaced_since_it_was_looked_up_is_not_called() {
        run(
            "create role checks_owner; create role checks_attacker superuser;
            create schema checks; grant usage on schema checks to public;
            create function checks.is_admin() returns boolean language sql as 'select true';
            alter function checks.is_admin() owner to checks_owner;
            set local session_replication_role = replica;
            update invoice_sync.settings set rpc_admin_check = 'checks.is_admin'",
        );
        let settings = Settings::load().expect("there are some");
        let check = AdminCheck::find(&settings).expect("it is there");
        assert!(check.says_yes());

        run("drop function checks.is_admin();
            create function checks.is_admin() returns boolean language plpgsql as
                $$ begin raise 'it ran as %', current_user; end $$;
            alter function checks.is_admin() owner to checks_attacker");
        let asked = in_subtransaction(|| Ok(check.says_yes()));

        let message = asked.expect_err("it is another one").to_string();
        assert!(
            message.ends_with("has changed (SQLSTATE 55000)"),
            "{message}"
        );
    }

    #[pg_test]
    fn a_check_of_admins_is_the_one_that_was_looked_up_whatever_its_name_refers_to() {
        run("create schema checks; create schema others;
            create function checks.is_admin() returns boolean language sql as 'select true';
            create function others.is_admin() returns boolean language plpgsql as
                $$ begin raise 'it ran as %', current_user; end $$;
            set local session_replication_role = replica;
            update invoice_sync.settings set rpc_admin_check = 'checks.is_admin'");
        let settings = Settings::load().expect("there are some");
        let check = AdminCheck::find(&settings).expect("it is there");

        run("alter schema checks rename to away; alter schema others rename to checks");

        assert!(check.says_yes());
    }
}

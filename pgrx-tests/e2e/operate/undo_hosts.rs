//! `undo` with triggers that change what is restored.

use serde_json::json;
use stripe_double::Checkout;

use super::{last_run, undo_last};
use crate::harness::sale::Sale;
use crate::harness::{Shop, wait_until};
use crate::money_cases::hosts::{Host, HostileTables, bill};

#[test]
fn hostile_tables_are_put_back_but_for_the_stamp_of_the_last_update() {
    let host = HostileTables;
    let mut shop = Shop::with_tables(host.tables());
    shop.execute(host.settings());
    for _ in 0..3 {
        let session = shop
            .stripe
            .checkout(Checkout::new(10_000, "usd"))
            .pay()
            .session_id();
        shop.execute(&host.insert_invoice(&bill("Sent", "100").session(session)));
    }
    let rows = r#"select string_agg(t, e'\n' order by t) from (
        select (to_jsonb(o) - 'touched')::text from "Billing Data"."order" o
        union all select to_jsonb(g)::text from "Billing Data"."group" g) r (t)"#;
    let before = shop.text(rows);
    assert_eq!(shop.sweep()["fixed"], json!(3));
    assert_ne!(shop.text(rows), before);

    let report = undo_last(&mut shop, "sweep");

    assert_eq!(
        (&report["undone"], &report["left"]),
        (&json!(3), &json!([])),
        "{report}"
    );
    assert_eq!(shop.text(rows), before);
    let differences = report["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 3);
    for difference in differences {
        assert_eq!(difference["column"], json!("touched"), "{difference}");
        assert_eq!(difference["was"], json!(null));
        assert_ne!(difference["is"], json!(null));
    }

    // The undo is put back with the rows' old keys, generated columns and all.
    let run = last_run(&mut shop, "undo");
    let report = shop.json(&format!("invoice_sync.undo({run})"));
    assert_eq!(report["undone"], json!(3), "{report}");
    let states = shop.texts(r#"select distinct "State" from "Billing Data"."order""#);
    assert_eq!(states, [Some("settled".to_owned())]);
}

#[test]
fn a_trigger_that_keeps_the_payment_or_the_status_leaves_all_as_it_was() {
    for (trigger, why) in [
        (
            "create trigger stay before delete on payments for each row execute function stay()",
            "a trigger in your database keeps or inserts it",
        ),
        (
            "create trigger stay before update on invoices for each row
            when (old.invoice_status = 'Paid') execute function stay()",
            "a trigger in your database sets invoice_status",
        ),
    ] {
        let mut shop = Shop::open();
        Sale::unbooked(&mut shop, "INV-1");
        shop.sweep();
        shop.execute(&format!(
            "create function stay() returns trigger language plpgsql as 'begin return null; end'; {trigger}"
        ));
        let before = shop.dump_of(&["public.invoices", "public.payments"]);

        let report = undo_last(&mut shop, "sweep");

        assert_eq!(report["undone"], json!(0));
        let reason = report["left"][0]["why"].as_str().unwrap_or_default();
        assert!(reason.starts_with(why), "{reason}");
        assert_eq!(
            shop.dump_of(&["public.invoices", "public.payments"]),
            before
        );
        assert_eq!(shop.open_issues(), [""; 0]);
    }
}

#[test]
fn payments_that_the_invoices_triggers_change_are_put_back_after_them() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "alter table payments add note text default 'as agreed';
        create function follow() returns trigger language plpgsql as $$
        begin
            update payments set note = new.invoice_status where invoice_id = new.id;
            return null;
        end $$;
        create trigger follow after update of invoice_status on invoices
            for each row when (old.invoice_status is distinct from new.invoice_status) execute function follow();",
    );
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, total_amount, payment_status, stripe_session_id)
        select id, 'Card', total_amount, 'Pending', '{}' from invoices",
        sale.session
    ));
    let before = shop.dump_of(&["public.invoices", "public.payments"]);
    assert_eq!(shop.sweep()["fixed"], json!(1));
    let notes = "select note from payments";
    assert_eq!(shop.text(notes).as_deref(), Some("Paid"));

    let report = undo_last(&mut shop, "sweep");

    assert_eq!(
        (&report["undone"], &report["differences"]),
        (&json!(1), &json!([])),
        "{report}"
    );
    assert_eq!(
        shop.dump_of(&["public.invoices", "public.payments"]),
        before
    );
}

#[test]
fn what_the_hosts_triggers_did_for_a_repair_is_put_back_with_it() {
    let mut shop = Shop::open();
    shop.execute(
        "create function settle() returns trigger language plpgsql as $$
        declare paid numeric;
        begin
            select coalesce(sum(total_amount), 0) into paid from payments
            where invoice_id = coalesce(new.invoice_id, old.invoice_id);
            update invoices set amount_paid = paid, balance_due = total_amount - paid,
                invoice_status = case when paid >= total_amount then 'Paid' else 'Overdue' end
            where id = coalesce(new.invoice_id, old.invoice_id);
            return null;
        end $$;
        create constraint trigger settle after insert or delete on payments
            deferrable initially deferred for each row execute function settle();",
    );
    Sale::many(&mut shop, 3);
    shop.execute("update invoices set balance_due = 100");
    let before = shop.dump_of(&["public.invoices", "public.payments"]);
    assert_eq!(shop.sweep()["fixed"], json!(3));

    let report = undo_last(&mut shop, "sweep");

    // On removal the trigger says "Overdue"; the status was "Sent".
    assert_eq!(report["undone"], json!(3), "{report}");
    assert_eq!(
        shop.dump_of(&["public.invoices", "public.payments"]),
        before
    );
}

#[test]
fn webhooks_and_buttons_are_undone_like_sweeps() {
    let tables = ["public.invoices", "public.payments"];
    let mut shop = Shop::with_webhooks();
    Sale::unbooked(&mut shop, "INV-1");
    let before = shop.dump_of(&tables);
    shop.deliver_all(&["checkout.session.completed"]);
    assert_ne!(shop.dump_of(&tables), before);
    assert_eq!(undo_last(&mut shop, "webhook")["undone"], json!(1));
    assert_eq!(shop.dump_of(&tables), before);

    // A later webhook about the same payment does not bring it back.
    shop.deliver_all(&["payment_intent.succeeded", "charge.succeeded"]);
    shop.sweep();
    assert_eq!(shop.dump_of(&tables), before);
    assert_eq!(shop.open_issues(), ["repair_undone INV-1"]);

    let sale = Sale::unbooked(&mut shop, "INV-2");
    let before = shop.dump_of(&tables);
    shop.sync(&sale.invoice);
    assert_eq!(undo_last(&mut shop, "sync_invoice")["undone"], json!(1));
    assert_eq!(shop.dump_of(&tables), before);
}

#[test]
fn an_undo_waits_for_the_application_and_respects_what_it_wrote() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    let run = last_run(&mut shop, "sweep");
    let mut application = shop.connect();
    let mut writing = application.transaction().expect("it begins");
    writing
        .execute(
            "update invoices set balance_due = 5 where invoice_number = 'INV-1'",
            &[],
        )
        .expect("it writes");
    let mut session = shop.connect();
    let undoing = std::thread::spawn(move || -> serde_json::Value {
        session
            .query_one(&format!("select invoice_sync.undo({run})"), &[])
            .expect("it ends")
            .get(0)
    });
    wait_until("the undo waits for the row", || {
        shop.text("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%undo(%'")
            == Some("1".to_owned())
    });
    writing.commit().expect("it commits");

    let report = undoing.join().expect("the thread ends");

    assert_eq!(report["undone"], json!(0), "{report}");
    let why = "it was changed since: balance_due is 5.000, and was 0.000";
    assert_eq!(report["left"][0]["why"], json!(why));
    let rows = shop.text("select count(*) from payments");
    assert_eq!(rows, Some("1".to_owned()), "{}", sale.invoice);
}

#[test]
fn runs_are_undone_one_after_another_though_a_trigger_stamps_each_update() {
    for edited in [false, true] {
        let mut shop = Shop::open();
        shop.execute(
            "alter table invoices add stamped_at timestamptz;
            create function stamp() returns trigger language plpgsql as $$
            begin new.stamped_at := clock_timestamp(); return new; end $$;
            create trigger stamp before update on invoices for each row execute function stamp()",
        );
        let deposit = Checkout::new(4_000, "usd").metadata("invoice_id", "INV-1");
        shop.execute(
            "insert into invoices (invoice_number, customer, invoice_status, total_amount)
            values ('INV-1', 'Customer', 'Sent', 100)",
        );
        let books = "select concat_ws(' ', invoice_status, amount_paid::numeric(8, 2),
                (select count(*) from payments)) from invoices";
        let first = shop.text(books);
        shop.stripe.checkout(deposit).pay();
        shop.sweep();
        let second = shop.text(books);
        let balance = Checkout::new(6_000, "usd").metadata("invoice_id", "INV-1");
        shop.stripe.checkout(balance).pay();
        if edited {
            shop.execute("update invoices set customer = 'Somebody else'");
        }
        shop.sweep();
        let third = shop.text(books);
        assert_eq!(third.as_deref(), Some("Paid 100.00 2"));

        let runs = shop.texts("select distinct run_id from invoice_sync.changes order by 1 desc");
        let runs: Vec<String> = runs.into_iter().flatten().collect();
        let undo = |shop: &mut Shop, run: &str| shop.json(&format!("invoice_sync.undo({run})"));
        assert_eq!(undo(&mut shop, &runs[0])["undone"], 1);
        assert_eq!(shop.text(books), second);
        let report = undo(&mut shop, &runs[1]);
        if edited {
            assert_eq!(report["undone"], 0, "somebody wrote the row in between");
            assert_eq!(shop.text(books), second);
        } else {
            assert_eq!(report["left"], json!([]), "{report}");
            assert_eq!(shop.text(books), first);
        }
        shop.not_at_rest("what was undone waits for a person");
    }
}

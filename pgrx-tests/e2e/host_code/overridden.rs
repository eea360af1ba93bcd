//! Triggers that change or reverse a repair: the rows stay as they left them, and one issue reports it.

use serde_json::json;

use super::{count, invoice, lost};
use crate::harness::Shop;

const CHANGES: &str = "invoice_sync.change";

/// A second and a third sweep: nothing is written, and the issue is the same.
fn nothing_goes_round(shop: &mut Shop, issues: &[&str]) {
    let changes = count(shop, CHANGES);
    let rows = "select md5(string_agg(t::text, ' ' order by t::text)) from (
        select i::text as t from invoices i union all select p::text from payments p) t";
    let before = shop.text(rows);
    for _ in 0..2 {
        let report = shop.sweep();
        assert_eq!(report["fixed"], json!(0), "a further sweep fixes nothing");
        assert_eq!(
            count(shop, CHANGES),
            changes,
            "a further sweep writes nothing"
        );
        assert_eq!(shop.text(rows), before, "a further sweep leaves the rows");
        assert_eq!(shop.open_issues(), issues);
        // The second time as if it were much later: Stripe is asked again.
        shop.make_all_due();
    }
    assert_eq!(
        count(shop, "invoice_sync.issue where state = 'resolved'"),
        0,
        "never taken for settled meanwhile"
    );
    assert_eq!(
        count(
            shop,
            "invoice_sync.issue where kind = 'overridden_by_trigger'"
        ),
        1,
        "reported once"
    );
}

#[test]
fn a_trigger_that_reverts_the_status_is_an_issue_and_no_loop() {
    let mut shop = Shop::open();
    shop.execute(
        "create function stay() returns trigger language plpgsql as $$
        begin
            new.invoice_status := old.invoice_status;
            return new;
        end $$;
        create trigger stay before update on invoices for each row execute function stay();",
    );
    let id = lost(&mut shop, "INV-1");

    let report = shop.sweep();

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        invoice(&mut shop, &id),
        "Sent 125 0",
        "as the trigger left it"
    );
    assert_eq!(
        count(&mut shop, "payments where payment_status = 'Paid'"),
        1
    );
    assert_eq!(shop.open_issues(), ["overridden_by_trigger INV-1"]);
    let summary = shop
        .text("select summary from invoice_sync.open_issues")
        .unwrap_or_default();
    assert!(summary.contains("invoice set to paid"), "{summary}");
    nothing_goes_round(&mut shop, &["overridden_by_trigger INV-1"]);

    // A person asks: one more try, and still one issue.
    shop.sync(&id);
    assert_eq!(invoice(&mut shop, &id), "Sent 125 0");
    nothing_goes_round(&mut shop, &["overridden_by_trigger INV-1"]);

    shop.execute("drop trigger stay on invoices");
    let report = shop.sync(&id);
    assert_eq!(report["fixed"], json!(1));
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    assert_eq!(shop.open_issues(), [""; 0]);
    assert_eq!(count(&mut shop, "payments"), 1);
}

#[test]
fn a_trigger_that_drops_the_payment_is_an_issue_and_no_loop() {
    let mut shop = Shop::open();
    shop.execute(
        "create function drop_it() returns trigger language plpgsql as 'begin return null; end';
        create trigger drop_it before insert on payments for each row execute function drop_it();",
    );
    let id = lost(&mut shop, "INV-1");

    shop.sweep();

    assert_eq!(count(&mut shop, "payments"), 0);
    assert_eq!(
        invoice(&mut shop, &id),
        "Sent 0 125",
        "an invoice is not paid by a payment that is not in the books"
    );
    assert_eq!(shop.open_issues(), ["overridden_by_trigger INV-1"]);
    assert_eq!(count(&mut shop, CHANGES), 0);
    nothing_goes_round(&mut shop, &["overridden_by_trigger INV-1"]);

    shop.execute("drop trigger drop_it on payments");
    shop.sync(&id);
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    assert_eq!(count(&mut shop, "payments"), 1);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn a_trigger_that_turns_the_payment_back_into_pending_is_an_issue_and_no_loop() {
    let mut shop = Shop::open();
    shop.execute(
        "create function review() returns trigger language plpgsql as $$
        begin
            new.payment_status := 'Pending';
            return new;
        end $$;
        create trigger review before insert or update on payments for each row execute function review();",
    );
    let id = lost(&mut shop, "INV-1");

    shop.sweep();

    assert_eq!(invoice(&mut shop, &id), "Sent 0 125");
    assert_eq!(
        shop.texts("select concat_ws(' ', payment_status, trim_scale(total_amount)) from payments"),
        [Some("Pending 125".to_owned())]
    );
    assert_eq!(shop.open_issues(), ["overridden_by_trigger INV-1"]);
    nothing_goes_round(&mut shop, &["overridden_by_trigger INV-1"]);

    shop.execute("drop trigger review on payments");
    shop.sync(&id);
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    assert_eq!(
        count(&mut shop, "payments where payment_status = 'Paid'"),
        1
    );
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn a_trigger_that_changes_the_amount_is_reported_and_not_fought() {
    let mut shop = Shop::open();
    shop.execute(
        "create function discount() returns trigger language plpgsql as $$
        begin
            new.total_amount := new.total_amount - 5;
            return new;
        end $$;
        create trigger discount before insert on payments for each row execute function discount();",
    );
    let id = lost(&mut shop, "INV-1");

    shop.sweep();

    assert_eq!(
        shop.texts("select trim_scale(total_amount) from payments"),
        [Some("120".to_owned())]
    );
    assert_eq!(
        invoice(&mut shop, &id),
        "Partial 120 5",
        "by what is in the books"
    );
    assert_eq!(shop.open_issues(), ["amount_mismatch INV-1"]);
    let changes = count(&mut shop, CHANGES);
    shop.sweep();
    shop.sync(&id);
    assert_eq!(count(&mut shop, CHANGES), changes);
    assert_eq!(shop.open_issues(), ["amount_mismatch INV-1"]);
}

#[test]
fn a_trigger_that_does_the_invoices_work_by_itself_is_no_issue() {
    let mut shop = Shop::open();
    shop.execute(
        "create function settle() returns trigger language plpgsql as $$
        begin
            update invoices set invoice_status = 'Paid', amount_paid = amount_paid + new.total_amount,
                   balance_due = balance_due - new.total_amount, paid_date = now()
            where id = new.invoice_id;
            return new;
        end $$;
        create trigger settle after insert on payments for each row execute function settle();",
    );
    let id = lost(&mut shop, "INV-1");

    let report = shop.sweep();

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0", "counted once");
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn a_trigger_that_removes_the_invoice_stops_only_that_one() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table payments drop constraint payments_invoice_id_fkey;
        create function archive() returns trigger language plpgsql as $$
        begin
            delete from invoices where id = new.invoice_id and invoice_number = 'INV-1';
            return new;
        end $$;
        create trigger archive after insert on payments for each row execute function archive();",
    );
    let first = lost(&mut shop, "INV-1");
    let second = lost(&mut shop, "INV-2");

    let report = shop.sweep();

    assert_eq!(report["fixed"], json!(1));
    assert_eq!(
        invoice(&mut shop, &first),
        "Sent 0 125",
        "it is there again"
    );
    assert_eq!(invoice(&mut shop, &second), "Paid 125 0");
    assert_eq!(shop.open_issues(), ["apply_failed INV-1"]);
    assert_eq!(count(&mut shop, "payments"), 1);
}

#[test]
fn the_ledger_has_every_change_with_what_was_there_before() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table invoices add touched_by text;
        create table notes (note text);
        create function touch() returns trigger language plpgsql as $$
        begin
            new.touched_by := 'trigger of ' || tg_table_name;
            insert into notes values ('touched');
            return new;
        end $$;
        create trigger touch before update on invoices for each row execute function touch();",
    );
    let id = lost(&mut shop, "INV-1");
    let row = |table: &str| format!("(select to_jsonb(t) from {table} t)");
    let before = shop.json(&row("invoices"));

    shop.sweep();

    let after = shop.json(&row("invoices"));
    let payment = shop.json(&row("payments"));
    let changes = shop.rows(
        "select table_name, row_id, action, before, after, invoice_id, evidence, cause, role
        from invoice_sync.changes order by id",
    );
    assert_eq!(changes.len(), 2);
    let text = |change: usize, column: usize| changes[change].get::<_, String>(column);
    let json = |change: usize, column: usize| {
        changes[change]
            .get::<_, Option<serde_json::Value>>(column)
            .unwrap_or_default()
    };
    assert_eq!(
        (text(0, 0), text(0, 2)),
        ("public.payments".into(), "insert".into())
    );
    assert_eq!(json!(text(0, 1)), payment["id"]);
    assert_eq!(json(0, 3), json!(null));
    assert_eq!(json(0, 4), payment, "the whole new row");

    assert_eq!(
        (text(1, 0), text(1, 2)),
        ("public.invoices".into(), "update".into())
    );
    assert_eq!(text(1, 1), id);
    let (old, new) = (json(1, 3), json(1, 4));
    let mut changed: Vec<&str> = new
        .as_object()
        .expect("columns")
        .keys()
        .map(String::as_str)
        .collect();
    changed.sort_unstable();
    assert_eq!(
        changed,
        [
            "amount_paid",
            "balance_due",
            "invoice_status",
            "paid_date",
            "touched_by"
        ],
        "the trigger's own change as well, and nothing else"
    );
    for column in changed {
        assert_eq!(old[column], before[column], "{column} before");
        assert_eq!(new[column], after[column], "{column} after");
    }
    for change in 0..2 {
        assert_eq!(text(change, 5), id);
        assert_eq!(
            json(change, 6)["stripe"][0]["payment_intent"],
            payment["stripe_payment_intent"]
        );
        assert_eq!(json(change, 6)["stripe"][0]["received"], json!(12_500));
        assert_eq!(
            (text(change, 7), text(change, 8)),
            ("sql".into(), "postgres".into())
        );
    }
}

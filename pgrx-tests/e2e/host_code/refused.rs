//! Triggers and constraints that reject a repair: its invoice is unchanged, an issue says why, and the others are repaired.

use serde_json::{Value, json};
use stripe_double::Checkout;

use super::{count, invoice, lost, sent};
use crate::harness::Shop;

/// The evidence of the only apply_failed that is open.
fn refusal(shop: &mut Shop) -> Value {
    let evidence = shop.rows(
        "select evidence, severity from invoice_sync.open_issues where kind = 'apply_failed'",
    );
    assert_eq!(evidence.len(), 1, "one apply_failed is open");
    assert_eq!(evidence[0].get::<_, String>(1), "critical");
    evidence[0].get(0)
}

const GUARD: &str = "
    create function guard() returns trigger language plpgsql as $$
    begin
        if new.invoice_number = 'INV-7' then
            raise exception 'the books of % are closed', new.invoice_number
                using errcode = 'SH0P7', detail = 'They were closed in May.', hint = 'Ask Ada.';
        elsif new.invoice_number = 'INV-50' then
            raise exception 'not this one';
        elsif new.invoice_number = 'INV-99' then
            perform 1 / 0;
        end if;
        return new;
    end $$;
    create trigger guard before update on invoices for each row execute function guard();";

#[test]
fn a_trigger_that_raises_for_3_of_100_invoices_stops_only_those() {
    let mut shop = Shop::open();
    for number in 1..=100 {
        lost(&mut shop, &format!("INV-{number}"));
    }
    shop.execute(GUARD);

    let report = shop.sweep();

    assert_eq!(report["success"], json!(true));
    assert_eq!(report["stats"]["invoicesChecked"], json!(100));
    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(97), &json!(3))
    );
    assert_eq!(
        count(&mut shop, "invoices where invoice_status = 'Paid'"),
        97
    );
    assert_eq!(
        count(&mut shop, "payments"),
        97,
        "a refused invoice has no payment"
    );
    let reported = shop.texts(
        "select concat_ws(' | ', invoice_number, evidence ->> 'sqlstate', evidence ->> 'message',
                          evidence ->> 'detail', evidence ->> 'hint')
        from invoice_sync.open_issues where kind = 'apply_failed' order by invoice_number",
    );
    assert_eq!(
        reported.into_iter().flatten().collect::<Vec<_>>(),
        [
            "INV-50 | P0001 | not this one",
            "INV-7 | SH0P7 | the books of INV-7 are closed | They were closed in May. | Ask Ada.",
            "INV-99 | 22012 | division by zero",
        ]
    );
    let summary =
        shop.text("select summary from invoice_sync.open_issues where invoice_number = 'INV-7'");
    let summary = summary.unwrap_or_default();
    assert!(
        summary.contains("INV-7") && summary.contains("the books of INV-7 are closed"),
        "{summary}"
    );
    assert_eq!(count(&mut shop, "invoice_sync.full_change"), 2 * 97);

    // Those three are tried again, reported again, and open once.
    let report = shop.sweep();
    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(count(&mut shop, "invoice_sync.issue"), 3);
    assert_eq!(
        count(&mut shop, "invoice_sync.issue where times_seen = 2"),
        3
    );
    assert_eq!(count(&mut shop, "invoice_sync.full_change"), 2 * 97);

    // The obstacle is gone: repaired, and resolved by itself.
    shop.execute("drop trigger guard on invoices");
    let report = shop.sweep();
    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(
        count(&mut shop, "invoices where invoice_status = 'Paid'"),
        100
    );
    assert_eq!(count(&mut shop, "payments"), 100);
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn what_was_refused_is_not_taken_for_settled_while_stripe_cannot_be_asked() {
    let mut shop = Shop::open();
    shop.not_at_rest("in the end, there is no key");
    shop.execute(GUARD);
    let id = lost(&mut shop, "INV-7");
    shop.sweep();
    let issue = "apply_failed INV-7";
    assert_eq!(shop.open_issues(), [issue]);

    shop.configure("stripe_api_key", "");
    let report = shop.sweep();
    assert_eq!(report["success"], json!(false));
    assert!(shop.open_issues().contains(&issue.to_owned()));
    assert_eq!(
        count(&mut shop, "invoice_sync.issue where kind = 'apply_failed'"),
        1
    );
    assert_eq!(invoice(&mut shop, &id), "Sent 0 125");
}

#[test]
fn a_check_constraint_that_refuses_is_named() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table payments add constraint \"no more than 100\" check (total_amount <= 100)",
    );
    let id = lost(&mut shop, "INV-1");

    let report = shop.sync(&id);

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(invoice(&mut shop, &id), "Sent 0 125");
    assert_eq!(count(&mut shop, "payments"), 0);
    let evidence = refusal(&mut shop);
    assert_eq!(evidence["sqlstate"], "23514");
    assert_eq!(evidence["constraint"], "no more than 100");
    assert_eq!(evidence["table"], "payments");
}

#[test]
fn a_column_that_must_not_be_null_is_reported() {
    let mut shop = Shop::open();
    shop.execute("alter table payments add organization_id bigint not null");
    let id = lost(&mut shop, "INV-1");

    shop.sync(&id);

    let evidence = refusal(&mut shop);
    assert_eq!(evidence["sqlstate"], "23502");
    assert_eq!(evidence["table"], "payments");
    assert!(
        evidence["message"]
            .as_str()
            .is_some_and(|message| message.contains("organization_id")),
        "{evidence}"
    );
    assert_eq!(invoice(&mut shop, &id), "Sent 0 125");
}

#[test]
fn a_unique_constraint_that_refuses_leaves_nothing_of_that_invoice() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table payments add number text;
        alter table payments add constraint one_of_a_name unique (number, payment_name);
        update invoice_sync.settings
        set payment_values = payment_values || '{\"number\": {\"invoice\": \"invoice_number\"}}'",
    );
    // Deposit and balance would both be called \"Stripe payment\".
    let deposit = shop.stripe.checkout(Checkout::new(2_500, "usd")).pay();
    let balance = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
    let id = sent(&mut shop, "INV-1", &deposit.session_id());
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{}'",
        balance.intent_id()
    ));
    let neighbour = lost(&mut shop, "INV-2");

    // Both at once: in a sweep each comes by its own event.
    let report = shop.sync(&id);

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(shop.sync(&neighbour)["fixed"], json!(1));
    let evidence = refusal(&mut shop);
    assert_eq!(evidence["sqlstate"], "23505");
    assert_eq!(evidence["constraint"], "one_of_a_name");
    assert_eq!(invoice(&mut shop, &id), "Sent 0 125");
    assert_eq!(
        count(&mut shop, "payments where number = 'INV-1'"),
        0,
        "the first of its payments went with the second"
    );
    assert_eq!(invoice(&mut shop, &neighbour), "Paid 125 0");
}

#[test]
fn a_foreign_key_that_refuses_is_named() {
    let mut shop = Shop::open();
    shop.execute(
        "create table methods (name text primary key);
        insert into methods values ('Cash');
        alter table payments add constraint known_method foreign key (payment_method) references methods",
    );
    let id = lost(&mut shop, "INV-1");

    shop.sync(&id);

    let evidence = refusal(&mut shop);
    assert_eq!(evidence["sqlstate"], "23503");
    assert_eq!(evidence["constraint"], "known_method");
    assert_eq!(invoice(&mut shop, &id), "Sent 0 125");
    assert_eq!(count(&mut shop, "payments"), 0);
}

#[test]
fn a_constraint_that_waits_for_the_commit_stops_only_its_own_invoice() {
    let mut shop = Shop::open();
    shop.execute(
        "create table methods (name text primary key);
        insert into methods values ('Stripe');
        alter table payments add constraint known_method
            foreign key (payment_method) references methods deferrable initially deferred;
        create function the_sums_agree() returns trigger language plpgsql as $$
        begin
            if (select amount_paid from invoices where id = new.invoice_id)
               <> (select sum(total_amount) from payments where invoice_id = new.invoice_id)
               or exists (select from invoices where id = new.invoice_id and invoice_number = 'INV-2')
            then
                raise exception 'the sums of the invoice do not agree' using errcode = 'SUMS0';
            end if;
            return null;
        end $$;
        create constraint trigger the_sums_agree after insert on payments
            deferrable initially deferred for each row execute function the_sums_agree();",
    );
    let ids: Vec<String> = (1..=3)
        .map(|number| lost(&mut shop, &format!("INV-{number}")))
        .collect();

    let report = shop.sweep();

    assert_eq!(
        (&report["fixed"], &report["issues"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(invoice(&mut shop, &ids[0]), "Paid 125 0");
    assert_eq!(invoice(&mut shop, &ids[1]), "Sent 0 125");
    assert_eq!(invoice(&mut shop, &ids[2]), "Paid 125 0");
    assert_eq!(refusal(&mut shop)["sqlstate"], "SUMS0");
    assert_eq!(count(&mut shop, "payments"), 2);
}

#[test]
fn what_raises_in_the_middle_leaves_the_session_as_it_was() {
    let mut shop = Shop::open();
    shop.execute(GUARD);
    lost(&mut shop, "INV-7");
    shop.execute("set search_path = invoice_sync, public; set statement_timeout = '1h'");

    shop.sweep();

    assert_eq!(
        shop.text("select current_setting('search_path')")
            .as_deref(),
        Some("invoice_sync, public")
    );
    assert_eq!(
        shop.text("select current_user").as_deref(),
        Some("postgres")
    );
    assert_eq!(
        shop.text("select current_setting('statement_timeout')")
            .as_deref(),
        Some("1h")
    );
}

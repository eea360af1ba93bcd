//! Values that SQL expressions in the settings make, for new payments and for updates.

use serde_json::{Value, json};
use stripe_double::Checkout;

use super::{invoice, lost};
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// The default tables with columns that a framework fills, and payments whose key the application makes.
fn framework() -> Shop {
    let mut shop = Shop::open();
    shop.execute(
        "alter table payments alter id drop default;
        alter table payments add reference text not null, add updated_at timestamptz not null, add meta jsonb not null;
        alter table invoices add updated_at timestamptz not null default '2020-01-01', add lock_version integer not null default 3;
        create sequence references_made;
        update invoice_sync.settings
        set payment_values = payment_values || $${
                \"id\": {\"sql\": \"gen_random_uuid()\"},
                \"reference\": [{\"metadata\": \"reference\"}, {\"sql\": \"'P-' || upper(left(stripe_payment_intent, 2)) || nextval('public.references_made')\"}],
                \"updated_at\": {\"sql\": \"now()\"},
                \"meta\": {\"sql\": \"jsonb_build_object('for', invoice_id)\"}}$$,
            payment_update_values = '{\"updated_at\": {\"sql\": \"now()\"}}',
            invoice_update_values = '{\"updated_at\": {\"sql\": \"now()\"}, \"lock_version\": {\"sql\": \"lock_version + 1\"}}'",
    );
    shop
}

/// Whether the rows were stamped just now, and the invoice's version.
const STAMPS: &str =
    "select concat_ws(' ', i.updated_at > now() - interval '1 minute', i.lock_version,
        p.updated_at > now() - interval '1 minute', p.reference, p.meta ->> 'for' = i.id::text)
    from invoices i left join payments p on p.invoice_id = i.id order by i.invoice_number";

#[test]
fn a_new_payment_and_the_invoice_get_what_the_application_would_have_made() {
    let mut shop = framework();
    for number in ["INV-1", "INV-2"] {
        lost(&mut shop, number);
    }

    let report = shop.sweep();

    assert_eq!(report["fixed"], json!(2), "{report}");
    let stamps: Vec<String> = shop.texts(STAMPS).into_iter().flatten().collect();
    assert!(
        stamps == ["t 4 t P-PI1 t", "t 4 t P-PI2 t"]
            || stamps == ["t 4 t P-PI2 t", "t 4 t P-PI1 t"],
        "{stamps:?}"
    );
    // Nothing is left to do, so nothing is stamped again.
    shop.execute("update payments set updated_at = '2020-01-01'");
    shop.sweep();
    assert_eq!(
        shop.text("select max(updated_at) = '2020-01-01' from payments")
            .as_deref(),
        Some("true")
    );
}

#[test]
fn a_pending_payment_is_stamped_when_it_is_confirmed_and_undo_restores_the_stamps() {
    let mut shop = framework();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(&format!(
        "insert into payments (id, invoice_id, payment_name, payment_status, total_amount, stripe_session_id,
                               reference, updated_at, meta)
        values (gen_random_uuid(), '{}', 'P', 'Pending', 100, '{}', 'R', '2020-01-01', '{{}}')",
        sale.invoice, sale.session
    ));
    let before = shop.dump_of(&["invoices", "payments"]);

    let report = shop.sweep();

    assert_eq!(shop.text(STAMPS).as_deref(), Some("t 4 t R"));
    shop.execute(&format!("select invoice_sync.undo({})", report["runId"]));
    assert_eq!(shop.dump_of(&["invoices", "payments"]), before);
}

#[test]
fn what_a_person_decides_stamps_the_invoice() {
    let mut shop = framework();
    let id = lost(&mut shop, "INV-1");
    shop.execute("update invoices set invoice_status = 'Paid', stripe_session_id = null, stripe_payment_intent = null");
    shop.sweep();

    shop.execute(
        "select invoice_sync.resolve_issue(id, 'revert_to_unpaid', null, '{\"status\": \"Sent\"}') from invoice_sync.open_issues",
    );

    assert_eq!(invoice(&mut shop, &id).split(' ').next(), Some("Sent"));
    assert_eq!(
        shop.text("select lock_version from invoices where updated_at > '2021-01-01'")
            .as_deref(),
        Some("4")
    );
}

/// An application whose trigger keeps the invoice's sum, and whose settings derive another column from it.
fn with_a_derived_sum() -> Shop {
    let mut shop = framework();
    shop.execute(
        "alter table invoices add received numeric not null default 0, add received_cents integer not null default 0;
        create function add_up() returns trigger language plpgsql as $$
        begin
            update invoices set received = received + new.total_amount where id = new.invoice_id;
            return null;
        end $$;
        create trigger add_up after insert on payments for each row execute function add_up();
        update invoice_sync.settings
        set invoice_amount_paid_column = null, invoice_balance_column = null,
            invoice_update_values = invoice_update_values
                || '{\"received_cents\": {\"sql\": \"round(received * 100)\"}}'",
    );
    shop
}

/// `status received_cents lock_version` of the invoice.
const DERIVED: &str =
    "select concat_ws(' ', invoice_status, received_cents, lock_version) from invoices";

/// Has the invoice, of which there is one, paid once more at Stripe.
fn pay_again(shop: &mut Shop) {
    let paid = shop.stripe.checkout(Checkout::new(12_500, "usd")).pay();
    let session = paid.session_id();
    shop.execute(&format!(
        "update invoices set stripe_session_id = '{session}'"
    ));
}

#[test]
fn a_payment_of_a_paid_invoice_stamps_it_once_and_undo_restores_the_stamps() {
    let mut shop = with_a_derived_sum();
    let id = lost(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(shop.text(DERIVED).as_deref(), Some("Paid 12500 4"));
    pay_again(&mut shop);
    let before = shop.dump_of(&["invoices", "payments"]);

    let dry = shop.json(&format!(
        "invoice_sync.sync_invoice('{id}', dry_run => true)"
    ));
    assert_eq!(shop.dump_of(&["invoices", "payments"]), before, "{dry}");
    let report = shop.sync(&id);

    let actions = |of: &Value| of["details"]["fixed"][0]["action"].clone();
    assert_eq!(actions(&report), actions(&dry), "{report}\n{dry}");
    assert_eq!(shop.text(DERIVED).as_deref(), Some("Paid 25000 5"));
    shop.sweep();
    shop.sync(&id);
    assert_eq!(shop.text(DERIVED).as_deref(), Some("Paid 25000 5"));

    shop.execute(&format!("select invoice_sync.undo({})", report["runId"]));
    assert_eq!(shop.dump_of(&["invoices", "payments"]), before);
}

#[test]
fn an_invoice_without_a_payment_that_was_written_is_not_stamped() {
    let mut shop = with_a_derived_sum();
    lost(&mut shop, "INV-1");
    shop.sweep();
    shop.execute(
        "create function refuse() returns trigger language plpgsql as 'begin return null; end';
        create trigger refuse before insert on payments for each row execute function refuse()",
    );
    pay_again(&mut shop);

    shop.sweep();

    assert!(
        shop.open_issues()
            .contains(&"overridden_by_trigger INV-1".to_owned()),
        "{:?}",
        shop.open_issues()
    );
    assert_eq!(shop.text(DERIVED).as_deref(), Some("Paid 12500 4"));
}

#[test]
fn a_payment_that_a_person_books_for_a_paid_invoice_stamps_it() {
    let mut shop = with_a_derived_sum();
    let id = lost(&mut shop, "INV-1");
    shop.execute(
        "insert into payments (id, invoice_id, payment_name, total_amount, payment_status, reference, updated_at, meta)
        select gen_random_uuid(), id, 'Card', 125, 'Paid', 'R', now(), '{}' from invoices;
        update invoices set invoice_status = 'Paid', received_cents = 12500",
    );
    shop.sweep();

    shop.execute(
        "select invoice_sync.resolve_issue(id, 'book_anyway') from invoice_sync.open_issues
        where kind = 'possible_duplicate'",
    );

    assert_eq!(
        shop.text(DERIVED).as_deref(),
        Some("Paid 25000 4"),
        "{id}: {:?}",
        shop.open_issues()
    );
}

#[test]
fn only_one_expression_that_fits_the_column_is_accepted_and_it_runs_as_the_tables_owner() {
    let mut shop = Shop::open();
    shop.give_tables_to("sources_invoices", "sources_payments");
    shop.execute(
        "alter table payments add note text, add at timestamptz;
        alter table invoices add note text;
        create function public.note() returns text language sql return current_user::text",
    );
    let refused = [
        ("payment_values", "note", "no_such_column"),
        ("payment_values", "note", "note()"),
        ("payment_values", "note", "'a', 'b'"),
        ("payment_values", "note", "'a') || ('b'"),
        ("payment_values", "note", "'a'; delete from invoices"),
        ("payment_values", "note", "text ' ) || ('a'"),
        ("payment_values", "note", "'a' from pg_class"),
        ("payment_values", "at", "true"),
        ("invoice_update_values", "invoice_status", "'Paid'"),
        ("payment_update_values", "invoice_id", "invoice_id"),
    ];
    for (setting, column, text) in refused {
        let value = json!({ column: { "sql": text } });
        let error = shop.error(&format!(
            "update invoice_sync.settings set {setting} = $quoted${value}$quoted$"
        ));
        assert_eq!(error.sqlstate, "22023", "{setting} {text}: {error:?}");
        assert!(error.message.contains(setting), "{error:?}");
    }
    let error = shop.error(
        "update invoice_sync.settings set invoice_update_values = '{\"note\": {\"metadata\": \"x\"}}'",
    );
    assert_eq!(error.sqlstate, "22023");

    shop.execute(
        "update invoice_sync.settings set
            payment_values = payment_values || '{\"note\": {\"sql\": \"public.note() -- whose\"}}',
            invoice_update_values = '{\"note\": {\"sql\": \"public.note()\"}}'",
    );
    Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    assert_eq!(
        shop.text("select concat_ws(' ', i.note, p.note) from invoices i join payments p on p.invoice_id = i.id").as_deref(),
        Some("sources_invoices sources_payments")
    );
}

#[test]
fn an_expression_that_fails_is_an_issue_of_its_invoice() {
    let mut shop = Shop::open();
    shop.execute(
        "update invoice_sync.settings set payment_values = payment_values
            || '{\"payment_notes\": {\"sql\": \"case when total_amount = 125 then (1 / (total_amount - 125))::text else $$fine$$ end\"}}'",
    );
    lost(&mut shop, "INV-1");
    Sale::unbooked(&mut shop, "INV-2");

    shop.sweep();

    assert_eq!(shop.open_issues(), ["apply_failed INV-1"]);
    assert_eq!(
        shop.texts("select payment_notes from payments"),
        [Some("fine".to_owned())]
    );
}

/// The fee and the net amount of the only payment.
const FEE_AND_NET: &str = "select concat_ws(' ', fee, net) from payments";

#[test]
fn fee_and_net_amount_are_written_in_the_unit_of_the_payments() {
    for (unit, column, wanted) in [
        ("major", "numeric(12, 2)", "3.62 121.38"),
        ("minor", "integer", "362 12138"),
    ] {
        let mut shop = Shop::open();
        shop.execute(&format!(
            "alter table payments add fee {column}, add net {column};
            update invoice_sync.settings
            set payment_amount_unit = '{unit}',
                payment_values = payment_values
                    || '{{\"fee\": {{\"stripe\": \"balance_transaction.fee\"}}, \"net\": {{\"stripe\": \"balance_transaction.net\"}}}}'"
        ));
        lost(&mut shop, "INV-1");
        let report = shop.sweep();
        assert_eq!(report["fixed"], json!(1), "{report}");
        assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some(wanted), "{unit}");
    }
}

#[test]
fn expressions_of_an_update_see_the_row_as_it_becomes() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table invoices add paid_cents integer not null default 0, add closed_on text;
        alter table payments add said text;
        update invoice_sync.settings set
            invoice_update_values = '{
                \"paid_cents\": {\"sql\": \"round(amount_paid * 100)\"},
                \"closed_on\": {\"sql\": \"case when invoice_status = $$Paid$$ then invoices.invoice_number end\"}}',
            payment_update_values = '{\"said\": {\"sql\": \"payment_status || total_amount::integer\"}}'",
    );
    let id = lost(&mut shop, "INV-1");
    let session = shop
        .text("select stripe_session_id from invoices")
        .expect("it stores it");
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        values ('{id}', 'Card', 'Pending', 100, '{session}')"
    ));
    shop.sweep();
    let rows = "select concat_ws(' ', paid_cents, closed_on, said) from invoices, payments";
    assert_eq!(shop.text(rows).as_deref(), Some("12500 INV-1 Paid125"));
}

//! Values that Stripe knows only once the money is settled, such as its fee: written then, into rows that this
//! extension made or completed.

use serde_json::{Value, json};
use stripe_double::Checkout;

use super::{count, invoice, sent};
use crate::harness::Shop;
use crate::harness::sender::SECRET;

/// The fee and the net amount of the payments.
const FEE_AND_NET: &str =
    "select string_agg(coalesce(concat_ws(' ', fee, net), ''), ', ') from payments";

/// A shop whose payments have columns for fee and net amount, of this type.
fn shop(column: &str) -> Shop {
    let mut shop = Shop::open();
    shop.execute(&format!(
        "alter table payments add fee {column}, add net numeric(12, 2);
        update invoice_sync.settings
        set payment_values = payment_values
            || '{{\"fee\": [{{\"stripe\": \"balance_transaction.fee\"}}, {{\"value\": 0}}],
                  \"net\": {{\"stripe\": \"balance_transaction.net\"}}}}'"
    ));
    shop
}

/// A payment of 125 that is not settled yet: its session, its charge, and the balance transaction to come.
struct Unsettled {
    session: String,
    charge: String,
    transaction: Value,
}

impl Unsettled {
    fn new(shop: &mut Shop) -> Self {
        let checkout = Checkout::new(12_500, "usd").metadata("invoice_id", "INV-1");
        let paid = shop.stripe.checkout(checkout).pay();
        let charge = paid.charge_id();
        let transaction =
            shop.stripe.object(&charge).expect("it was charged")["balance_transaction"].clone();
        shop.stripe.set(&charge, "balance_transaction", Value::Null);
        Self {
            session: paid.session_id(),
            charge,
            transaction,
        }
    }

    fn settle(self, shop: &mut Shop) {
        let Self {
            charge,
            transaction,
            ..
        } = self;
        shop.stripe.set(&charge, "balance_transaction", transaction);
    }
}

/// Sweeps; gives the number of requests.
fn requests(shop: &mut Shop) -> usize {
    shop.stripe.reset_requests();
    shop.sweep();
    shop.stripe.count_of("/v1/")
}

#[test]
fn the_fee_is_written_when_stripe_knows_it_and_can_be_undone() {
    let mut shop = shop("numeric(12, 2) not null default 0");
    let paid = Unsettled::new(&mut shop);
    let id = sent(&mut shop, "INV-1", &paid.session);
    shop.sweep();
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("0.00"));
    assert_eq!(requests(&mut shop), 1, "it is not asked for at once");

    // Stripe is asked again after a quarter of an hour, and still does not know it.
    shop.age(15 * 60);
    assert_eq!(requests(&mut shop), 2);
    assert_eq!(requests(&mut shop), 1);
    paid.settle(&mut shop);
    shop.age(15 * 60);
    assert_eq!(requests(&mut shop), 1, "the interval doubles");
    shop.age(15 * 60);
    assert_eq!(requests(&mut shop), 2);

    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62 121.38"));
    assert_eq!(shop.open_issues(), [""; 0]);
    shop.age(24 * 60 * 60);
    assert_eq!(requests(&mut shop), 1, "and then it is known");
    let last = shop.text("select max(run_id) from invoice_sync.changes");
    let last = last.expect("something was written");
    let report = shop.json(&format!("invoice_sync.undo({last})"));
    assert_eq!(
        (&report["undone"], &report["left"]),
        (&json!(1), &json!([])),
        "{report}"
    );
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("0.00"));
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    shop.sync(&id);
    assert_eq!(
        shop.text(FEE_AND_NET).as_deref(),
        Some("0.00"),
        "undone is undone"
    );
    shop.json(&format!("invoice_sync.undo({})", report["runId"]));
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62 121.38"));
}

#[test]
fn a_row_of_the_application_that_waited_is_completed_now_or_later() {
    for is_settled in [true, false] {
        let mut shop = shop("numeric(12, 2)");
        let paid = Unsettled::new(&mut shop);
        let id = sent(&mut shop, "INV-1", "");
        shop.execute(&format!(
            "update invoices set stripe_session_id = null;
            insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
            values ('{id}', 'Deposit', 'Pending', 125, '{}')",
            paid.session
        ));
        if is_settled {
            paid.settle(&mut shop);
            shop.sweep();
        } else {
            shop.sweep();
            assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
            assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some(""));
            paid.settle(&mut shop);
            shop.age(15 * 60);
            shop.sweep();
        }
        assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62 121.38"));
        assert_eq!(
            shop.text("select payment_name from payments").as_deref(),
            Some("Deposit"),
            "what it has stays"
        );
        assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    }
}

#[test]
fn rows_that_the_application_itself_marked_as_paid_are_not_touched() {
    let mut shop = shop("numeric(12, 2)");
    let paid = Unsettled::new(&mut shop);
    let session = paid.session.clone();
    paid.settle(&mut shop);
    let id = sent(&mut shop, "INV-1", &session);
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        values ('{id}', 'Card', 'Paid', 125, '{session}')"
    ));
    shop.sweep();
    shop.sync(&id);
    assert_eq!(invoice(&mut shop, &id), "Paid 125 0");
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some(""));
}

#[test]
fn what_stripe_never_knows_is_asked_for_a_week() {
    let mut shop = shop("numeric(12, 2)");
    let paid = Unsettled::new(&mut shop);
    sent(&mut shop, "INV-1", &paid.session);
    shop.sweep();
    let mut asked = 0;
    for _ in 0..40 {
        shop.age(12 * 60 * 60);
        shop.stripe.age(12 * 60 * 60);
        asked += requests(&mut shop) - 1;
    }
    assert!((3..=12).contains(&asked), "{asked}");
    assert_eq!(
        count(
            &mut shop,
            "invoice_sync.invoice_check where next_check_at is not null"
        ),
        0
    );
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("0.00"));
}

#[test]
fn an_invoice_that_is_deleted_meanwhile_is_not_waited_for() {
    let mut shop = shop("numeric(12, 2)");
    let paid = Unsettled::new(&mut shop);
    sent(&mut shop, "INV-1", &paid.session);
    shop.sweep();
    shop.execute("delete from payments; delete from invoices");
    shop.age(15 * 60);
    assert_eq!(requests(&mut shop), 1);
}

#[test]
fn without_asking_a_webhook_books_and_the_fee_comes_later() {
    let mut shop = shop("numeric(12, 2)");
    shop.use_secret("stripe_webhook_secret", SECRET);
    shop.execute("update invoice_sync.settings set stripe_fetch_on_webhook = false");
    let paid = Unsettled::new(&mut shop);
    sent(&mut shop, "INV-1", &paid.session);
    shop.deliver_all(&["checkout.session.completed"]);
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("0.00"));
    paid.settle(&mut shop);
    shop.age(15 * 60);
    shop.sweep();
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62 121.38"));
}

#[test]
fn a_trigger_that_takes_the_fee_away_is_one_issue_and_no_loop() {
    let mut shop = shop("numeric(12, 2)");
    let paid = Unsettled::new(&mut shop);
    let id = sent(&mut shop, "INV-1", &paid.session);
    shop.sweep();
    shop.execute(
        "create function no_fee() returns trigger language plpgsql as 'begin new.net := null; return new; end';
        create trigger no_fee before update on payments for each row execute function no_fee()",
    );
    paid.settle(&mut shop);
    shop.age(15 * 60);
    shop.sweep();
    assert_eq!(shop.open_issues(), ["overridden_by_trigger INV-1"]);
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62"));
    let changes = count(&mut shop, "invoice_sync.change");
    shop.sweep();
    assert_eq!(count(&mut shop, "invoice_sync.change"), changes);
    shop.execute("drop trigger no_fee on payments");
    shop.sync(&id);
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62 121.38"));
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn a_domain_that_refuses_the_fee_is_an_issue_until_it_does_not() {
    let mut shop = shop("numeric(12, 2)");
    let paid = Unsettled::new(&mut shop);
    sent(&mut shop, "INV-1", &paid.session);
    shop.sweep();
    shop.execute(
        "create domain small as numeric(12, 2) check (value < 3);
        alter table payments alter fee type small",
    );
    paid.settle(&mut shop);
    shop.age(15 * 60);
    shop.sweep();
    assert_eq!(shop.open_issues(), ["apply_failed INV-1"]);
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("0.00"));
    shop.execute("alter table payments alter fee type numeric(12, 2)");
    shop.sweep();
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62 121.38"));
    assert_eq!(shop.open_issues(), [""; 0]);
}

#[test]
fn a_view_with_triggers_gets_the_fee_and_a_generated_column_is_not_written() {
    let mut shop = shop("numeric(12, 2)");
    shop.execute(
        "alter table payments add net_cents integer generated always as ((net * 100)::integer) stored",
    );
    let refused = shop.error(
        "update invoice_sync.settings set payment_values = payment_values
            || '{\"net_cents\": {\"stripe\": \"balance_transaction.net\"}}'",
    );
    assert_eq!(refused.sqlstate, "22023", "{refused:?}");
    shop.execute(
        "alter table payments rename to receipts;
        create view payments as select * from receipts;
        create function write() returns trigger language plpgsql as $$
        begin
            if tg_op = 'INSERT' then
                insert into receipts (invoice_id, payment_name, payment_status, total_amount, stripe_session_id,
                    stripe_payment_intent, fee, net)
                values (new.invoice_id, new.payment_name, new.payment_status, new.total_amount, new.stripe_session_id,
                    new.stripe_payment_intent, new.fee, new.net)
                returning * into new;
            else
                update receipts set payment_status = new.payment_status, fee = new.fee, net = new.net where id = old.id;
            end if;
            return new;
        end $$;
        create trigger write instead of insert or update on payments for each row execute function write();
        update invoice_sync.settings set payments_table = 'public.payments'",
    );
    let paid = Unsettled::new(&mut shop);
    sent(&mut shop, "INV-1", &paid.session);
    shop.sweep();
    assert_eq!(
        shop.text(FEE_AND_NET).as_deref(),
        Some("0.00"),
        "{:?}",
        shop.open_issues()
    );
    paid.settle(&mut shop);
    shop.age(15 * 60);
    shop.sweep();
    assert_eq!(shop.text(FEE_AND_NET).as_deref(), Some("3.62 121.38"));
    assert_eq!(
        shop.text("select net_cents from payments").as_deref(),
        Some("12138")
    );
}

//! Cases out of public reports of people who book Stripe's payments into their own tables.

use serde_json::json;
use stripe_double::{Checkout, Intent, Refund};

use crate::harness::Shop;
use crate::harness::sender::deliver;

const ID: &str = "7d8e6b50-00a0-4000-8000-00000000000b";

/// How evidence about a payment comes to an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Button,
    Feed,
    Due,
    Backfill,
    Webhook,
}

const DOORS: [Door; 5] = [
    Door::Button,
    Door::Feed,
    Door::Due,
    Door::Backfill,
    Door::Webhook,
];

impl Door {
    fn go_through(self, shop: &mut Shop) {
        match self {
            Self::Button => drop(shop.sync(ID)),
            Self::Feed => drop(shop.sweep()),
            // No event tells of it: only what the invoice stores does.
            Self::Due => {
                shop.sweep();
                shop.execute("update invoice_sync.invoice_check set next_check_at = now()");
                shop.sweep();
            }
            Self::Backfill => shop.execute("call invoice_sync.backfill(now() - interval '1 day')"),
            Self::Webhook => {
                let events = shop.stripe.events();
                for event in events {
                    deliver(&mut shop.db, &event.to_string()).expect("it is taken in");
                }
            }
        }
    }
}

/// The invoice and its payments in one line each.
fn books(shop: &mut Shop) -> Vec<String> {
    shop.texts(
        "select concat_ws(' ', invoice_status, amount_paid::numeric(12, 2), balance_due::numeric(12, 2)) from invoices
        union all
        (select concat_ws(' ', payment_status, total_amount::numeric(12, 2), gratuity::numeric(12, 2))
        from payments order by total_amount)",
    )
    .into_iter()
    .flatten()
    .collect()
}

fn invoice(shop: &mut Shop, total: &str, session: Option<&str>, intent: Option<&str>) {
    shop.db
        .execute(
            &format!(
                "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due,
                                       stripe_session_id, stripe_payment_intent)
                values ('{ID}', 'INV-1', 'Ann', 'Sent', {total}, {total}, $1, $2)"
            ),
            &[&session, &intent],
        )
        .expect("the invoice is inserted");
}

/// What is arranged, and what the books say by every door.
fn check(name: &str, arrange: fn(&mut Shop), wanted: &[&str]) {
    for door in DOORS {
        let mut shop = Shop::with_webhooks();
        arrange(&mut shop);
        door.go_through(&mut shop);
        assert_eq!(books(&mut shop), wanted, "{name}, by {door:?}");
        assert_eq!(
            shop.open_issues(),
            Vec::<String>::new(),
            "{name}, by {door:?}"
        );
        let before = shop.dump_of(&["invoices", "payments"]);
        for again in DOORS {
            again.go_through(&mut shop);
        }
        let after = shop.dump_of(&["invoices", "payments"]);
        assert_eq!(after, before, "{name}, by {door:?}: nothing is left to do");
    }
}

#[test]
fn a_fraction_that_nobody_can_pay_is_not_owed() {
    check(
        "a total finer than a cent",
        |shop| {
            shop.execute("alter table invoices alter total_amount type numeric, alter balance_due type numeric");
            let intent = shop.stripe.intent(Intent::new(247_330, "usd")).pay();
            invoice(shop, "2473.2965", None, Some(&intent.intent_id()));
        },
        &["Paid 2473.30 0.00", "Paid 2473.30 0.00"],
    );
}

#[test]
fn a_tip_of_a_terminal_is_a_gratuity() {
    check(
        "a tip in amount_details",
        |shop| {
            let intent = shop
                .stripe
                .intent(Intent::new(12_000, "usd"))
                .pay()
                .intent_id();
            shop.stripe.set(
                &intent,
                "amount_details",
                json!({ "tip": { "amount": 2_000 } }),
            );
            shop.stripe.emit("payment_intent.succeeded", &intent);
            invoice(shop, "100", None, Some(&intent));
        },
        &["Paid 100.00 0.00", "Paid 100.00 20.00"],
    );
    check(
        "metadata goes before it",
        |shop| {
            let tipped = Intent::new(12_000, "usd").metadata("gratuity_amount", "5.00");
            let intent = shop.stripe.intent(tipped).pay().intent_id();
            shop.stripe.set(
                &intent,
                "amount_details",
                json!({ "tip": { "amount": 2_000 } }),
            );
            shop.stripe.emit("payment_intent.succeeded", &intent);
            invoice(shop, "115", None, Some(&intent));
        },
        &["Paid 115.00 0.00", "Paid 115.00 5.00"],
    );
}

#[test]
fn a_refund_is_taken_from_the_gratuity_first() {
    for door in DOORS {
        let mut shop = Shop::with_webhooks();
        let tipped = Checkout::new(11_000, "usd")
            .metadata("gratuity_amount", "10")
            .metadata("invoice_id", ID);
        let paid = shop.stripe.checkout(tipped).pay();
        paid.refund(Refund::of(1_000));
        invoice(&mut shop, "100", Some(&paid.session_id()), None);
        door.go_through(&mut shop);
        assert_eq!(
            books(&mut shop),
            ["Paid 100.00 0.00", "Paid 100.00 10.00"],
            "by {door:?}: what stays covers the total"
        );
        let kinds: Vec<String> = shop
            .texts("select kind from invoice_sync.open_issues")
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(kinds, ["partially_refunded"], "by {door:?}");
    }
}

#[test]
fn one_key_may_be_written_in_several_ways() {
    for written in [ID.to_uppercase(), ID.replace('-', ""), format!("{{{ID}}}")] {
        let mut shop = Shop::with_webhooks();
        shop.stripe
            .checkout(Checkout::new(10_000, "usd").metadata("invoice_id", written.clone()))
            .pay();
        invoice(&mut shop, "100", None, None);
        shop.sweep();
        assert_eq!(
            books(&mut shop),
            ["Paid 100.00 0.00", "Paid 100.00 0.00"],
            "{written}"
        );
        assert_eq!(shop.open_issues(), Vec::<String>::new(), "{written}");
    }
}

#[test]
fn what_no_text_can_hold_keeps_no_payment_away() {
    for door in DOORS {
        let mut shop = Shop::with_webhooks();
        let sale = |number: &str| {
            Checkout::new(10_000, "usd")
                .metadata("invoice_id", number)
                .metadata("note", "a\u{0}b")
        };
        let broken = shop
            .stripe
            .checkout(sale("INV-1").description("a\u{0}b"))
            .pay();
        shop.stripe
            .checkout(Checkout::new(5_000, "usd").metadata("invoice_id", "INV-2"))
            .pay();
        invoice(&mut shop, "100", Some(&broken.session_id()), None);
        shop.execute(
            "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, balance_due)
            values (gen_random_uuid(), 'INV-2', 'Bob', 'Sent', 50, 50);
            update invoice_sync.settings set payment_values = payment_values || $${\"payment_notes\": {\"stripe\": \"metadata.note\"}}$$",
        );
        door.go_through(&mut shop);
        assert_eq!(
            shop.text("select invoice_status from invoices where invoice_number = 'INV-1'"),
            Some("Paid".to_owned()),
            "by {door:?}"
        );
        assert_eq!(
            shop.text("select payment_notes from payments where total_amount = 100"),
            Some("a\u{fffd}b".to_owned()),
            "by {door:?}"
        );
        shop.sweep();
        assert_eq!(
            shop.texts("select invoice_status from invoices"),
            [Some("Paid".to_owned()), Some("Paid".to_owned())],
            "by {door:?}: the other payment is booked"
        );
    }
}

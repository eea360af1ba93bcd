//! Lives of real applications' tables, after their proposal was adopted with few settings by hand.

use serde_json::{Value, json};
use stripe_double::{Checkout, Refund};

use crate::harness::Shop;

/// An application, and what it writes itself.
struct Host {
    name: &'static str,
    tables: &'static str,
    /// The settings by hand, as a JSON object.
    overrides: &'static str,
    /// Rows that invoices need.
    seed: &'static str,
    /// Inserts an invoice over 125 with the key `{id}` and the status `{status}`.
    invoice: &'static str,
    /// Inserts a payment of 125 that is awaited, of the invoice `{id}`, with the ids `{session}` and `{intent}`.
    awaited: &'static str,
    /// The tables of invoices and payments, and what is shown of each.
    shown: [(&'static str, &'static str); 2],
    /// The statuses of an invoice: open, after paid.
    statuses: (&'static str, Option<&'static str>),
    /// A column that a trigger of the application stamps with each update, which an undo is, too.
    stamped: &'static str,
    /// Whether an invoice may have several payments.
    takes_parts: bool,
}

const HOSTS: [Host; 5] = [
    Host {
        name: "m10dj",
        tables: include_str!("hosts/m10dj.sql"),
        overrides: "{}",
        seed: "insert into contacts default values",
        invoice: "insert into invoices (id, contact_id, invoice_number, invoice_status, total_amount, balance_due, subtotal,
                                    invoice_date, due_date)
            select '{id}', id, '{id}', '{status}', 125, 125, 125, '2026-01-01', '2036-02-01' from contacts",
        awaited: "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
            values ('{id}', 'Deposit', 'Pending', 125, '{session}')",
        shown: [
            ("invoices", "concat_ws(' ', i.invoice_status, trim_scale(i.amount_paid), trim_scale(i.balance_due))"),
            ("payments", "concat_ws(' ', p.payment_status, trim_scale(p.total_amount))"),
        ],
        statuses: ("Sent", None),
        stamped: "updated_at",
        takes_parts: true,
    },
    Host {
        name: "lamp_shop",
        tables: include_str!("hosts/lamp_shop.sql"),
        overrides: "{}",
        seed: "",
        invoice: "insert into orders (id, order_number, status, currency, subtotal_cents, total_cents,
                                     shipping_address_snapshot, updated_at)
            values ('{id}', right('{id}', 12), '{status}', 'USD', 12500, 12500, '{}', '2026-01-01')",
        awaited: "insert into payments (id, order_id, stripe_payment_intent_id, status, amount_cents, currency, updated_at)
            values ('{id}', '{id}', '{intent}', 'processing', 12500, 'USD', '2026-01-01')",
        shown: [
            ("orders", "concat_ws(' ', i.status, i.paid_at is not null)"),
            ("payments", "concat_ws(' ', p.status, p.amount_cents, p.currency)"),
        ],
        statuses: ("pending_payment", Some("delivered")),
        stamped: "",
        takes_parts: false,
    },
    Host {
        name: "get_a_motel",
        tables: include_str!("hosts/get_a_motel.sql"),
        overrides: r#"{"invoice_paid_word": "CONFIRMED", "payment_paid_word": "SUCCEEDED"}"#,
        seed: "insert into tenants default values; insert into properties default values;
            insert into room_types default values",
        invoice: "insert into bookings (id, tenant_id, property_id, room_type_id, idempotency_key, confirmation_number,
                guest_email, guest_first_name, guest_last_name, check_in_date, check_out_date, num_nights, num_guests,
                total_price_cents, status, updated_at)
            select '{id}', t.id, p.id, r.id, '{id}', '{id}', 'a@example.com', 'A', 'B', '2026-01-01', '2026-01-02', 1, 1,
                12500, '{status}', '2026-01-01' from tenants t, properties p, room_types r",
        awaited: "insert into payments (tenant_id, booking_id, stripe_payment_intent_id, amount_cents, status)
            select tenant_id, id, '{intent}', 12500, 'PENDING' from bookings where id = '{id}'",
        shown: [
            ("bookings", "i.status"),
            ("payments", "concat_ws(' ', p.status, p.amount_cents, p.currency)"),
        ],
        statuses: ("PENDING", None),
        stamped: "",
        takes_parts: true,
    },
    Host {
        name: "booking_app_api",
        tables: include_str!("hosts/booking_app_api.sql"),
        overrides: r#"{"invoice_paid_word": "CONFIRMED", "payment_paid_word": "SUCCEEDED", "payment_amount_unit": "minor"}"#,
        seed: "insert into \"User\" default values",
        invoice: r#"insert into "Booking" (id, "userId", "bookingDate", "totalPrice", status, "updatedAt")
            values ({id}, 1, '2026-01-01', 125, '{status}', '2026-01-01')"#,
        awaited: r#"insert into "Payment" ("bookingId", amount, currency, status, "stripeSessionId", "updatedAt")
            values ({id}, 12500, 'usd', 'PENDING', '{session}', '2026-01-01')"#,
        shown: [
            ("\"Booking\"", "i.status::text"),
            ("\"Payment\"", "concat_ws(' ', p.status, p.amount, p.currency)"),
        ],
        statuses: ("PENDING", Some("COMPLETED")),
        stamped: "",
        takes_parts: true,
    },
    Host {
        name: "solidus",
        tables: include_str!("hosts/solidus.sql"),
        overrides: r#"{"payment_intent_column": "response_code", "invoice_paid_word": "paid",
            "payment_paid_word": "completed"}"#,
        seed: "",
        invoice: "insert into spree_orders (id, number, total, payment_state, currency) values ({id}, 'R{id}', 125, '{status}', 'USD')",
        awaited: "insert into spree_payments (amount, order_id, state, response_code) values (125, {id}, 'pending', '{intent}')",
        shown: [
            ("spree_orders", "concat_ws(' ', i.payment_state, trim_scale(i.payment_total))"),
            ("spree_payments", "concat_ws(' ', p.state, trim_scale(p.amount))"),
        ],
        statuses: ("balance_due", None),
        stamped: "",
        takes_parts: true,
    },
];

/// What becomes of the books, by application: its name, the settings by hand, and for each invoice its row, its
/// payments and its issues.
const EXPECTED: &str = include_str!("hosts/lives.txt");

/// A shop with the application's tables.
struct Life<'a> {
    host: &'a Host,
    shop: Shop,
}

impl Life<'_> {
    /// Adds an invoice with this number.
    fn invoice(&mut self, number: u32, status: &str) -> String {
        let is_number = self.host.invoice.contains("({id}");
        let id = if is_number {
            number.to_string()
        } else {
            format!("00000000-0000-4000-8000-{number:012}")
        };
        let statement = self.host.invoice.replace("{id}", &id);
        self.shop.execute(&statement.replace("{status}", status));
        id
    }

    /// Has an invoice paid at Stripe; gives the intent.
    fn pay(&mut self, cents: i64, currency: &str, invoice: &str) -> String {
        let checkout = Checkout::new(cents, currency).metadata("invoice_id", invoice);
        self.shop.stripe.checkout(checkout).pay().intent_id()
    }

    /// What the rows of the invoice say.
    fn books(&mut self, invoice: &str) -> String {
        let [(invoices, of_invoice), (payments, of_payment)] = self.host.shown;
        let key = self
            .shop
            .text("select payment_invoice_column from invoice_sync.settings");
        let key = key.expect("there are settings");
        let said = self.shop.text(&format!(
            "select concat_ws('; ', {of_invoice}, (select string_agg({of_payment}, ', ' order by {of_payment})
                                                  from {payments} p where p.\"{key}\" = i.id))
            from {invoices} i where i.id = '{invoice}'"
        ));
        said.expect("the invoice is there")
    }

    fn rows(&mut self) -> Vec<Option<String>> {
        let [(invoices, _), (payments, _)] = self.host.shown;
        self.shop.texts(&format!(
            "select (to_jsonb(t) - '{stamped}')::text from {invoices} t
            union all select (to_jsonb(t) - '{stamped}')::text from {payments} t order by 1",
            stamped = self.host.stamped
        ))
    }
}

/// What becomes of the application's books.
fn live(host: &Host) -> Vec<String> {
    let mut shop = Shop::with_tables(host.tables);
    shop.execute(&format!(
        "{}; select invoice_sync.adopt_mapping(overrides => '{}')",
        host.seed, host.overrides
    ));
    let mut life = Life { host, shop };
    let (open, after_paid) = host.statuses;
    let mut invoices = vec![
        ("lost", life.invoice(1, open)),
        ("awaited", life.invoice(2, open)),
    ];
    life.pay(12_500, "usd", &invoices[0].1);
    let awaited = life
        .shop
        .stripe
        .checkout(Checkout::new(12_500, "usd"))
        .pay();
    let waits = host.awaited.replace("{id}", &invoices[1].1);
    let waits = waits.replace("{session}", &awaited.session_id());
    life.shop
        .execute(&waits.replace("{intent}", &awaited.intent_id()));
    invoices.push(("foreign", life.invoice(3, open)));
    life.pay(12_500, "eur", &invoices[2].1);
    if let Some(status) = after_paid {
        invoices.push(("later", life.invoice(4, status)));
        let id = invoices[3].1.clone();
        life.pay(12_500, "usd", &id);
    }
    let before = life.rows();

    life.shop.sweep();
    let swept = life.rows();
    let undo = "select max(run_id)::text from invoice_sync.changes";
    let run = life.shop.text(undo).expect("something was written");
    let report = life.shop.json(&format!("invoice_sync.undo({run})"));
    assert_eq!(report["left"], json!([]), "{}: {report}", host.name);
    assert_eq!(life.rows(), before, "{}", host.name);
    let run = life.shop.text(undo).expect("something was undone");
    life.shop.json(&format!("invoice_sync.undo({run})"));
    let again = life.rows();
    assert_eq!(again.len(), swept.len(), "{}", host.name);

    let mut told = Vec::new();
    let refunds = [
        ("refunded", Refund::whole()),
        ("refunded in part", Refund::of(2_500)),
    ];
    for (number, (name, refund)) in (5..).zip(refunds) {
        let id = life.invoice(number, open);
        let intent = life.pay(12_500, "usd", &id);
        life.shop.sweep();
        life.shop.stripe.refund(&intent, refund);
        invoices.push((name, id));
    }
    if host.takes_parts {
        let (parts, twice) = (life.invoice(7, open), life.invoice(8, open));
        life.pay(5_000, "usd", &parts);
        life.shop.sweep();
        invoices.push(("deposit", parts.clone()));
        let deposit = life.books(&parts);
        life.pay(7_500, "usd", &parts);
        for _ in 0..2 {
            life.pay(12_500, "usd", &twice);
        }
        invoices.push(("twice", twice));
        life.shop.sweep();
        told.push(format!("after the deposit: {deposit}"));
    }
    life.shop.sweep();
    let issues = life
        .shop
        .texts("select concat_ws(' ', kind, invoice_id) from invoice_sync.open_issues order by 1");
    let issues: Vec<String> = issues.into_iter().flatten().collect();
    let mut tell = |(name, id): &(&str, String)| {
        let of_it: Vec<&str> = issues
            .iter()
            .filter_map(|issue| issue.strip_suffix(&format!(" {id}")))
            .collect();
        format!("{name}: {} [{}]", life.books(id), of_it.join(", "))
    };
    told.extend(invoices.iter().map(&mut tell));
    told
}

#[test]
fn the_books_of_real_applications_are_kept() {
    let tell = |host: &Host| {
        let by_hand: Value = serde_json::from_str(host.overrides).expect("it is JSON");
        let by_hand: Vec<&String> = by_hand
            .as_object()
            .into_iter()
            .flatten()
            .map(|(it, _)| it)
            .collect();
        let by_hand = format!("{} by hand {by_hand:?}", by_hand.len());
        [vec![format!("{}: {by_hand}", host.name)], live(host)]
            .concat()
            .join("\n    ")
            + "\n"
    };
    let found: Vec<String> = HOSTS.iter().map(tell).collect();
    let found = found.join("\n");
    println!("{found}");
    assert!(found == EXPECTED, "it is not what is expected:\n{found}");
}

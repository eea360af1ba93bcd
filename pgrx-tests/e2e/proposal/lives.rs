//! Lives of real applications' tables, after their proposal was adopted with few settings by hand, or with a view.

mod applications;

use serde_json::{Value, json};
use stripe_double::{Checkout, Refund};

use self::applications::{HOSTS, Host};
use crate::harness::Shop;

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

    /// Has an invoice paid at Stripe that only these statements of the application say.
    fn write_paid(&mut self, statements: &[&str], invoice: &str) {
        let paid = self
            .shop
            .stripe
            .checkout(Checkout::new(12_500, "usd"))
            .pay();
        for statement in statements {
            let statement = statement.replace("{id}", invoice);
            let statement = statement.replace("{session}", &paid.session_id());
            self.shop
                .execute(&statement.replace("{intent}", &paid.intent_id()));
        }
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
                                                  from {payments} p where p.\"{key}\"::text = i.id::text))
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
    shop.execute(host.beside.statements);
    shop.execute(host.seed);
    let mut life = Life { host, shop };
    let (open, after_paid) = host.statuses;
    if !host.history.is_empty() {
        let id = life.invoice(99, open);
        life.write_paid(&[host.awaited, host.history], &id);
    }
    life.shop.execute(&format!(
        "select invoice_sync.adopt_mapping({}overrides => '{}')",
        host.beside.given, host.overrides
    ));
    let mut invoices = vec![
        ("lost", life.invoice(1, open)),
        ("awaited", life.invoice(2, open)),
    ];
    life.pay(12_500, "usd", &invoices[0].1);
    life.write_paid(&[host.awaited], &invoices[1].1);
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
        let beside = host.beside.what;
        let beside = if beside.is_empty() {
            String::new()
        } else {
            format!(", {beside}")
        };
        [
            vec![format!("{}: {by_hand}{beside}", host.name)],
            live(host),
        ]
        .concat()
        .join("\n    ")
            + "\n"
    };
    let found: Vec<String> = HOSTS.iter().map(tell).collect();
    let found = found.join("\n");
    println!("{found}");
    assert!(found == EXPECTED, "it is not what is expected:\n{found}");
    let by_itself = HOSTS.iter().filter(|host| host.overrides == "{}").count();
    assert!(by_itself >= 8, "only {by_itself} need no setting by hand");
}

//! Lives of real applications' tables, after their proposal was adopted with few settings by hand, or with a view: each
//! case of money on each application, what was written as whole rows, and all of it undone and restored.

mod applications;
mod rows;

use serde_json::{Value, json};
use stripe_double::{Checkout, Refund};

use self::applications::{HOSTS, Host, Waiting};
use self::rows::{Row, Table};
use crate::harness::Shop;

/// What becomes of the books, by application: its name, the settings by hand, and for each case what changed of the
/// invoice's row, its payments' rows, and its issues.
const EXPECTED: &str = include_str!("hosts/lives.txt");

/// The cases, each an invoice: what is paid of it first, and in which currency.
const CASES: [(&str, &[i64], &str); 9] = [
    ("lost", &[12_500], "usd"),
    ("waiting", &[], "usd"),
    ("foreign", &[12_500], "eur"),
    ("after paid", &[12_500], "usd"),
    ("closed", &[12_500], "usd"),
    ("refunded", &[12_500], "usd"),
    ("refunded in part", &[12_500], "usd"),
    ("deposit", &[5_000], "usd"),
    ("twice", &[12_500], "usd"),
];

/// In seconds, how long ago payments are made: their time is not that of their rows.
const AGO: i64 = 7_200;

/// A shop with the application's tables.
struct Life<'a> {
    host: &'a Host,
    shop: Shop,
    /// The cases that the application's tables can express, and the ids of their invoices.
    invoices: Vec<(&'static str, String)>,
    /// The intents of the payments that were made, by case.
    intents: Vec<(&'static str, String)>,
}

impl Life<'_> {
    /// Adds an invoice with this number; gives its id.
    fn invoice(&mut self, number: usize, status: &str) -> String {
        let (id, statement) = self.host.invoice_with(number, status);
        self.shop.execute(&statement);
        id
    }

    /// Has the invoice of the case paid at Stripe.
    fn pay(&mut self, case: &'static str, cents: i64, currency: &str) {
        let invoices = self.invoices.iter();
        for (_, invoice) in invoices.filter(|(name, _)| *name == case) {
            let checkout = Checkout::new(cents, currency).metadata("invoice_id", invoice);
            let at = self.shop.stripe.now() - AGO;
            let paid = self.shop.stripe.checkout(checkout).at(at).pay();
            self.intents.push((case, paid.intent_id()));
        }
    }

    fn refund(&mut self, case: &str, refund: Refund) {
        let intents = self.intents.iter().find(|(name, _)| *name == case);
        let (_, intent) = intents.expect("it was paid");
        self.shop.stripe.refund(intent, refund);
    }

    /// Has an invoice paid at Stripe that only these statements of the application say.
    fn write_paid(&mut self, statements: &[&str], invoice: &str) {
        let at = self.shop.stripe.now() - AGO;
        let checkout = Checkout::new(12_500, "usd");
        let paid = self.shop.stripe.checkout(checkout).at(at).pay();
        for statement in statements {
            let statement = statement.replace("{id}", invoice);
            let statement = statement.replace("{session}", &paid.session_id());
            self.shop
                .execute(&statement.replace("{intent}", &paid.intent_id()));
        }
    }

    /// Adds the invoices, of which each case has one. Returns what is told of those that the tables cannot express.
    fn begin(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for (number, (case, ..)) in (1..).zip(CASES) {
            let status = match case {
                "after paid" => self.host.after_paid,
                "closed" => self.host.closed,
                _ => Some(self.host.open),
            };
            if let Some(status) = status {
                let id = self.invoice(number, status);
                self.invoices.push((case, id));
            } else if case == "closed" {
                told.push(format!("{case}: it has no word for it"));
            } else {
                self.assert_inexpressible(number);
                told.push(format!("{case}: its tables cannot say so"));
            }
        }
        let (_, invoice) = self.invoices[1].clone();
        self.write_paid(&[self.host.waiting.statement()], &invoice);
        let instead = match self.host.waiting {
            Waiting::Row(_) => return told,
            Waiting::Invoice(_) => "its invoice does",
            Waiting::Paid(_) => "one is written once it was made",
        };
        let can_wait = self.shop.text(
            "select payment_status_column is not null and payment_pending_words <> '{}' from invoice_sync.settings",
        );
        assert_eq!(can_wait.as_deref(), Some("false"), "{}", self.host.name);
        told.push(format!("waiting: no row of a payment can wait; {instead}"));
        told
    }

    /// The tables refuse an invoice in a word that follows paid, or no column contains a word.
    fn assert_inexpressible(&mut self, number: usize) {
        let (_, statement) = self.host.invoice_with(number, "delivered");
        let is_refused = self.shop.db.batch_execute(&statement).is_err();
        let has_word = self.host.invoice.contains("{status}");
        assert!(is_refused || !has_word, "{}", self.host.name);
    }

    /// The invoices and the payments as the settings name them.
    fn tables(&mut self) -> [Table; 2] {
        ["invoice", "payment"].map(|which| {
            let whose = if which == "payment" {
                "payment_invoice_column"
            } else {
                "invoice_id_column"
            };
            let table = self.shop.text(&format!(
                "select {which}s_table::text from invoice_sync.settings"
            ));
            let key = self
                .shop
                .text(&format!("select {whose} from invoice_sync.settings"));
            Table {
                name: table.expect("there are settings"),
                key: key.expect("there are settings"),
            }
        })
    }

    /// Undoes all runs that wrote something since a run, the last one first.
    fn undo_since(&mut self, run: &str) {
        let runs = self.shop.texts(&format!(
            "select distinct run_id from invoice_sync.changes where run_id > {run} order by 1 desc"
        ));
        for run in runs.into_iter().flatten() {
            let report = self.shop.json(&format!("invoice_sync.undo({run})"));
            assert_eq!(report["left"], json!([]), "{}: {report}", self.host.name);
            let told = report["differences"].as_array().into_iter().flatten();
            let mut columns = told.map(|it| it["column"].as_str());
            let stamped = self.host.stamped;
            assert!(
                columns.all(|it| it == Some(stamped)),
                "{}: {report}",
                self.host.name
            );
        }
    }

    fn last_run(&mut self) -> String {
        let last = "select coalesce(max(run_id), 0)::text from invoice_sync.changes";
        self.shop.text(last).expect("it is not null")
    }
}

/// What becomes of the application's books.
fn live(host: &Host) -> Vec<String> {
    let mut shop = Shop::with_tables(host.tables);
    shop.execute(host.beside.statements);
    shop.execute(host.seed);
    let mut life = Life {
        host,
        shop,
        invoices: Vec::new(),
        intents: Vec::new(),
    };
    if !host.history.is_empty() {
        let id = life.invoice(99, host.open);
        life.write_paid(&[host.waiting.statement(), host.history], &id);
    }
    life.shop.execute(&format!(
        "select invoice_sync.adopt_mapping({}overrides => '{}')",
        host.beside.given, host.overrides
    ));
    let mut told = life.begin();
    let [invoices, payments] = life.tables();
    let stored = rows::stored(&mut life.shop, host.stamped);
    let rows_before: Vec<Vec<Row>> = life
        .invoices
        .iter()
        .map(|(_, id)| invoices.rows(&mut life.shop, id))
        .collect();

    for (case, cents, currency) in CASES {
        for cents in cents {
            life.pay(case, *cents, currency);
        }
    }
    life.shop.sweep();
    let (_, deposit) = life.invoices[life.invoices.len() - 2].clone();
    let after_deposit = invoices.rows(&mut life.shop, &deposit);
    let is_open = rows::changed(&rows_before[life.invoices.len() - 2], &after_deposit);
    told.push(format!("after the deposit: {is_open}"));

    life.refund("refunded", Refund::whole());
    life.refund("refunded in part", Refund::of(2_500));
    life.pay("deposit", 7_500, "usd");
    life.pay("twice", 12_500, "usd");
    life.shop.sweep();
    life.shop.sweep();

    let issues = life.shop.texts(
        "select concat_ws(' ', kind, case kind when 'apply_failed' then evidence ->> 'sqlstate' end, invoice_id)
        from invoice_sync.open_issues order by 1",
    );
    let issues: Vec<String> = issues.into_iter().flatten().collect();
    let mut written = Vec::new();
    for ((case, id), before) in life.invoices.iter().zip(&rows_before) {
        let now = invoices.rows(&mut life.shop, id);
        let of_it = payments.rows(&mut life.shop, id);
        let own = issues.iter();
        let own: Vec<&str> = own
            .filter_map(|issue| issue.strip_suffix(&format!(" {id}")))
            .collect();
        let changed = rows::changed(before, &now);
        told.push(format!("{case}: {changed} [{}]", own.join(", ")));
        told.extend(of_it.iter().map(|row| format!("    {}", row.filled())));
        written.extend(of_it);
    }
    let empty = rows::empty(&written);
    if !empty.is_empty() {
        told.push(format!("empty: {}", empty.join(" ")));
    }
    for needed in host.needs {
        let is_filled = written.iter().all(|row| row.has(needed));
        assert!(is_filled, "{}: {needed}\n{}", host.name, told.join("\n"));
    }

    let lived = rows::stored(&mut life.shop, host.stamped);
    let last = life.last_run();
    life.undo_since("0");
    let undone = rows::stored(&mut life.shop, host.stamped);
    let left = rows::differing(&stored, &undone);
    assert_eq!(left, host.follows, "{}: after undo", host.name);
    life.undo_since(&last);
    let again = rows::stored(&mut life.shop, host.stamped);
    assert_eq!(
        rows::differing(&lived, &again),
        [] as [&str; 0],
        "{}: after redo",
        host.name
    );
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
        assert!(by_hand.len() <= 3, "{}: {by_hand:?}", host.name);
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

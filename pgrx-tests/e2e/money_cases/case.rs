//! A case: its setup, the expected result of `sync_invoice`, and what holds in every case.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::hosts::Host;
use super::world::{Books, World};
use crate::harness::Shop;
use crate::pages::money;

/// One row of the table of cases, or a story of several steps.
pub struct Case {
    name: &'static str,
    /// Assignments of the settings table, for this case only.
    settings: Option<&'static str>,
    /// The whole database is compared before and after the dry runs.
    dumped: bool,
    /// Only where no trigger of the host's does the invoice's sums by itself.
    without_triggers: bool,
    steps: Vec<Step>,
}

/// Something happens, and the invoice is synchronized. What a step does not
/// mention stays as it was; no issue is mentioned, none is open.
struct Step {
    act: fn(&mut World),
    payments: Option<Vec<&'static str>>,
    /// What `payments` says is only there to be seen where refunds have a column.
    only_refunded_amounts: bool,
    invoice: Option<&'static str>,
    issues: Vec<&'static str>,
    requests: Option<usize>,
    requests_once_known: Option<usize>,
    asked_again: Option<&'static str>,
    also: Option<fn(&mut World)>,
}

pub fn case(name: &'static str) -> Case {
    Case {
        name,
        settings: None,
        dumped: false,
        without_triggers: false,
        steps: Vec::new(),
    }
}

impl Case {
    /// Assignments of the settings table, the same on every host.
    pub fn settings(mut self, assignments: &'static str) -> Self {
        self.settings = Some(assignments);
        self
    }

    /// Compares all that pg_dump sees before and after each dry run.
    pub fn dumped(mut self) -> Self {
        self.dumped = true;
        self
    }

    /// Leaves hosts out whose triggers decide this by themselves.
    pub fn without_triggers(mut self) -> Self {
        self.without_triggers = true;
        self
    }

    /// What is there, or what happens next; then the invoice is synchronized.
    pub fn when(mut self, act: fn(&mut World)) -> Self {
        self.steps.push(Step {
            act,
            payments: None,
            only_refunded_amounts: false,
            invoice: None,
            issues: Vec::new(),
            requests: None,
            requests_once_known: None,
            asked_again: None,
            also: None,
        });
        self
    }

    /// The payment rows, as [`World::payment_lines`] writes them.
    pub fn payments(mut self, lines: &[&'static str]) -> Self {
        self.step().payments = Some(lines.to_vec());
        self
    }

    /// The same, for a change that only the column for refunded amounts shows:
    /// where there is none, the rows stay as they are.
    pub fn payments_where_refunds_have_a_column(mut self, lines: &[&'static str]) -> Self {
        self.step().only_refunded_amounts = true;
        self.payments(lines)
    }

    /// The invoice, as [`World::invoice_line`] writes it.
    pub fn invoice(mut self, line: &'static str) -> Self {
        self.step().invoice = Some(line);
        self
    }

    /// The open issues, `severity kind` each.
    pub fn issues(mut self, lines: &[&'static str]) -> Self {
        self.step().issues = lines.to_vec();
        self
    }

    /// How many requests a run makes that knows by which session an intent came.
    pub fn requests_once_known(mut self, count: usize) -> Self {
        self.step().requests_once_known = Some(count);
        self
    }

    /// How many requests one run makes.
    pub fn requests(mut self, count: usize) -> Self {
        self.step().requests = Some(count);
        self
    }

    /// When Stripe is asked again by itself: `now` (with the next sweep), `later`, `never`.
    pub fn asked_again(mut self, when: &'static str) -> Self {
        self.step().asked_again = Some(when);
        self
    }

    /// What else must hold.
    pub fn also(mut self, check: fn(&mut World)) -> Self {
        self.step().also = Some(check);
        self
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The case as an example of docs/money.md; what happens in several steps one after the other.
    pub fn row(&self) -> String {
        let each = |write: fn(&Step) -> String| {
            let mut steps: Vec<String> = self.steps.iter().map(write).collect();
            if steps.iter().all(|step| *step == steps[0]) {
                steps.truncate(1);
            }
            steps.join(", then ")
        };
        let invoices = each(|step| step.invoice.map_or("unchanged".to_owned(), written));
        let payments = each(|step| match &step.payments {
            None => "unchanged".to_owned(),
            Some(lines) => lines.join("; "),
        });
        let issues = each(|step| {
            let kinds = step.issues.iter().filter_map(|line| line.split(' ').nth(1));
            money::issues(kinds)
        });
        money::row(self.name, &invoices, &payments, &issues)
    }

    fn step(&mut self) -> &mut Step {
        self.steps.last_mut().expect("when comes first")
    }
}

/// Writes `Partial 60 paid, 40 left` as docs/money.md does: `Partial, 60 paid, 40 due`.
fn written(line: &str) -> String {
    let line = line.trim_end_matches(", dated").replace(" left", " due");
    let mut words: Vec<&str> = line.rsplitn(5, ' ').collect();
    words.reverse();
    let [status, amounts @ ..] = &words[..] else {
        panic!("no status: {line}");
    };
    format!("{status}, {}", amounts.join(" "))
}

/// Runs the cases on one host's tables, and fails with all that went wrong.
pub fn check(host: &dyn Host, cases: Vec<Case>) {
    let mut shop = Shop::with_tables(host.tables());
    shop.execute(host.settings());
    let mut failures = Vec::new();
    for case in cases {
        if case.without_triggers && host.recomputes() {
            continue;
        }
        if let Some(assignments) = case.settings {
            shop.execute(&format!("update invoice_sync.settings set {assignments}"));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut shop, host, &case)));
        let complaints = outcome.unwrap_or_else(|panic| vec![words_of(&*panic)]);
        failures.extend(
            complaints
                .iter()
                .map(|complaint| format!("{}, on {}: {complaint}", case.name, host.name())),
        );
        shop.execute(host.settings());
    }
    assert!(
        failures.is_empty(),
        "{} complaints:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}

fn run(shop: &mut Shop, host: &dyn Host, case: &Case) -> Vec<String> {
    let mut world = World::new(shop, host);
    let mut complaints = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        (step.act)(&mut world);
        let mut run = StepRun {
            world: &mut world,
            host,
            step,
            place: format!("step {}", number + 1),
            complaints: &mut complaints,
        };
        let before = run.world.books();
        run.dry_run(case.dumped, &before);
        run.first_sync(&before);
        run.second_sync();
        if let Some(also) = step.also {
            also(&mut world);
        }
    }
    complaints
}

struct StepRun<'r, 'w> {
    world: &'r mut World<'w>,
    host: &'r dyn Host,
    step: &'r Step,
    place: String,
    complaints: &'r mut Vec<String>,
}

impl StepRun<'_, '_> {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, wanted: &T, found: &T) {
        if wanted != found {
            self.complaints.push(format!(
                "{}: {what}: expected {wanted:?}, found {found:?}",
                self.place
            ));
        }
    }

    fn sync(&mut self, dry_run: bool, requests: Option<usize>) -> Value {
        let id = self.world.id();
        self.world.shop.stripe.reset_requests();
        let report = self.world.shop.json(&format!(
            "invoice_sync.sync_invoice('{id}', dry_run => {dry_run})"
        ));
        let made = self.world.shop.stripe.requests().len();
        if let Some(wanted) = requests {
            self.expect("requests to Stripe", &wanted, &made);
        }
        self.expect("success", &json!(true), &report["success"]);
        report
    }

    /// Writes nothing at all, and says what the real run will say.
    fn dry_run(&mut self, dumped: bool, before: &Books) {
        let fingerprint = self.world.fingerprint();
        let dump = dumped.then(|| self.world.shop.dump());
        let report = self.sync(true, self.step.requests);
        if let Some(dump) = dump {
            let after = self.world.shop.dump();
            if dump != after {
                self.complaints.push(format!(
                    "{}: a dry run changed the database: {}",
                    self.place,
                    first_difference(&dump, &after)
                ));
            }
        }
        let after = self.world.fingerprint();
        self.expect("a dry run writes nothing", &fingerprint, &after);
        let books = self.world.books();
        self.expect("a dry run leaves the books", before, &books);
        self.expect("dryRun", &json!(true), &report["dryRun"]);
        self.expect_issues("the dry run's issues", &report);
        let wanted = self.touches();
        self.expect("the dry run's fixed", &wanted, &report["fixed"]);
    }

    fn first_sync(&mut self, before: &Books) {
        let report = self.sync(false, self.step.requests);
        let after = self.world.books();
        self.expect_rows(before, &after);
        self.expect_issues("the report's issues", &report);
        let wanted: Vec<String> = self.wanted_issues();
        let found = self.world.issue_lines();
        self.expect("open issues", &wanted, &found);
        let wanted = self.touches();
        self.expect("fixed", &wanted, &report["fixed"]);
        self.expect_ledger(before, &after, &report);
        self.expect_known_ids(before, &after);
        if let Some(wanted) = self.step.asked_again {
            let found = self.world.next_check();
            self.expect("Stripe is asked again", &wanted.to_owned(), &found);
        }
    }

    /// Changes nothing, and says the same.
    fn second_sync(&mut self) {
        let (books, changes) = (self.world.books(), self.world.changes());
        let requests = self.step.requests_once_known.or(self.step.requests);
        let report = self.sync(false, requests);
        let (books_after, changes_after) = (self.world.books(), self.world.changes());
        self.expect("a second sync leaves the books", &books, &books_after);
        self.expect("a second sync records no change", &changes, &changes_after);
        self.expect("the second sync's fixed", &json!(0), &report["fixed"]);
        let wanted = self.wanted_issues();
        let found = self.world.issue_lines();
        self.expect("open issues after a second sync", &wanted, &found);
    }

    /// The wanted payment rows; `None` where they stay as they are.
    fn wanted_payments(&self) -> Option<Vec<String>> {
        let seen = !self.step.only_refunded_amounts || self.host.has_refunded_column();
        let lines = self.step.payments.as_ref().filter(|_| seen)?;
        Some(lines.iter().map(|line| line_for(self.host, line)).collect())
    }

    fn touches(&self) -> Value {
        json!(u8::from(
            self.wanted_payments().is_some() || self.step.invoice.is_some()
        ))
    }

    fn wanted_issues(&self) -> Vec<String> {
        let mut wanted: Vec<String> = self.step.issues.iter().map(|i| (*i).to_owned()).collect();
        wanted.sort();
        wanted
    }

    fn expect_issues(&mut self, what: &str, report: &Value) {
        let mut found: Vec<String> = report["details"]["issues"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|issue| {
                let word = |name: &str| issue[name].as_str().unwrap_or_default().to_owned();
                format!("{} {}", word("severity"), word("kind"))
            })
            .collect();
        found.sort();
        let wanted = self.wanted_issues();
        self.expect(what, &wanted, &found);
    }

    fn expect_rows(&mut self, before: &Books, after: &Books) {
        let only = |books: &Books, table: &str| -> Books {
            let rows = books.iter().filter(|((of, _), _)| of == table);
            rows.map(|(key, row)| (key.clone(), row.clone())).collect()
        };
        match self.step.invoice {
            Some(wanted) => {
                let found = self.world.invoice_line();
                self.expect("the invoice", &wanted.to_owned(), &found);
            }
            None => {
                let table = self.host.invoices();
                self.expect(
                    "the invoice is untouched",
                    &only(before, table),
                    &only(after, table),
                );
            }
        }
        match self.wanted_payments() {
            Some(wanted) => {
                let found = self.world.payment_lines();
                self.expect("the payments", &wanted, &found);
            }
            None => {
                let table = self.host.payments();
                self.expect(
                    "the payments are untouched",
                    &only(before, table),
                    &only(after, table),
                );
            }
        }
    }

    /// What was there, and the run's recorded changes, make what is there.
    fn expect_ledger(&mut self, before: &Books, after: &Books, report: &Value) {
        let changes = self.world.shop.rows(&format!(
            "select table_name, row_id, before, after from invoice_sync.changes where run_id = {} order by id",
            report["runId"]
        ));
        let mut replayed = before.clone();
        for change in &changes {
            let key: (String, String) = (change.get(0), change.get(1));
            let (old, new): (Option<Value>, Value) = (change.get(2), change.get(3));
            let row = replayed.entry(key).or_insert_with(|| json!({}));
            for (column, was) in old
                .as_ref()
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let found = row[column].clone();
                self.expect("what a change says was there", was, &found);
            }
            let columns = new.as_object().into_iter().flatten();
            for (column, value) in columns {
                row[column] = value.clone();
            }
        }
        self.expect("the rows, by what the ledger says", &replayed, after);
    }

    /// A new row carries the ids of the payment that it is for.
    fn expect_known_ids(&mut self, before: &Books, after: &Books) {
        let [.., session, intent] = self.host.payment_ids();
        let payments = self.host.payments();
        let new = after
            .iter()
            .filter(|(key, _)| key.0 == payments && !before.contains_key(key));
        let has_intents = self
            .world
            .shop
            .text("select payment_intent_column from invoice_sync.settings")
            .is_some();
        let unquoted = |name: &str| name.trim_matches('"').to_owned();
        for (_, row) in new {
            let id = |column: &str| row[unquoted(column)].as_str().map(str::to_owned);
            let (session, intent) = (id(session), id(intent));
            let known =
                |id: &Option<String>| id.as_ref().and_then(|id| self.world.shop.stripe.object(id));
            let is_subscription =
                known(&session).is_some_and(|object| object["mode"] == "subscription");
            let by_session = known(&session).map(|object| object["payment_intent"].clone());
            let by_intent = known(&intent).map(|object| object["id"].clone());
            let agree = match (&by_session, &by_intent) {
                // The intent of a subscription is that of Stripe's invoice.
                (Some(named), Some(own)) => named == own || named.is_null() && is_subscription,
                (Some(named), None) => intent.is_none() && (named.is_null() || !has_intents),
                (None, Some(_)) => session.is_none(),
                (None, None) => false,
            };
            self.expect(
                &format!("the new row's ids {session:?} and {intent:?} are one payment's"),
                &true,
                &agree,
            );
        }
    }
}

/// A line without what the host has no column for.
fn line_for(host: &dyn Host, line: &str) -> String {
    match line.split_once(" - ") {
        Some((rest, _)) if !host.has_refunded_column() => rest.to_owned(),
        _ => line.to_owned(),
    }
}

fn first_difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    after
        .iter()
        .find(|line| !before.contains(line))
        .or_else(|| before.iter().find(|line| !after.contains(line)))
        .map_or_else(
            || "the order of lines".to_owned(),
            |line| (*line).to_owned(),
        )
}

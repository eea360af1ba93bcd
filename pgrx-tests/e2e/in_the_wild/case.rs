//! A case: what Stripe and the tables have, and what the books say afterwards, whatever entry point the evidence comes
//! by, on tables in major and in minor units.

use stripe_double::{Double, EventDelay, Key, json_text};

use crate::harness::sender::{SECRET, deliver};
use crate::harness::{DEFAULT_TABLES, Shop};
use crate::pages::money;

/// How evidence about a payment comes to an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Button,
    Feed,
    DueCheck,
    Backfill,
    Webhook,
    /// As [`Entry::Webhook`], the newest event first.
    WebhookReversed,
    /// As [`Entry::Webhook`], with `stripe_fetch_on_webhook` off: what the events do not tell, the next run asks.
    EventsAlone,
}

impl Entry {
    pub const ALL: [Self; 6] = [
        Self::Button,
        Self::Feed,
        Self::DueCheck,
        Self::Backfill,
        Self::Webhook,
        Self::WebhookReversed,
    ];

    /// Those that bring a payment to an invoice that stores none of its ids: only the payment's metadata names it.
    pub const BY_METADATA: [Self; 4] = [
        Self::Feed,
        Self::Backfill,
        Self::Webhook,
        Self::WebhookReversed,
    ];
}

/// The unit of the tables' amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Major,
    Minor,
}

pub struct Case {
    /// What Stripe and the tables have, for the examples of docs/money.md.
    pub name: &'static str,
    pub arrange: fn(&mut Scene),
    /// The invoices by their numbers, then the payments by their amounts, as [`Scene::books`] writes them.
    pub books: &'static [&'static str],
    /// The kinds of the open issues, in alphabetical order.
    pub issues: &'static [&'static str],
    pub entries: &'static [Entry],
    pub units: &'static [Unit],
    /// Whether it holds for [`Entry::EventsAlone`], where it does for a webhook.
    pub by_events_alone: bool,
    /// How many sweeps there may be until one makes one request.
    pub sweeps: usize,
}

impl Case {
    /// A case that holds for every entry point and both units.
    pub const fn new(
        name: &'static str,
        arrange: fn(&mut Scene),
        books: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            arrange,
            books,
            issues: &[],
            entries: &Entry::ALL,
            units: &[Unit::Major, Unit::Minor],
            by_events_alone: true,
            sweeps: 1,
        }
    }

    pub const fn issues(mut self, kinds: &'static [&'static str]) -> Self {
        self.issues = kinds;
        self
    }

    /// Only these entry points: the others cannot hear of it. Say why at the case.
    pub const fn entries(mut self, entries: &'static [Entry]) -> Self {
        self.entries = entries;
        self
    }

    /// Events that tell no more than was known at their time lead to other books. Say why at the case.
    pub const fn not_by_events_alone(mut self) -> Self {
        self.by_events_alone = false;
        self
    }

    /// So many sweeps may ask again. Say why at the case.
    pub const fn at_rest_after(mut self, sweeps: usize) -> Self {
        self.sweeps = sweeps;
        self
    }

    /// Only major units: minor ones cannot express it.
    pub const fn major_only(mut self) -> Self {
        self.units = &[Unit::Major];
        self
    }

    /// A neighbour of a case that holds for both units: one of them is enough.
    pub const fn neighbour(mut self) -> Self {
        self.units = &[Unit::Major];
        self
    }

    /// Arranges the case, lets the evidence come by each entry point, and compares the books. Then it comes by the feed,
    /// and where it came by that, by all others, which changes nothing; and a sweep makes one request.
    pub fn check(&self) {
        for &unit in self.units {
            for &entry in self.entries {
                self.check_one(unit, entry);
            }
        }
        if self.by_events_alone && self.entries.contains(&Entry::Webhook) {
            self.check_one(self.units[0], Entry::EventsAlone);
        }
    }

    fn check_one(&self, unit: Unit, entry: Entry) {
        let place = format!("{}, by {entry:?}, {unit:?}", self.name);
        let mut scene = Scene::new(unit);
        scene.shop.stripe.set_event_delay(EventDelay::Held);
        (self.arrange)(&mut scene);
        scene.enter(entry);
        self.compare(&mut scene, &place);
        self.compare_with_the_page(&mut scene);
        let before = scene.shop.dump_of(&["invoices", "payments"]);
        scene.shop.stripe.release_events();
        // Everything again once for each unit; that nothing is left to do shows by the feed as well.
        let all = match entry {
            Entry::Feed => &Entry::ALL[..],
            _ => &[Entry::Feed],
        };
        for &again in all {
            scene.enter(again);
            self.compare(&mut scene, &format!("{place}, and then by {again:?}"));
        }
        let after = scene.shop.dump_of(&["invoices", "payments"]);
        assert_eq!(after, before, "{place}: nothing was left to do");
        for _ in 0..self.sweeps {
            scene.shop.sweep();
        }
        scene.shop.stripe.reset_requests();
        scene.shop.sweep();
        let requests = scene.shop.stripe.counts_by_path();
        assert_eq!(
            requests.values().sum::<usize>(),
            1,
            "{place}: a quiet sweep makes one request: {requests:?}"
        );
    }

    fn compare(&self, scene: &mut Scene, place: &str) {
        assert_eq!(scene.books(), self.books, "{place}");
        assert_eq!(scene.issues(), self.issues, "{place}");
    }

    /// The case is an example of docs/money.md.
    fn compare_with_the_page(&self, scene: &mut Scene) {
        let invoices = scene.shop.rows("select from invoices").len();
        let [invoices, payments] = money::invoices_and_payments(self.books, invoices);
        let issues = money::issues(self.issues.iter().copied());
        money::expect_row(&money::row(self.name, &invoices, &payments, &issues));
    }
}

/// A shop with a stand-in for Stripe.
pub struct Scene {
    pub shop: Shop,
    pub unit: Unit,
}

impl Scene {
    pub fn new(unit: Unit) -> Self {
        let mut shop = match unit {
            Unit::Major => Shop::open(),
            Unit::Minor => {
                let mut shop =
                    Shop::with_tables(&DEFAULT_TABLES.replace("numeric(12, 3)", "bigint"));
                shop.execute("update invoice_sync.settings set amount_unit = 'minor'");
                shop
            }
        };
        shop.use_secret("stripe_webhook_secret", SECRET);
        Self { shop, unit }
    }

    /// Stripe and this extension use this API version from now on.
    pub fn use_api_version(&mut self, version: &str) {
        self.stripe().set_api_version(version);
        self.shop.configure("stripe_api_version", version);
    }

    /// The extension uses this key from now on.
    pub fn use_key(&mut self, key: Key) {
        let secret = key.secret().to_owned();
        self.stripe().accept_key(key);
        self.shop.use_key(&secret);
    }

    pub fn stripe(&self) -> &Double {
        &self.shop.stripe
    }

    /// The key of the invoice with this number.
    pub fn key(number: u32) -> String {
        format!("7d8e6b50-00a0-4000-8000-{number:012x}")
    }

    /// Inserts the invoice INV-`number`: status and total in major units, such as `Sent 100`, and the Stripe ids that
    /// it stores.
    pub fn invoice(&mut self, number: u32, row: &str, session: Option<&str>, intent: Option<&str>) {
        let (status, total) = row.rsplit_once(' ').expect("a status and a total");
        let total = self.stored(total);
        let (paid, due) = match status {
            "Paid" | "Refunded" => (total.as_str(), "0"),
            _ => ("0", total.as_str()),
        };
        self.shop
            .db
            .execute(
                &format!(
                    "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, amount_paid,
                                           balance_due, stripe_session_id, stripe_payment_intent)
                    values ('{}', 'INV-{number}', 'Ann', '{status}', {total}, {paid}, {due}, $1, $2)",
                    Self::key(number)
                ),
                &[&session, &intent],
            )
            .expect("the invoice is inserted");
    }

    /// Inserts a payment of INV-`number`: status and amount in major units, such as `Paid 100`, and the Stripe ids
    /// that it stores.
    pub fn payment(&mut self, number: u32, row: &str, session: Option<&str>, intent: Option<&str>) {
        let (status, amount) = row.rsplit_once(' ').expect("a status and an amount");
        let amount = self.stored(amount);
        self.shop
            .db
            .execute(
                &format!(
                    "insert into payments (invoice_id, payment_name, payment_status, total_amount,
                                           stripe_session_id, stripe_payment_intent)
                    values ('{}', 'by the application', '{status}', {amount}, $1, $2)",
                    Self::key(number)
                ),
                &[&session, &intent],
            )
            .expect("the payment is inserted");
    }

    /// An amount in major units as the tables store it, as SQL.
    pub fn stored(&self, amount: &str) -> String {
        match self.unit {
            Unit::Major => format!("{amount}::numeric"),
            Unit::Minor => format!("({amount}::numeric * 100)::bigint"),
        }
    }

    /// One line for each invoice (status, paid, due), by number, then for each payment (status, amount, gratuity), by
    /// amount, status and intent. Amounts in major units with two decimals.
    pub fn books(&mut self) -> Vec<String> {
        let scale = match self.unit {
            Unit::Major => "1.0",
            Unit::Minor => "100.0",
        };
        self.shop
            .texts(&format!(
                "(select concat_ws(' ', invoice_status, (amount_paid / {scale})::numeric(12, 2),
                                   (balance_due / {scale})::numeric(12, 2))
                from invoices order by invoice_number, id)
                union all
                (select concat_ws(' ', payment_status, (total_amount / {scale})::numeric(12, 2),
                                  (gratuity / {scale})::numeric(12, 2))
                from payments order by total_amount, payment_status, stripe_payment_intent)"
            ))
            .into_iter()
            .flatten()
            .collect()
    }

    /// The kinds of the open issues, in alphabetical order.
    pub fn issues(&mut self) -> Vec<String> {
        self.shop
            .texts("select kind from invoice_sync.open_issues order by kind collate \"C\"")
            .into_iter()
            .flatten()
            .collect()
    }

    /// Lets what Stripe has come to the invoices by this entry point. Without [`Double::release_events`], only
    /// webhooks bring events.
    pub fn enter(&mut self, entry: Entry) {
        match entry {
            Entry::Button => {
                for id in self.shop.texts("select id::text from invoices order by 1") {
                    self.shop.sync(&id.expect("a primary key"));
                }
            }
            Entry::Feed => {
                self.stripe().release_events();
                self.shop.sweep();
            }
            // What the invoice or its payments store tells of it.
            Entry::DueCheck => {
                self.shop.sweep();
                self.shop.make_all_due();
                self.shop.sweep();
            }
            Entry::Backfill => self
                .shop
                .execute("call invoice_sync.backfill(now() - interval '1 day')"),
            Entry::Webhook => self.deliver(self.stripe().events()),
            Entry::WebhookReversed => {
                let mut events = self.stripe().events();
                events.reverse();
                self.deliver(events);
            }
            Entry::EventsAlone => {
                self.fetch_on_webhook(false);
                self.deliver(self.stripe().events());
                self.shop.execute(
                    "update invoice_sync.event set next_attempt_at = '-infinity' where state = 'pending'",
                );
                self.shop.sweep();
                self.fetch_on_webhook(true);
            }
        }
    }

    fn fetch_on_webhook(&mut self, is_on: bool) {
        self.shop.execute(&format!(
            "update invoice_sync.settings set stripe_fetch_on_webhook = {is_on}"
        ));
    }

    fn deliver(&mut self, events: Vec<serde_json::Value>) {
        for event in events {
            deliver(&mut self.shop.db, &json_text(&event)).expect("it is stored");
        }
    }
}

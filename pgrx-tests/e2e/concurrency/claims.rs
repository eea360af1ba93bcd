//! Two invoices that claim one payment: the conflict is found by every entry point, reported once, and resolved.

mod handlers;

use stripe_double::{Checkout, Refund};

use crate::harness::Shop;
use crate::harness::sender::deliver;

/// Who looks.
#[derive(Clone, Copy, Debug)]
enum Look {
    RunSweep,
    Sweep,
    /// Of the first or the second invoice.
    Button(usize),
    Webhook,
    Backfill,
}

const LOOKS: [Look; 6] = [
    Look::RunSweep,
    Look::Sweep,
    Look::Button(0),
    Look::Button(1),
    Look::Webhook,
    Look::Backfill,
];

/// Two invoices, and one payment that Stripe received.
struct Pair {
    shop: Shop,
    invoices: [String; 2],
    session: String,
    intent: String,
}

impl Pair {
    fn open() -> Self {
        let mut shop = Shop::with_webhooks();
        let paid = shop.stripe.checkout(Checkout::new(10_000, "usd")).pay();
        let invoices = ["INV-1", "INV-2"].map(|number| {
            let insert = format!(
                "with i as (
                    insert into invoices (invoice_number, customer, invoice_status, total_amount)
                    values ('{number}', 'Customer', 'Sent', 100) returning id
                ) select id from i"
            );
            let row = shop
                .db
                .query_one(&insert.replace("select id", "select id::text"), &[]);
            row.expect("it is inserted").get::<_, String>(0)
        });
        Self {
            session: paid.session_id(),
            intent: paid.intent_id(),
            shop,
            invoices,
        }
    }

    /// The invoices with these numbers store the session.
    fn refer(&mut self, numbers: &[&str]) {
        for number in numbers {
            self.shop.execute(&format!(
                "update invoices set stripe_session_id = '{}' where invoice_number = '{number}'",
                self.session
            ));
        }
    }

    /// The application's own row: by `session`, by `intent`, or by `both`.
    fn row(&self, invoice: usize, status: &str, by: &str) -> String {
        let quoted = |id: &str, words: [&str; 2]| match words.contains(&by) {
            true => format!("'{id}'"),
            false => "null".to_owned(),
        };
        format!(
            "insert into payments (
                invoice_id, payment_name, payment_status, total_amount, stripe_session_id, stripe_payment_intent)
            values ('{}', 'Handler', '{status}', 100, {}, {})",
            self.invoices[invoice],
            quoted(&self.session, ["session", "both"]),
            quoted(&self.intent, ["intent", "both"]),
        )
    }

    /// The application books the payment for both invoices.
    fn book_both(&mut self, by: [&str; 2]) {
        for (invoice, by) in by.into_iter().enumerate() {
            let row = self.row(invoice, "Paid", by);
            self.shop.execute(&row);
        }
        self.shop.execute(
            "update invoices
            set invoice_status = 'Paid', amount_paid = 100, balance_due = 0, paid_date = now()",
        );
    }

    fn look(&mut self, look: Look) {
        match look {
            Look::RunSweep => self.shop.execute("call invoice_sync.run_sweep()"),
            Look::Sweep => drop(self.shop.sweep()),
            Look::Button(invoice) => drop(self.shop.sync(&self.invoices[invoice].clone())),
            Look::Webhook => {
                // One that nobody has seen before.
                let kind = "checkout.session.completed";
                self.shop.stripe.emit(kind, &self.session);
                let event = self.shop.stripe.events().pop().expect("there is one");
                deliver(&mut self.shop.db, &event.to_string()).expect("it is taken");
            }
            Look::Backfill => self
                .shop
                .execute("call invoice_sync.backfill(now() - interval '1 day')"),
        }
    }

    /// `number kind object: invoices` of each open issue.
    fn reported(&mut self) -> Vec<String> {
        let reported = self.shop.texts(
            "select format('%s %s: %s', kind, object, coalesce(invoice_number, (
                        select string_agg(i ->> 'invoice', ', ')
                        from jsonb_array_elements(evidence -> 'invoices') i)))
            from invoice_sync.open_issues order by id",
        );
        reported.into_iter().flatten().collect()
    }

    /// How many issues there ever were.
    fn issues(&mut self) -> Option<String> {
        self.shop.text("select count(*) from invoice_sync.issue")
    }

    fn both(&self) -> String {
        format!("duplicate_payment {}: INV-1, INV-2", self.intent)
    }
}

#[test]
fn whoever_looks_first_finds_a_payment_in_two_books_and_it_is_reported_once() {
    for first in LOOKS {
        let mut pair = Pair::open();
        pair.book_both(["intent", "intent"]);
        pair.look(first);
        assert_eq!(pair.reported(), [pair.both()], "{first:?}");
        for then in LOOKS {
            pair.look(then);
            assert_eq!(pair.reported(), [pair.both()], "{first:?}, then {then:?}");
        }
        assert_eq!(pair.issues(), Some("1".into()), "{first:?}");
    }
}

#[test]
fn a_sweep_finds_what_was_booked_since_the_last_one_by_whatever_id_and_asks_nothing() {
    for by in [
        ["intent", "intent"],
        ["session", "session"],
        ["both", "session"],
        ["intent", "both"],
        ["session", "intent"],
    ] {
        let mut pair = Pair::open();
        // What ties a session to its intent is remembered.
        let remembered = pair.row(0, "Paid", "both");
        pair.shop.execute(&remembered);
        pair.look(Look::Button(0));
        pair.look(Look::RunSweep);
        pair.shop.execute("delete from payments");
        pair.look(Look::RunSweep);
        pair.look(Look::RunSweep);
        pair.shop
            .execute("update invoice_sync.invoice_check set next_check_at = null");
        pair.book_both(by);
        pair.shop.stripe.reset_requests();
        pair.look(Look::RunSweep);
        assert_eq!(pair.reported(), [pair.both()], "{by:?}");
        assert_eq!(
            pair.shop.stripe.count_of("/v1/"),
            1,
            "{by:?}: the feed alone"
        );
    }
}

#[test]
fn it_is_over_when_no_two_invoices_have_it_whoever_looks() {
    for look in LOOKS {
        for remedy in [
            "update payments set payment_status = 'Failed' where invoice_id = $second",
            "delete from payments where invoice_id = $second",
            "update payments set total_amount = 40 where invoice_id = $second;
            update payments set total_amount = 60 where invoice_id <> $second",
        ] {
            // Only a sweep knows of rows that are gone.
            if remedy.starts_with("delete") && !matches!(look, Look::RunSweep | Look::Sweep) {
                continue;
            }
            let mut pair = Pair::open();
            pair.book_both(["intent", "intent"]);
            pair.look(Look::Sweep);
            // How much came is known then; and no event is left.
            pair.look(Look::Button(0));
            assert_eq!(pair.reported(), [pair.both()]);
            let second = format!("'{}'", pair.invoices[1]);
            pair.shop.execute(&remedy.replace("$second", &second));
            pair.look(look);
            let reported = pair.reported();
            assert!(
                !reported.contains(&pair.both()),
                "{look:?} {remedy}: {reported:#?}"
            );
        }
    }
}

#[test]
fn a_third_invoice_is_the_same_fact_and_one_of_three_does_not_end_it() {
    let mut pair = Pair::open();
    pair.book_both(["intent", "intent"]);
    pair.look(Look::RunSweep);
    pair.shop.book_for_another("INV-3", &pair.intent);
    pair.look(Look::RunSweep);
    let reported =
        |invoices: &str, pair: &Pair| format!("duplicate_payment {}: {invoices}", pair.intent);
    assert_eq!(pair.reported(), [reported("INV-1, INV-2, INV-3", &pair)]);
    pair.shop.execute(
        "update payments set payment_status = 'Failed'
                 where invoice_id = (select id from invoices where invoice_number = 'INV-1')",
    );
    pair.look(Look::RunSweep);
    assert!(
        pair.reported().contains(&reported("INV-2, INV-3", &pair)),
        "{:?}",
        pair.reported()
    );
    let of_payment = "select count(*) from invoice_sync.issue where kind = 'duplicate_payment'";
    assert_eq!(pair.shop.text(of_payment), Some("1".into()));
}

#[test]
fn a_payment_that_invoices_share_is_not_counted_twice() {
    let mut pair = Pair::open();
    pair.book_both(["intent", "intent"]);
    pair.shop.execute(
        "update payments p set total_amount = case i.invoice_number when 'INV-1' then 60 else 40 end
        from invoices i where i.id = p.invoice_id;
        update invoices
        set total_amount = case invoice_number when 'INV-1' then 60 else 40 end,
            amount_paid = case invoice_number when 'INV-1' then 60 else 40 end",
    );
    pair.look(Look::RunSweep);
    let reported = pair.reported().into_iter();
    let reported: Vec<String> = reported.filter(|it| it.starts_with("duplicate")).collect();
    assert_eq!(reported, Vec::<String>::new());
}

#[test]
fn a_person_may_ignore_it_and_is_not_reported_again() {
    let mut pair = Pair::open();
    pair.book_both(["intent", "intent"]);
    pair.look(Look::RunSweep);
    let issue = pair.shop.text("select id from invoice_sync.open_issues");
    let issue = issue.expect("there is one");
    pair.shop
        .json(&format!("invoice_sync.resolve_issue({issue}, 'ignore')"));
    for look in LOOKS {
        pair.look(look);
        assert_eq!(pair.reported(), Vec::<String>::new(), "{look:?}");
    }
}

/// `invoice row status` of each row, and the open issues.
fn books(pair: &mut Pair) -> Vec<String> {
    let rows = pair.shop.texts(
        "select concat_ws(' ', i.invoice_number, i.invoice_status, i.amount_paid::int,
                          string_agg(p.payment_status, ',' order by p.payment_status))
        from invoices i left join payments p on p.invoice_id = i.id
        group by i.id order by i.invoice_number",
    );
    rows.into_iter().flatten().chain(pair.reported()).collect()
}

#[test]
fn of_two_invoices_whose_rows_wait_for_one_payment_one_is_confirmed() {
    for by in [
        ["intent", "intent"],
        ["session", "session"],
        ["session", "intent"],
    ] {
        for look in LOOKS {
            let mut pair = Pair::open();
            for (invoice, by) in by.into_iter().enumerate() {
                let row = pair.row(invoice, "Pending", by);
                pair.shop.execute(&row);
            }
            pair.look(look);
            pair.look(Look::RunSweep);
            let found = books(&mut pair);
            let is_first = found[0] == "INV-1 Paid 100 Paid";
            if let Look::Button(pressed) = look {
                assert_eq!(is_first, pressed == 0, "the button's invoice: {found:#?}");
            }
            let (states, loser) = if is_first {
                (["INV-1 Paid 100 Paid", "INV-2 Sent 0 Pending"], "INV-2")
            } else {
                (["INV-1 Sent 0 Pending", "INV-2 Paid 100 Paid"], "INV-1")
            };
            let mut wanted = states.map(str::to_owned).to_vec();
            wanted.push(format!("unlinked_payment {}: {loser}", pair.intent));
            assert_eq!(found, wanted, "{look:?} {by:?}");
        }
    }
}

#[test]
fn of_two_rows_of_one_invoice_that_wait_for_one_payment_one_is_confirmed() {
    for by in ["intent", "session", "both"] {
        for look in LOOKS {
            let mut pair = Pair::open();
            let row = pair.row(0, "Pending", by);
            pair.shop.execute(&row);
            pair.shop.execute(&row);
            pair.look(look);
            pair.look(Look::RunSweep);
            if !matches!(look, Look::Button(1)) {
                assert_eq!(
                    books(&mut pair),
                    [
                        "INV-1 Paid 100 Paid,Pending".to_owned(),
                        "INV-2 Sent 0".to_owned(),
                        format!("duplicate_payment {}: INV-1", pair.intent),
                    ],
                    "{look:?} {by}"
                );
            }
        }
    }
}

#[test]
fn a_refund_is_reported_for_the_invoice_that_has_the_payment_and_for_no_other() {
    let mut pair = Pair::open();
    pair.refer(&["INV-1", "INV-2"]);
    pair.look(Look::Button(0));
    pair.look(Look::Button(1));
    let intent = pair.intent.clone();
    pair.shop.stripe.refund(&intent, Refund::whole());
    for look in LOOKS {
        pair.look(look);
    }
    assert_eq!(
        books(&mut pair),
        [
            "INV-1 Paid 100 Refunded".to_owned(),
            "INV-2 Sent 0".to_owned(),
            format!("unlinked_payment {intent}: INV-2"),
            format!("refunded {intent}: INV-1"),
        ]
    );
}

#[test]
fn a_payment_that_is_undone_is_not_booked_for_an_invoice_that_once_referred_to_it() {
    let mut pair = Pair::open();
    let intent = pair.intent.clone();
    pair.refer(&["INV-1", "INV-2"]);
    pair.look(Look::Button(0));
    pair.look(Look::Button(1));
    pair.shop.execute(
        "update invoices set stripe_session_id = null where invoice_number = 'INV-2';
        select invoice_sync.undo(max(run_id)) from invoice_sync.change",
    );
    for look in LOOKS {
        pair.look(look);
        assert_eq!(
            books(&mut pair),
            [
                "INV-1 Sent 0".to_owned(),
                "INV-2 Sent 0".to_owned(),
                format!("repair_undone {intent}: INV-1"),
            ],
            "{look:?}"
        );
    }
}

#[test]
fn a_delivery_that_comes_again_opens_nothing_anew() {
    let mut pair = Pair::open();
    pair.book_both(["both", "both"]);
    for event in pair.shop.stripe.events() {
        deliver(&mut pair.shop.db, &event.to_string()).expect("it is taken");
    }
    pair.look(Look::RunSweep);
    assert_eq!(pair.reported(), [pair.both()]);
    assert_eq!(pair.issues(), Some("1".into()));
}

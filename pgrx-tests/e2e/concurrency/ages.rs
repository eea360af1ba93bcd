//! An answer that was requested before a newer one was applied changes nothing.

use serde_json::json;
use stripe_double::{Action, Dispute, Fault, Refund};

use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::server::attempt;
use crate::harness::{Shop, wait_until};

/// Who waits for the answer that comes late.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asker {
    Sweep,
    Button,
    Backfill,
}

use Asker::{Backfill, Button, Sweep};

/// By whom the newer state comes meanwhile.
#[derive(Clone, Copy, Debug)]
enum News {
    Webhook,
    Button,
}

impl Asker {
    fn call(self, sale: &Sale) -> String {
        match self {
            Sweep => "call invoice_sync.run_sweep()".to_owned(),
            Button => format!("select {}", sale.sync()),
            Backfill => "call invoice_sync.backfill(now() - interval '1 day')".to_owned(),
        }
    }
}

/// `payment invoice issues`, as they are in the books.
fn state(shop: &mut Shop) -> String {
    let rows = shop.text(
        "select concat_ws(' ', string_agg(p.payment_status, ','), i.invoice_status)
        from invoices i left join payments p on p.invoice_id = i.id group by i.id",
    );
    format!(
        "{} {}",
        rows.unwrap_or_default(),
        shop.open_issues().join(",")
    )
}

/// The events that nobody has delivered yet.
fn deliver_news(shop: &mut Shop, delivered: usize) {
    for event in shop.stripe.events().iter().skip(delivered) {
        deliver(&mut shop.db, &event.to_string()).expect("it is taken");
    }
}

/// Something happens while an answer is held back that was made before: `wanted` is what
/// the books say then, and for good.
fn late(
    asker: Asker,
    news: News,
    held: &str,
    before: impl FnOnce(&mut Shop, &Sale),
    happens: impl FnOnce(&mut Shop, &Sale),
    wanted: &str,
) {
    let what = format!("{asker:?} against {news:?}");
    let mut shop = Shop::with_webhooks();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    before(&mut shop, &sale);
    let delivered = shop.stripe.events().len();
    shop.make_all_due();
    let mut session = shop.connect();
    shop.stripe.fault(Fault::new(Action::Hold).on_path(held));
    let call = asker.call(&sale);
    std::thread::scope(|scope| {
        let asking = scope.spawn(move || attempt(&mut session, &call));
        let stripe = &shop.stripe;
        wait_until("an answer is held back", || {
            stripe.held() > 0 || asking.is_finished()
        });
        assert_eq!(shop.stripe.held(), 1, "{what}: it has asked");
        happens(&mut shop, &sale);
        match news {
            News::Webhook => deliver_news(&mut shop, delivered),
            News::Button => drop(shop.sync(&sale.invoice)),
        }
        assert_eq!(state(&mut shop), wanted, "{what}: the news is acted on");
        shop.stripe.release_held();
        asking.join().expect("no panic").expect("it ends");
    });
    assert_eq!(state(&mut shop), wanted, "{what}: the old answer came");
    shop.execute("update invoice_sync.event set next_attempt_at = now() where state = 'pending'");
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(state(&mut shop), wanted, "{what}: it was asked again");
    shop.stripe.reset_requests();
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(
        shop.stripe.count_of("/v1/"),
        1,
        "{what}: nothing is left to ask"
    );
}

/// A refund that fails, or a dispute that is won, while the delivery that brought it has not committed: who asks then
/// finds nothing to do in the rows that it sees, and must not forget what the other one wrote.
#[test]
fn an_answer_on_which_nothing_is_to_be_done_takes_back_nothing_that_was_recorded_meanwhile() {
    for (asker, is_dispute) in [Sweep, Button, Backfill]
        .map(|it| [(it, false), (it, true)])
        .concat()
    {
        let mut shop = Shop::with_webhooks();
        let sale = Sale::unbooked(&mut shop, "INV-1");
        shop.sync(&sale.invoice);
        let (kind, object) = if is_dispute {
            let dispute = Dispute::new("needs_response");
            (
                "charge.dispute.created",
                shop.stripe.dispute(&sale.intent, dispute),
            )
        } else {
            (
                "charge.refunded",
                shop.stripe.refund(&sale.intent, Refund::whole()),
            )
        };
        let events = shop.stripe.events();
        let event = events.iter().rfind(|it| it["type"] == kind);
        let event = event.expect("Stripe tells of it").to_string();
        shop.make_all_due();
        let mut webhook = shop.connect();
        webhook.batch_execute("begin").expect("it begins");
        deliver(&mut webhook, &event).expect("it is taken");
        if is_dispute {
            shop.stripe.update_dispute(&object, "won");
        } else {
            shop.stripe.update_refund(&object, "failed");
        }

        let mut session = shop.connect();
        let call = asker.call(&sale);
        std::thread::scope(|scope| {
            let asking = scope.spawn(move || attempt(&mut session, &call));
            wait_until("it waits for the delivery", || {
                let waits = "select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'";
                shop.text(waits).as_deref() != Some("0") || asking.is_finished()
            });
            webhook.batch_execute("commit").expect("it commits");
            asking.join().expect("no panic").expect("it ends");
        });
        shop.execute(
            "update invoice_sync.event set next_attempt_at = now() where state = 'pending'",
        );
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(state(&mut shop), "Paid Paid ", "{asker:?}, {kind}");
    }
}

const SESSIONS: &str = "/v1/checkout/sessions";

/// Of a sweep and a button alike; a backfill asks for lists, the same paths.
const LATE: [(Asker, News); 5] = [
    (Sweep, News::Webhook),
    (Button, News::Webhook),
    (Backfill, News::Webhook),
    (Sweep, News::Button),
    (Backfill, News::Button),
];

/// The refund's event names no session.
fn store_the_intent(shop: &mut Shop, sale: &Sale) {
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{}'",
        sale.intent
    ));
}

fn book(shop: &mut Shop, sale: &Sale) {
    shop.sync(&sale.invoice);
}

#[test]
fn a_refund_is_not_undone_by_an_answer_from_before_it() {
    for (asker, news) in LATE {
        let refund = |shop: &mut Shop, sale: &Sale| {
            shop.stripe.refund(&sale.intent, Refund::whole());
        };
        let wanted = "Refunded Sent refunded INV-1";
        late(asker, news, SESSIONS, store_the_intent, refund, wanted);
    }
}

#[test]
fn a_refund_that_failed_does_not_come_back_by_an_answer_from_before() {
    for (asker, news) in LATE {
        let before = |shop: &mut Shop, sale: &Sale| {
            book(shop, sale);
            shop.stripe.refund(&sale.intent, Refund::whole());
            book(shop, sale);
            assert_eq!(state(shop), "Refunded Paid refunded INV-1");
        };
        let fail = |shop: &mut Shop, _: &Sale| {
            let refund = the(shop, "refund");
            shop.stripe.update_refund(&refund, "failed");
        };
        late(asker, news, SESSIONS, before, fail, "Paid Paid ");
    }
}

/// The one object of this type that Stripe has reported.
fn the(shop: &Shop, object: &str) -> String {
    let events = shop.stripe.events();
    let mut objects = events.iter().map(|event| &event["data"]["object"]);
    let found = objects.find(|it| it["object"] == json!(object));
    let id = found.and_then(|it| it["id"].as_str());
    id.expect("there is one").to_owned()
}

#[test]
fn a_dispute_that_was_won_is_not_open_again_by_an_answer_from_before() {
    for (asker, news) in LATE {
        let before = |shop: &mut Shop, sale: &Sale| {
            book(shop, sale);
            shop.stripe
                .dispute(&sale.intent, Dispute::new("needs_response"));
            book(shop, sale);
            assert_eq!(state(shop), "Disputed Paid disputed INV-1");
        };
        let win = |shop: &mut Shop, _: &Sale| {
            let dispute = the(shop, "dispute");
            shop.stripe.update_dispute(&dispute, "won");
        };
        late(asker, news, "/v1/disputes", before, win, "Paid Paid ");
    }
}

#[test]
fn a_dispute_is_not_over_by_an_answer_from_before_it() {
    for (asker, news) in [(Button, News::Webhook), (Backfill, News::Webhook)] {
        let dispute = |shop: &mut Shop, sale: &Sale| {
            shop.stripe
                .dispute(&sale.intent, Dispute::new("needs_response"));
            let dispute = the(shop, "dispute");
            shop.stripe.update_dispute(&dispute, "lost");
        };
        let wanted = "Disputed Paid disputed INV-1";
        late(asker, news, SESSIONS, book, dispute, wanted);
    }
}

/// Booked, refunded, and the refund failed.
fn failed_refund(shop: &mut Shop) -> Sale {
    let sale = Sale::unbooked(shop, "INV-1");
    book(shop, &sale);
    let refund = shop.stripe.refund(&sale.intent, Refund::whole());
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(state(shop), "Refunded Paid refunded INV-1");
    shop.stripe.update_refund(&refund, "failed");
    sale
}

fn nothing_is_left(shop: &mut Shop) {
    assert_eq!(state(shop), "Paid Paid ");
    shop.execute("update invoice_sync.event set next_attempt_at = now() where state = 'pending'");
    shop.execute("call invoice_sync.run_sweep()");
    shop.execute("call invoice_sync.run_sweep()");
    shop.stripe.reset_requests();
    shop.execute("call invoice_sync.run_sweep()");
    assert_eq!(shop.stripe.count_of("/v1/"), 1);
    assert_eq!(state(shop), "Paid Paid ");
}

#[test]
fn a_refund_that_failed_is_not_forgotten_while_somebody_has_the_row() {
    for later in ["sweep", "due check", "button"] {
        let mut shop = Shop::open();
        let sale = failed_refund(&mut shop);
        let mut other = shop.connect();
        attempt(&mut other, "begin; select from invoices for update").expect("it locks");
        shop.execute("set lock_timeout = '50ms'");
        match later {
            "due check" => drop(shop.sync(&sale.invoice)),
            _ => shop.execute("call invoice_sync.run_sweep()"),
        }
        attempt(&mut other, "commit").expect("it ends");
        assert_eq!(state(&mut shop), "Refunded Paid refunded INV-1", "{later}");
        if later == "button" {
            book(&mut shop, &sale);
        } else {
            let due =
                "update invoice_sync.event set next_attempt_at = now() where state = 'pending'";
            shop.execute(due);
            shop.execute("call invoice_sync.run_sweep()");
        }
        nothing_is_left(&mut shop);
    }
}

#[test]
fn a_refund_that_failed_is_not_forgotten_while_another_invoice_is_reported_it() {
    let mut shop = Shop::open();
    let sale = failed_refund(&mut shop);
    shop.execute(&format!(
        "update invoices set stripe_payment_intent = '{intent}';
        insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_payment_intent)
        values ('INV-2', 'Bob', 'Sent', 100, '{intent}')",
        intent = sale.intent
    ));
    let other = shop.text("select id from invoices where invoice_number = 'INV-2'");
    shop.sync(&other.expect("it is there"));
    shop.sync(&sale.invoice);
    let status = shop.text("select payment_status from payments");
    assert_eq!(status.as_deref(), Some("Paid"));
}

#[test]
fn a_refund_that_failed_is_not_forgotten_where_one_answer_is_for_two_invoices() {
    for ids in ["00000000", "ffffffff"] {
        let mut shop = Shop::open();
        let sale = failed_refund(&mut shop);
        shop.execute(&format!(
            "insert into invoices (id, invoice_number, customer, invoice_status, total_amount, stripe_payment_intent)
            values ('{ids}-0000-4000-8000-000000000000', 'INV-2', 'Bob', 'Sent', 100, '{}')",
            sale.intent
        ));
        shop.execute("call invoice_sync.run_sweep()");
        let told = "Paid Paid unlinked_payment INV-2";
        let books = shop.text(
            "select concat_ws(' ', p.payment_status, i.invoice_status)
            from payments p join invoices i on i.id = p.invoice_id",
        );
        let issues = shop.open_issues().join(",");
        assert_eq!(format!("{} {issues}", books.unwrap_or_default()), told);
        let waiting = "select count(*) from invoice_sync.event where state = 'pending'";
        assert_eq!(shop.text(waiting).as_deref(), Some("0"), "all was acted on");
    }
}

#[test]
fn a_refund_that_failed_is_not_forgotten_while_a_trigger_is_in_the_way() {
    for body in [
        "raise exception 'not now'",
        "new.payment_status := old.payment_status; return new",
    ] {
        let mut shop = Shop::open();
        let sale = failed_refund(&mut shop);
        shop.execute(&format!(
            "create function keep() returns trigger language plpgsql as $$ begin {body}; end $$;
            create trigger keep before update on payments for each row execute function keep()"
        ));
        book(&mut shop, &sale);
        shop.execute("drop trigger keep on payments");
        book(&mut shop, &sale);
        nothing_is_left(&mut shop);
    }
}

#[test]
fn a_refund_that_failed_is_not_forgotten_by_an_undo() {
    let mut shop = Shop::open();
    let sale = failed_refund(&mut shop);
    let run = shop.sync(&sale.invoice)["runId"].to_string();
    shop.json(&format!("invoice_sync.undo({run})"));
    let undone = state(&mut shop);
    assert!(undone.starts_with("Refunded Paid"), "{undone}");
    let issue = shop.text("select id from invoice_sync.open_issues where kind = 'repair_undone'");
    let issue = issue.expect("it is held back");
    shop.json(&format!(
        "invoice_sync.resolve_issue({issue}, 'repair_again')"
    ));
    nothing_is_left(&mut shop);
}

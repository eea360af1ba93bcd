//! How each kind of issue is opened, and how it is resolved automatically.

use serde_json::json;
use stripe_double::{Checkout, Dispute, Refund};

use super::{latest, look};
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// One kind's story. What `begins` arranges the next sweep finds; after `ends`
/// the next sweep finds that it is over.
pub struct Story {
    pub kind: &'static str,
    pub begins: fn(&mut Shop),
    pub ends: fn(&mut Shop),
}

/// `INV-1` over 100: its status, the amount it says was paid, and the session it stores.
fn invoice(shop: &mut Shop, status: &str, paid: &str, session: &str) {
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, balance_due, stripe_session_id)
        values ('INV-1', 'Ada', '{status}', 100, {paid}, 100 - {paid}, nullif('{session}', ''))"
    ));
}

/// A payment row of the latest invoice.
fn row(shop: &mut Shop, amount: &str, session: &str) {
    shop.execute(&format!(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_session_id)
        select id, 'by hand', 'Paid', {amount}, nullif('{session}', '') from invoices"
    ));
}

/// 100 USD, paid in Stripe.
fn paid(shop: &mut Shop) -> String {
    shop.stripe
        .checkout(Checkout::new(10_000, "usd"))
        .pay()
        .session_id()
}

fn booked(shop: &mut Shop) {
    Sale::unbooked(shop, "INV-1");
    shop.sweep();
}

fn stored(shop: &mut Shop, column: &str) -> String {
    shop.text(&format!("select {column} from invoices"))
        .expect("it is stored")
}

fn refund_fails(shop: &mut Shop) {
    let id = shop
        .text("select note from notes")
        .expect("a refund was noted");
    shop.stripe.update_refund(&id, "failed");
}

fn refunded(shop: &mut Shop, refund: Refund) {
    booked(shop);
    let session = stored(shop, "stripe_session_id");
    let id = shop.stripe.purchase(session).refund(refund);
    shop.execute(&format!(
        "create table notes as select '{id}'::text as note"
    ));
}

/// A trigger of the host's on a table.
fn trigger(shop: &mut Shop, body: &str, when: &str) {
    shop.execute(&format!(
        "create function meddle() returns trigger language plpgsql as $$ begin {body} return new; end $$;
        create trigger meddle {when} for each row execute function meddle()"
    ));
}

pub fn stories() -> Vec<Story> {
    let mut stories = about_the_rows();
    stories.extend(about_stripe());
    stories.extend(about_the_machine());
    stories
}

fn about_the_rows() -> Vec<Story> {
    vec![
        Story {
            kind: "paid_without_payment",
            begins: |shop| invoice(shop, "Paid", "100", ""),
            ends: |shop| row(shop, "100", ""),
        },
        Story {
            kind: "amount_mismatch",
            begins: |shop| {
                invoice(shop, "Paid", "100", "");
                row(shop, "60", "");
            },
            ends: |shop| row(shop, "40", ""),
        },
        Story {
            kind: "overpaid",
            begins: |shop| {
                invoice(shop, "Sent", "0", "");
                row(shop, "130", "");
            },
            ends: |shop| shop.execute("update invoices set total_amount = 130"),
        },
        Story {
            kind: "duplicate_payment",
            begins: |shop| {
                let session = paid(shop);
                invoice(shop, "Paid", "100", &session);
                row(shop, "100", &session);
                row(shop, "100", &session);
            },
            ends: |shop| {
                shop.execute("delete from payments where id = (select id from payments limit 1)");
            },
        },
        Story {
            kind: "possible_duplicate",
            begins: |shop| {
                let session = paid(shop);
                invoice(shop, "Sent", "0", &session);
                row(shop, "100", "");
            },
            ends: |shop| {
                shop.execute(
                    "update payments p set stripe_session_id = i.stripe_session_id from invoices i",
                );
            },
        },
    ]
}

fn about_stripe() -> Vec<Story> {
    vec![
        Story {
            kind: "currency_mismatch",
            begins: |shop| {
                let session = paid(shop);
                invoice(shop, "Sent", "0", &session);
                shop.execute("update invoices set currency = 'eur'");
            },
            ends: |shop| shop.execute("update invoices set currency = 'usd'"),
        },
        Story {
            kind: "stripe_object_missing",
            begins: |shop| invoice(shop, "Sent", "0", "cs_test_a1never"),
            ends: |shop| shop.execute("update invoices set stripe_session_id = null"),
        },
        Story {
            kind: "livemode_mismatch",
            begins: |shop| {
                let live = Checkout::new(10_000, "usd").live();
                let session = shop.stripe.checkout(live).pay().session_id();
                invoice(shop, "Sent", "0", &session);
            },
            ends: |shop| shop.execute("update invoices set stripe_session_id = null"),
        },
        Story {
            kind: "unknown_status",
            begins: |shop| {
                let sale = Sale::unbooked(shop, "INV-1");
                shop.stripe.set(&sale.intent, "status", "teleported");
                shop.execute(&format!(
                    "update invoices set stripe_payment_intent = '{}'",
                    sale.intent
                ));
            },
            ends: |shop| {
                let intent = stored(shop, "stripe_payment_intent");
                shop.stripe.set(&intent, "status", "succeeded");
            },
        },
        Story {
            kind: "refunded",
            begins: |shop| refunded(shop, Refund::whole()),
            ends: refund_fails,
        },
        Story {
            kind: "partially_refunded",
            begins: |shop| refunded(shop, Refund::of(4_000)),
            ends: refund_fails,
        },
        Story {
            kind: "disputed",
            begins: |shop| {
                booked(shop);
                let session = stored(shop, "stripe_session_id");
                let id = shop.stripe.purchase(session).dispute(Dispute::new("lost"));
                shop.execute(&format!(
                    "create table notes as select '{id}'::text as note"
                ));
            },
            ends: |shop| {
                let id = shop.text("select note from notes").expect("the dispute");
                shop.stripe.update_dispute(&id, "won");
            },
        },
        Story {
            kind: "unlinked_payment",
            begins: |shop| {
                let other = Checkout::new(10_000, "usd").metadata("invoice_id", "no such");
                let session = shop.stripe.checkout(other).pay().session_id();
                invoice(shop, "Sent", "0", &session);
            },
            ends: |shop| shop.execute("update invoices set invoice_number = 'no such'"),
        },
    ]
}

fn about_the_machine() -> Vec<Story> {
    vec![
        Story {
            kind: "apply_failed",
            begins: |shop| {
                Sale::unbooked(shop, "INV-1");
                trigger(
                    shop,
                    "raise exception 'closed at %', clock_timestamp();",
                    "before insert on payments",
                );
            },
            ends: |shop| shop.execute("drop trigger meddle on payments"),
        },
        Story {
            kind: "overridden_by_trigger",
            begins: |shop| {
                Sale::unbooked(shop, "INV-1");
                trigger(
                    shop,
                    "new.invoice_status := old.invoice_status;",
                    "before update on invoices",
                );
            },
            ends: |shop| {
                shop.execute(
                    "drop trigger meddle on invoices;
                    update invoices set invoice_status = 'Paid', paid_date = now()",
                );
            },
        },
        Story {
            kind: "repair_undone",
            begins: |shop| {
                booked(shop);
                shop.execute("select invoice_sync.undo(max(id)) from invoice_sync.run");
            },
            ends: |shop| {
                let session = stored(shop, "stripe_session_id");
                row(shop, "100", &session);
                shop.execute(
                    "update invoices set invoice_status = 'Paid', amount_paid = 100, balance_due = 0, paid_date = now()",
                );
            },
        },
        Story {
            kind: "event_failing",
            begins: |shop| {
                Sale::unbooked(shop, "INV-1");
                trigger(
                    shop,
                    "raise exception 'closed';",
                    "before insert on payments",
                );
                while latest(shop, "event_failing").is_none() {
                    look(shop);
                }
            },
            ends: |shop| shop.execute("drop trigger meddle on payments"),
        },
        Story {
            kind: "stripe_unreachable",
            begins: |shop| {
                invoice(shop, "Sent", "0", "cs_test_a1any");
                shop.configure("stripe_api_base", "http://127.0.0.1:9");
            },
            ends: |shop| {
                let base = shop.stripe.url();
                shop.configure("stripe_api_base", &base);
            },
        },
        Story {
            kind: "misconfigured",
            begins: |shop| {
                shop.execute("alter table invoices rename column balance_due to open_amount");
            },
            ends: |shop| {
                shop.execute("alter table invoices rename column open_amount to balance_due");
            },
        },
        Story {
            kind: "webhooks_failing",
            begins: |shop| {
                Sale::many(shop, 4);
                shop.sweep();
                shop.execute(
                    "update invoice_sync.event set created = now() - interval '1 hour';
                    update invoice_sync.event set created = now() - interval '3 days', webhook_at = now() - interval '3 days'
                    where id = (select min(id) from invoice_sync.event)",
                );
            },
            ends: |shop| shop.execute("update invoice_sync.event set webhook_at = now()"),
        },
    ]
}

/// The story of a kind.
pub fn story(kind: &str) -> Story {
    stories()
        .into_iter()
        .find(|story| story.kind == kind)
        .unwrap_or_else(|| panic!("there is no story of {kind}: tell one in stories.rs"))
}

#[test]
fn every_kind_is_raised_once_refreshed_and_resolved_when_the_facts_agree() {
    let mut shop = Shop::open();
    let kinds = shop.texts("select distinct kind from invoice_sync.issue_kinds() order by 1");
    assert_eq!(kinds.len(), stories().len(), "{kinds:?}");
    for kind in kinds.into_iter().flatten() {
        let story = story(&kind);
        let mut shop = Shop::open();
        (story.begins)(&mut shop);

        look(&mut shop);
        let raised = latest(&mut shop, &kind).unwrap_or_else(|| panic!("{kind}: it is raised"));
        assert_eq!(raised.state, "open", "{kind}");

        look(&mut shop);
        look(&mut shop);
        let count = shop.json(&format!(
            "to_jsonb(count(*)) from invoice_sync.issue where kind = '{kind}'"
        ));
        assert_eq!(count, json!(1), "{kind}: reported once");
        let seen = latest(&mut shop, &kind).map_or(0, |issue| issue.times_seen);
        assert!(
            seen >= raised.times_seen + 2,
            "{kind}: refreshed by each sweep: {seen}"
        );

        (story.ends)(&mut shop);
        look(&mut shop);
        let over = latest(&mut shop, &kind).expect("it stays on record");
        assert_eq!(
            (over.id, over.state.as_str()),
            (raised.id, "resolved"),
            "{kind}"
        );
        assert_eq!(over.resolution, None, "{kind}: by itself");
    }
}

#[test]
fn summaries_are_sentences_for_people() {
    for story in stories() {
        let mut shop = Shop::open();
        if ["stripe_unreachable", "misconfigured"].contains(&story.kind) {
            shop.not_at_rest("what keeps sweeps from asking Stripe does not end");
        }
        (story.begins)(&mut shop);
        look(&mut shop);
        let summary = shop
            .text(&format!(
                "select summary from invoice_sync.open_issues where kind = '{}'",
                story.kind
            ))
            .unwrap_or_else(|| panic!("{}: it is raised", story.kind));
        assert!(summary.ends_with('.'), "{}: {summary}", story.kind);
        assert!(
            summary.contains("INV-1") || summary.starts_with("Stripe "),
            "{}: {summary}",
            story.kind
        );
        let machine_words = ["null", "{", "SQLSTATE", "row_id", "None", "Some("];
        let machine = machine_words.iter().find(|word| summary.contains(**word));
        assert_eq!(machine, None, "{}: {summary}", story.kind);
    }
}

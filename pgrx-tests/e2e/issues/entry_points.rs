//! Each kind of issue by each entry point: unchanged facts are one issue, reported once; facts that are gone resolve it
//! by an entry point that checks them, and by no other.

use serde_json::Value;
use stripe_double::Intent;

use super::look;
use super::stories::story;
use crate::harness::Shop;
use crate::harness::sender::deliver;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryPoint {
    RunSweep,
    Sweep,
    Button,
    Backfill,
    /// About another payment of the same invoice, of which nothing was received.
    Webhook,
}

use EntryPoint::*;

const ALL: [EntryPoint; 5] = [RunSweep, Sweep, Button, Backfill, Webhook];

/// By which entry points a kind ends.
type Ends = &'static [EntryPoint];

/// Its rows tell: whoever looks at the invoice.
const ROWS: Ends = &[RunSweep, Sweep, Button, Webhook];
/// What Stripe says of the payment: whoever asks about it.
const PAYMENT: Ends = &[RunSweep, Sweep, Button, Backfill];
/// The rows of an invoice whose payment a list has.
const LISTED_ROWS: Ends = &ALL;
/// An id that no list has.
const UNLISTED: Ends = &[RunSweep, Sweep, Button];
/// What no invoice has to do with.
const SWEEPS: Ends = &[RunSweep, Sweep];

const KINDS: [(&str, Ends); 20] = [
    ("amount_mismatch", ROWS),
    ("apply_failed", PAYMENT),
    ("currency_mismatch", PAYMENT),
    ("disputed", PAYMENT),
    ("duplicate_payment", LISTED_ROWS),
    ("event_failing", PAYMENT),
    ("livemode_mismatch", UNLISTED),
    ("misconfigured", SWEEPS),
    ("overpaid", ROWS),
    ("overridden_by_trigger", LISTED_ROWS),
    ("paid_without_payment", ROWS),
    ("partially_refunded", PAYMENT),
    ("possible_duplicate", PAYMENT),
    ("refunded", PAYMENT),
    ("repair_undone", PAYMENT),
    ("stripe_object_missing", UNLISTED),
    ("stripe_unreachable", SWEEPS),
    ("unknown_status", PAYMENT),
    ("unlinked_payment", PAYMENT),
    ("webhooks_failing", SWEEPS),
];

impl EntryPoint {
    /// Whatever comes of it: some kinds are about that it fails.
    fn pass(self, shop: &mut Shop) {
        let statement = match self {
            RunSweep | Sweep => {
                shop.make_all_due();
                shop.execute(
                    "update invoice_sync.event set next_attempt_at = '-infinity' where state = 'pending'",
                );
                match self {
                    Sweep => "select invoice_sync.sweep()",
                    _ => "call invoice_sync.run_sweep()",
                }
            }
            Button => {
                "select invoice_sync.sync_invoice(id) from invoices where invoice_number in ('INV-1', 'no such')"
            }
            Backfill => "call invoice_sync.backfill(now() - interval '1 day')",
            Webhook => return deliver_another(shop),
        };
        let _ = shop.db.batch_execute(statement);
    }
}

fn deliver_another(shop: &mut Shop) {
    let invoice = shop.text("select id from invoices order by invoice_number desc limit 1");
    let named = Intent::new(500, "usd").metadata("invoice_id", invoice.unwrap_or_default());
    shop.stripe.intent(named).fail();
    let events = shop.stripe.events().into_iter();
    let failed = |event: &Value| event["type"] == "payment_intent.payment_failed";
    let mut failed: Vec<Value> = events.filter(failed).collect();
    failed.sort_by_key(|event| event["created"].as_i64());
    for event in failed {
        deliver(&mut shop.db, &event.to_string()).expect("it is taken in");
    }
}

/// Every issue of the kind that there ever was: number, state, facts, and how often people
/// were reported.
fn all_of(shop: &mut Shop, kind: &str) -> Vec<String> {
    let statement = format!(
        "select format('%s %s %s reported %s', x.id, x.state, invoice_sync.facts_that_matter(x.evidence),
            (select count(*) from invoice_sync.alert_issue t where t.issue_id = x.id))
        from invoice_sync.issue x where x.kind = '{kind}' order by x.id"
    );
    shop.texts(&statement).into_iter().flatten().collect()
}

fn is_open(shop: &mut Shop, kind: &str) -> bool {
    let count = format!("select count(*) from invoice_sync.open_issues where kind = '{kind}'");
    shop.text(&count).as_deref() != Some("0")
}

fn begun(kind: &str) -> Shop {
    let mut shop = Shop::with_webhooks();
    (story(kind).begins)(&mut shop);
    look(&mut shop);
    assert!(is_open(&mut shop, kind), "{kind}");
    shop
}

fn tell(kind: &str, ends: Ends) {
    let mut shop = begun(kind);
    let reported = all_of(&mut shop, kind);
    assert_eq!(reported.len(), 1, "{reported:?}");
    // Of these any delivery is news.
    let unchanged =
        |entry_point: &&EntryPoint| !(kind == "webhooks_failing" && **entry_point == Webhook);
    for entry_point in ALL.iter().chain(&ALL).filter(unchanged) {
        entry_point.pass(&mut shop);
        assert_eq!(
            all_of(&mut shop, kind),
            reported,
            "{kind} by {entry_point:?}"
        );
    }

    (story(kind).ends)(&mut shop);
    for entry_point in ALL.iter().filter(|entry_point| !ends.contains(entry_point)) {
        entry_point.pass(&mut shop);
        assert!(is_open(&mut shop, kind), "{kind} by {entry_point:?}");
    }
    for entry_point in [Sweep, Button, Webhook] {
        if ends.contains(&entry_point) {
            shop.execute("begin");
            entry_point.pass(&mut shop);
            assert!(!is_open(&mut shop, kind), "{kind} by {entry_point:?}");
            shop.execute("rollback");
        }
    }
    // These two commit.
    if ends.contains(&Backfill) {
        Backfill.pass(&mut shop);
        assert!(!is_open(&mut shop, kind), "{kind} by Backfill");
        shop = begun(kind);
        (story(kind).ends)(&mut shop);
    }
    RunSweep.pass(&mut shop);
    assert!(!is_open(&mut shop, kind), "{kind} by RunSweep");
    let after = all_of(&mut shop, kind);
    assert_eq!(after.len(), 1, "{after:?}");
}

/// A part of the table, for tests that run side by side.
fn tell_every_fourth(first: usize) {
    for (kind, ends) in KINDS.iter().skip(first).step_by(4) {
        tell(kind, ends);
    }
}

#[test]
fn there_is_a_line_for_each_kind() {
    let mut shop = Shop::open();
    let kinds = shop.texts("select distinct kind from invoice_sync.issue_kinds() order by 1");
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    assert_eq!(kinds, KINDS.map(|(kind, _)| kind));
}

#[test]
fn each_kind_is_reported_once_and_ends_by_the_entry_points_that_look_a() {
    tell_every_fourth(0);
}

#[test]
fn each_kind_is_reported_once_and_ends_by_the_entry_points_that_look_b() {
    tell_every_fourth(1);
}

#[test]
fn each_kind_is_reported_once_and_ends_by_the_entry_points_that_look_c() {
    tell_every_fourth(2);
}

#[test]
fn each_kind_is_reported_once_and_ends_by_the_entry_points_that_look_d() {
    tell_every_fourth(3);
}

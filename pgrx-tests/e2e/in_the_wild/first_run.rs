//! The first runs after an install look back by themselves.

use stripe_double::{Checkout, Intent};

use super::case::{Scene, Unit};

const DAY: i64 = 24 * 60 * 60;
const RUN: &str = "call invoice_sync.run_sweep()";

/// Pays 100 so many days ago by a session that names INV-`number`, which stores no id. The feed has no event of it.
fn sell(scene: &mut Scene, number: u32, days: i64) {
    let now = scene.stripe().now();
    scene.stripe().set_clock(now - days * DAY);
    let sale = Checkout::new(10_000, "usd").metadata("invoice_id", format!("INV-{number}"));
    scene.stripe().checkout(sale).pay();
    scene.stripe().set_clock(now);
    scene.invoice(number, "Sent 100", None, None);
}

fn made_days_ago(scene: &mut Scene, number: u32, days: i64) {
    scene.shop.execute(&format!(
        "update invoices set created_at = now() - interval '{days} days' where invoice_number = 'INV-{number}'"
    ));
}

fn parts(scene: &mut Scene) -> Vec<String> {
    let parts = scene.shop.texts(
        "select concat_ws(' ', list, (extract(epoch from until - since) / 86400)::integer, share_done, first_look)
        from invoice_sync.progress",
    );
    parts.into_iter().flatten().collect()
}

#[test]
fn a_payment_of_twelve_days_ago_is_found_without_anybody_asking() {
    let mut scene = Scene::new(Unit::Major);
    sell(&mut scene, 1, 12);
    scene.shop.execute(RUN);
    assert_eq!(scene.books(), ["Paid 100.00 0.00", "Paid 100.00 0.00"]);
    assert_eq!(
        parts(&mut scene),
        [
            "checkout_sessions 31 1 t",
            "payment_intents 30 1 t",
            "charges 30 1 t"
        ]
    );
    assert_eq!(
        scene.shop.text("select concat_ws(' ', looked_back_to::date = current_date - 30, look_back_percent) from invoice_sync.status"),
        Some("t 100".into())
    );
    assert_eq!(
        scene
            .shop
            .text("select detail from invoice_sync.doctor() where \"check\" = 'first look back'"),
        scene
            .shop
            .text("select format('to %s: done', current_date - 30)")
    );
    scene.shop.stripe.reset_requests();
    scene.shop.execute(RUN);
    let requests = scene.shop.stripe.counts_by_path();
    assert_eq!(requests.values().sum::<usize>(), 1, "{requests:?}");
}

#[test]
fn it_goes_back_as_far_as_the_oldest_open_invoice_by_lists() {
    let mut scene = Scene::new(Unit::Major);
    for number in 1..=120 {
        sell(&mut scene, number, 200);
        made_days_ago(&mut scene, number, 201);
    }
    sell(&mut scene, 121, 400);
    scene.shop.execute(
        "update invoices set invoice_status = 'Cancelled', created_at = now() - interval '400 days'
        where invoice_number = 'INV-121'",
    );
    scene.shop.execute(RUN);
    assert_eq!(
        scene
            .shop
            .text("select count(*) from invoices where invoice_status = 'Paid'"),
        Some("120".into())
    );
    assert_eq!(
        parts(&mut scene),
        [
            "checkout_sessions 203 1 t",
            "payment_intents 202 1 t",
            "charges 202 1 t"
        ]
    );
    // The feed, two pages of sessions, two of intents, and two of charges.
    let requests = scene.shop.stripe.counts_by_path();
    assert_eq!(requests.values().sum::<usize>(), 7, "{requests:?}");
}

#[test]
fn where_nothing_is_open_nothing_is_read() {
    let mut scene = Scene::new(Unit::Major);
    let now = scene.stripe().now();
    scene.stripe().set_clock(now - 12 * DAY);
    scene.stripe().intent(Intent::new(10_000, "usd")).pay();
    scene.stripe().set_clock(now);
    scene.invoice(1, "Cancelled 100", None, None);
    scene.shop.execute(RUN);
    assert_eq!(parts(&mut scene), [] as [&str; 0]);
    let requests = scene.shop.stripe.counts_by_path();
    assert_eq!(requests.values().sum::<usize>(), 1, "{requests:?}");
    // An invoice that comes later is found by the feed.
    scene.invoice(2, "Sent 100", None, None);
    scene.shop.execute(RUN);
    assert_eq!(parts(&mut scene), [] as [&str; 0]);
}

#[test]
fn what_is_left_is_read_by_the_next_runs() {
    let mut scene = Scene::new(Unit::Major);
    sell(&mut scene, 1, 12);
    scene.stripe().fault(
        stripe_double::Fault::new(stripe_double::Action::Status(401))
            .on_path("/v1/payment_intents")
            .should_retry("false"),
    );
    scene.shop.execute(RUN);
    assert_eq!(
        scene
            .shop
            .text("select success from invoice_sync.recent_runs where kind = 'backfill'"),
        Some("false".into()),
        "the run says that Stripe refused"
    );
    assert_eq!(
        scene.books()[0],
        "Paid 100.00 0.00",
        "the list of sessions was read"
    );
    assert_eq!(
        scene
            .shop
            .text("select look_back_percent from invoice_sync.status"),
        Some("33".into())
    );
    assert_eq!(
        scene.shop.text("select (detail like '%: 33 % done%')::text from invoice_sync.doctor() where \"check\" = 'first look back'"),
        Some("true".into())
    );
    scene.shop.execute(RUN);
    assert_eq!(
        parts(&mut scene),
        [
            "checkout_sessions 31 1 t",
            "payment_intents 30 1 t",
            "charges 30 1 t"
        ]
    );
}

#[test]
fn tables_without_a_date_are_looked_back_for_ninety_days() {
    let mut scene = Scene::new(Unit::Major);
    sell(&mut scene, 1, 80);
    scene
        .shop
        .execute("alter table invoices drop column created_at");
    scene.shop.execute(RUN);
    assert_eq!(scene.books()[0], "Paid 100.00 0.00");
    assert_eq!(parts(&mut scene)[1], "payment_intents 90 1 t");
}

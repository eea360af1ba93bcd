//! How many statements a delivery takes: nothing is asked twice, and nothing of issues where there are none.

use serde_json::Value;

use crate::harness::Shop;
use crate::harness::sale::Sale;
use crate::harness::sender::deliver;
use crate::harness::server::Server;

#[test]
fn a_delivery_takes_few_statements() {
    let mut shop = Shop::with_webhooks();
    let booked_known_seen = [16, 8, 1];
    assert_eq!(fewest_statements(&mut shop, false), booked_known_seen);
    assert_eq!(
        shop.text("select string_agg(concat_ws(' ', kind, invoices_checked, invoices_fixed), ', ') from invoice_sync.recent_runs"),
        Some(["webhook 1 1"; 5].join(", ")),
        "what had nothing to do leaves no run"
    );
}

#[test]
fn of_what_stripe_has_just_said_nothing_is_asked_and_little_done() {
    let mut shop = Shop::with_webhooks();
    let booked_known_seen = [17, 3, 1];
    assert_eq!(fewest_statements(&mut shop, true), booked_known_seen);
}

/// The fewest statements of a delivery that books a payment, one that finds it booked, and one that was seen before.
fn fewest_statements(shop: &mut Shop, stripe_is_asked: bool) -> [usize; 3] {
    shop.execute(&format!(
        "update invoice_sync.settings set stripe_fetch_on_webhook = {stripe_is_asked}"
    ));
    let sales = ["INV-1", "INV-2", "INV-3", "INV-4", "INV-5"];
    let sales = sales.map(|number| Sale::named(shop, number));
    let (mut session, notices) = Server::main().connect_explained(shop.name());
    let events = shop.stripe.events();
    let event_of = |kind: &str, object: &str| {
        let mut events = events.iter();
        let event = events.find(|it| it["type"] == kind && it["data"]["object"]["id"] == object);
        event.expect("Stripe has it").to_string()
    };
    let mut fewest = [usize::MAX; 3];
    // The session of the first sale reads catalogs and settings, which it keeps until another test changes a role.
    for sale in &sales {
        let completed = event_of("checkout.session.completed", &sale.session);
        let succeeded = event_of("payment_intent.succeeded", &sale.intent);
        let deliveries = [&completed, &succeeded, &completed];
        for (event, fewest) in deliveries.into_iter().zip(&mut fewest) {
            notices.forget();
            deliver(&mut session, event).expect("it is received");
            *fewest = count(&notices.text()).min(*fewest);
        }
    }

    assert_eq!(
        shop.text("select count(*) from payments").as_deref(),
        Some("5")
    );
    assert_eq!(
        shop.text(
            "select count(*) from invoice_sync.event
            where state = 'done' and coalesce(session_id, intent_id, charge_id, result, snapshot::text) is null"
        )
        .as_deref(),
        Some("10"),
        "of what is done, little is kept"
    );
    fewest
}

#[test]
fn a_plan_made_for_an_empty_ledger_reads_as_little_of_a_larger_one() {
    let mut shop = Shop::with_webhooks();
    Sale::many(&mut shop, 30);
    let completed = |event: &Value| event["type"] == "checkout.session.completed";
    let events = shop.stripe.events().into_iter().filter(completed);
    let (mut session, notices) = Server::main().connect_explained(shop.name());

    for event in events {
        notices.forget();
        deliver(&mut session, &event.to_string()).expect("it is received");
    }

    let last = notices.text();
    let of_ledger = last.split("Query Text:");
    let of_ledger: Vec<&str> = of_ledger
        .filter(|it| it.contains("invoice_sync."))
        .collect();
    assert!(of_ledger.len() > 5, "{last}");
    for plan in of_ledger {
        let in_vain = plan.split("Rows Removed by Filter: ").skip(1);
        let mut in_vain = in_vain.filter_map(|it| it.lines().next()?.trim().parse::<usize>().ok());
        assert!(in_vain.all(|rows| rows <= 1), "{plan}");
    }
}

#[test]
fn a_session_keeps_its_connection_to_stripe() {
    let mut shop = Shop::with_webhooks();
    let sales = Sale::many(&mut shop, 3);
    let completed = |event: &Value| event["type"] == "checkout.session.completed";
    let events = shop.stripe.events().into_iter().filter(completed);
    let mut session = Server::main().connect(shop.name(), "postgres");
    let before = shop.stripe.connections();

    for event in events {
        deliver(&mut session, &event.to_string()).expect("it is received");
    }

    let paid = shop.text("select count(*) from invoices where invoice_status = 'Paid'");
    assert_eq!(paid, Some(sales.len().to_string()));
    assert_eq!(shop.stripe.connections() - before, 1);
}

/// The statements of this extension that were logged, without those of foreign keys and the call.
fn count(logged: &str) -> usize {
    logged
        .split("Query Text:")
        .skip(1)
        .filter(|it| !it.contains("FOR KEY SHARE") && !it.contains("_webhook("))
        .count()
}

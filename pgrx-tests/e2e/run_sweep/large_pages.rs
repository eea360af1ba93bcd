//! Pages of lists that are too large to be read, and a feed that cannot be read at all.

use stripe_double::{Action, Checkout, Fault};

use super::run;
use crate::harness::Shop;
use crate::harness::sale::Sale;

/// A body that no answer may have.
const TOO_LARGE: Action = Action::OversizedBody(5 * 1024 * 1024);

/// Sells to this many invoices, of which only Stripe's objects tell.
fn sell(shop: &mut Shop, sales: usize) {
    for number in 0..sales {
        let id = format!("7d8e6b50-0000-4000-8000-{number:012}");
        shop.execute(&format!(
            "insert into invoices (id, invoice_number, customer, invoice_status, total_amount)
            values ('{id}', 'INV-{number}', 'Customer', 'Sent', 100)"
        ));
        let sale = Checkout::new(10_000, "usd").metadata("invoice_id", id);
        shop.stripe.checkout(sale).pay();
    }
}

fn paid(shop: &mut Shop) -> Option<String> {
    shop.text("select count(*) from invoices where invoice_status = 'Paid'")
}

#[test]
fn a_feed_of_large_events_is_read_to_its_end() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    sell(&mut shop, 60);
    let large = Fault::new(TOO_LARGE).limit_above(25).always();
    shop.stripe.fault(large.on_path("/v1/events"));

    run(&mut shop.db);

    assert_eq!(paid(&mut shop).as_deref(), Some("60"));
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_backfill_with_pages_that_are_too_large_ends() {
    let mut shop = Shop::open();
    shop.skip_look_back();
    sell(&mut shop, 60);
    let large = Fault::new(TOO_LARGE).limit_above(25).always();
    shop.stripe.fault(large);

    shop.execute("call invoice_sync.backfill(now() - interval '1 day')");

    assert_eq!(paid(&mut shop).as_deref(), Some("60"));
    assert_eq!(
        shop.texts("select distinct share_done::text from invoice_sync.progress"),
        [Some("1".to_owned())]
    );
}

#[test]
fn what_is_due_is_asked_about_while_the_feed_cannot_be_read() {
    for action in [TOO_LARGE, Action::Html(200), Action::Status(400)] {
        let mut shop = Shop::open();
        Sale::unbooked(&mut shop, "INV-1");
        let broken = Fault::new(action.clone()).always();
        shop.stripe.fault(broken.on_path("/v1/events"));

        run(&mut shop.db);

        assert_eq!(paid(&mut shop).as_deref(), Some("1"), "{action:?}");
        assert_eq!(shop.open_issues(), ["stripe_unreachable -"], "{action:?}");
        shop.stripe.clear_faults();
        run(&mut shop.db);
        assert_eq!(shop.open_issues(), Vec::<String>::new(), "{action:?}");
    }
}

//! What the application's tables refuse is tried again from what is known, without a question to Stripe.

use stripe_double::Checkout;

use super::case::{Entry, Scene, Unit};

const REFUSED: u32 = 11;

/// Pays for as many invoices as [`REFUSED`]; the payments table refuses them all.
fn arrange(scene: &mut Scene) {
    for number in 1..=REFUSED {
        let sale = Checkout::new(10_000, "usd").metadata("invoice_id", Scene::key(number));
        let session = scene.stripe().checkout(sale).pay().session_id();
        scene.invoice(number, "Sent 100", Some(&session), None);
    }
    scene
        .shop
        .execute("alter table payments add constraint closed check (false)");
}

#[test]
fn refused_invoices_cost_no_request_and_are_booked_when_nothing_refuses_them() {
    for entry in Entry::ALL {
        let mut scene = Scene::new(Unit::Major);
        arrange(&mut scene);
        scene.enter(entry);
        for _ in 0..3 {
            scene.shop.sweep();
        }
        assert_eq!(
            scene.issues(),
            vec!["apply_failed"; REFUSED as usize],
            "{entry:?}"
        );
        for minutes in [0, 5, 60] {
            scene.shop.age(minutes * 60);
            scene.shop.stripe.reset_requests();
            scene.shop.sweep();
            let requests = scene.shop.stripe.counts_by_path();
            assert_eq!(
                requests.values().sum::<usize>(),
                1,
                "{entry:?}, {minutes} minutes later: {requests:?}"
            );
        }

        scene
            .shop
            .execute("alter table payments drop constraint closed");
        scene.shop.stripe.reset_requests();
        scene.shop.sweep();

        assert_eq!(scene.issues(), [] as [&str; 0], "{entry:?}");
        assert_eq!(
            scene.shop.text(
                "select concat_ws(' ', count(*), sum(total_amount)::numeric(8, 2),
                    (select count(*) from invoices where invoice_status = 'Paid'),
                    (select count(*) from invoice_sync.unwritten_answer))
                from payments"
            ),
            Some("11 1100.00 11 0".into()),
            "{entry:?}"
        );
        let requests = scene.shop.stripe.counts_by_path();
        assert_eq!(
            requests.values().sum::<usize>(),
            1,
            "{entry:?}: {requests:?}"
        );
    }
}

#[test]
fn news_about_a_refused_payment_is_asked_for_and_counts() {
    let mut scene = Scene::new(Unit::Major);
    arrange(&mut scene);
    scene.shop.sweep();
    let intent = scene
        .shop
        .text("select id from invoice_sync.unwritten_answer order by 1 limit 1")
        .expect("an answer is stored");
    scene
        .stripe()
        .refund(&intent, stripe_double::Refund::of(4_000));
    scene.shop.sweep();

    scene
        .shop
        .execute("alter table payments drop constraint closed");
    scene.shop.sweep();

    assert_eq!(
        scene.shop.text(
            "select string_agg(concat_ws(' ', n, status), ', ' order by status) from (
            select count(*) as n, invoice_status as status from invoices group by 2) t"
        ),
        Some("10 Paid, 1 Partial".into())
    );
    assert_eq!(scene.issues(), ["partially_refunded"]);
}

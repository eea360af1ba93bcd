//! Payments that name an invoice that is not the only one of that name.

use stripe_double::{Checkout, Intent};

use super::case::{Case, Entry, Scene, Unit};

/// Lets several invoices have one number, as those of two tenants.
fn share_a_number(scene: &mut Scene) {
    scene.shop.execute(
        "alter table invoices drop constraint invoices_invoice_number_key;
        update invoices set invoice_number = '2026-001'",
    );
}

fn sell(scene: &Scene, name: &str) -> String {
    let sale = Checkout::new(10_000, "usd").metadata("invoice_id", name);
    scene.stripe().checkout(sale).pay().session_id()
}

#[test]
fn what_names_two_invoices_is_booked_for_neither() {
    Case::new(
        "two invoices have the number that a payment names",
        |scene| {
            sell(scene, "2026-001");
            scene.invoice(1, "Sent 100", None, None);
            scene.invoice(2, "Sent 100", None, None);
            share_a_number(scene);
        },
        &["Sent 0.00 100.00", "Sent 0.00 100.00"],
    )
    .issues(&["unlinked_payment"])
    // Nothing of the invoices' own leads to it.
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "one invoice has the id, another the number that a payment names",
        |scene| {
            let intent = Intent::new(10_000, "usd").metadata("invoice_id", Scene::key(1));
            scene.stripe().intent(intent).pay();
            scene.invoice(1, "Sent 100", None, None);
            scene.invoice(2, "Sent 100", None, None);
            scene.shop.execute(&format!(
                "update invoices set invoice_number = '{}' where invoice_number = 'INV-2'",
                Scene::key(1)
            ));
        },
        &["Sent 0.00 100.00", "Sent 0.00 100.00"],
    )
    .issues(&["unlinked_payment"])
    .entries(&Entry::BY_METADATA)
    .check();
    Case::new(
        "session and intent name two invoices",
        |scene| {
            let sale = Checkout::new(10_000, "usd")
                .metadata("invoice_id", "INV-1")
                .intent_metadata("invoice_id", "INV-2");
            scene.stripe().checkout(sale).pay();
            scene.invoice(1, "Sent 100", None, None);
            scene.invoice(2, "Sent 100", None, None);
        },
        &["Sent 0.00 100.00", "Sent 0.00 100.00"],
    )
    .issues(&["unlinked_payment"])
    .entries(&Entry::BY_METADATA)
    // The session's event does not tell what its intent names.
    .not_by_events_alone()
    .check();
}

#[test]
fn what_stores_the_payments_id_goes_before_what_is_only_named() {
    Case::new(
        "two invoices have the number that a payment names, and one stores its session",
        |scene| {
            let session = sell(scene, "2026-001");
            scene.invoice(1, "Sent 100", None, None);
            scene.invoice(2, "Sent 100", Some(&session), None);
            share_a_number(scene);
        },
        &["Sent 0.00 100.00", "Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
    Case::new(
        "two invoices have the number that a payment names, and a pending row of one stores its session",
        |scene| {
            let session = sell(scene, "2026-001");
            scene.invoice(1, "Sent 100", None, None);
            scene.invoice(2, "Sent 100", None, None);
            scene.payment(2, "Pending 100", Some(&session), None);
            share_a_number(scene);
        },
        &["Sent 0.00 100.00", "Paid 100.00 0.00", "Paid 100.00 0.00"],
    )
    .check();
}

#[test]
fn the_issue_names_both_and_ends_when_one_is_renamed() {
    let mut scene = Scene::new(Unit::Major);
    sell(&scene, "2026-001");
    scene.invoice(1, "Sent 100", None, None);
    scene.invoice(2, "Sent 100", None, None);
    share_a_number(&mut scene);
    scene.shop.sweep();
    let told = "select evidence ->> 'invoices' from invoice_sync.open_issues";
    assert_eq!(
        scene.shop.texts(told),
        [Some(format!(
            "[\"{}\", \"{}\"]",
            Scene::key(1),
            Scene::key(2)
        ))]
    );
    let said = scene
        .shop
        .text("select summary from invoice_sync.open_issues")
        .expect("an issue has a summary");
    for key in [Scene::key(1), Scene::key(2)] {
        assert!(said.contains(&key), "{said}");
    }

    scene.shop.execute(&format!(
        "update invoices set invoice_number = '2026-002' where id = '{}'",
        Scene::key(1)
    ));
    scene.shop.sweep();

    assert_eq!(
        scene.books(),
        ["Paid 100.00 0.00", "Sent 0.00 100.00", "Paid 100.00 0.00"]
    );
    assert_eq!(scene.issues(), [] as [&str; 0]);
}

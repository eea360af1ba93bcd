//! The checks of `doctor()` of the API key, Stripe and the clock.

use stripe_double::{Action, Config, Double, Fault, Intent, Key};

use super::{bad, examine, find, look, mend};
use crate::harness::sale::Sale;
use crate::harness::{DEFAULT_TABLES, KEY, Shop};

/// What a key may lack: the check, and Stripe's name for the permission.
const PERMISSIONS: [(&str, &str); 5] = [
    ("Checkout Sessions", "rak_checkout_session_read"),
    ("PaymentIntents", "rak_payment_intent_read"),
    ("Charges", "rak_charge_read"),
    ("Disputes", "rak_dispute_read"),
    ("Events", "rak_event_read"),
];

#[test]
fn each_permission_that_a_restricted_key_lacks_is_named_in_stripes_words() {
    let restricted = |permission: &str| format!("rk_test_without_{permission}");
    let stripe = Double::start(Config {
        keys: PERMISSIONS
            .map(|(_, permission)| Key::new(restricted(permission)).without(permission))
            .into(),
        ..Config::default()
    })
    .expect("the stand-in starts");
    let mut shop = Shop::with(stripe, DEFAULT_TABLES);
    for (resource, permission) in PERMISSIONS {
        shop.use_key(&restricted(permission));
        shop.stripe.reset_requests();
        let checks = examine(&mut shop.db);
        let lacking: Vec<_> = checks
            .iter()
            .filter(|check| check.name.starts_with("Stripe") && !check.ok)
            .collect();
        assert_eq!(lacking.len(), 1, "{lacking:#?}");
        assert_eq!(lacking[0].name, format!("Stripe permission: {resource}"));
        assert!(lacking[0].detail.contains(permission), "{lacking:#?}");
        assert_eq!(shop.stripe.requests().len(), 7, "one for each resource");
    }
}

#[test]
fn what_is_lost_without_an_optional_permission_is_reported_and_is_no_failure() {
    for (resource, permission, loss) in [
        ("Invoices", "rak_invoice_read", "a subscription's session"),
        (
            "Balance transaction sources",
            "rak_balance_transaction_source_read",
            "the date of the charge",
        ),
    ] {
        let key = format!("rk_test_without_{permission}");
        let mut shop = Shop::open();
        let restricted = Key::new(&key).without(permission);
        shop.stripe.accept_key(restricted);
        shop.use_key(&key);
        shop.stripe.charge(Intent::new(10_000, "usd"));
        let name = format!("Stripe permission: {resource}");
        let check = look(&mut shop, &name);
        assert!(check.ok, "{check:?}");
        assert!(check.detail.contains(loss), "{check:?}");
        assert!(check.detail.contains(permission), "{check:?}");
        let hint = format!("edit the key, {resource}: Read");
        assert!(check.hint.contains(&hint), "{check:?}");

        shop.use_key(KEY);
        let check = look(&mut shop, &name);
        assert_eq!((check.ok, check.hint.as_str()), (true, ""), "{check:?}");
    }
}

#[test]
fn a_key_that_stripe_does_not_know_is_reported_and_permissions_are_not() {
    let mut shop = Shop::open();
    shop.use_key("sk_test_revoked");
    let checks = examine(&mut shop.db);
    let accepted = find(&checks, "Stripe accepts the key");
    assert!(!accepted.ok);
    assert!(accepted.detail.contains("Invalid API Key"), "{accepted:?}");
    assert!(!checks.iter().any(|check| check.name.contains("permission")));
}

#[test]
fn a_clock_that_differs_from_stripes_is_bad_either_way() {
    let mut shop = Shop::open();
    assert!(look(&mut shop, "clock").ok);
    for (seconds, direction) in [(200, "ahead of"), (-400, "behind")] {
        shop.stripe.advance_clock(seconds);
        let clock = look(&mut shop, "clock");
        assert!(!clock.ok, "{clock:?}");
        assert!(clock.detail.contains(direction), "{clock:?}");
    }
}

#[test]
fn a_stripe_that_cannot_be_reached_or_hangs_keeps_no_other_check_from_being_made() {
    let mut shop = Shop::open();
    let usual = examine(&mut shop.db);
    let others = |checks: &[super::Check]| -> Vec<String> {
        let others = checks.iter().map(|check| check.name.clone());
        others
            .filter(|name| !name.starts_with("Stripe") && name != "clock" && name != "mode")
            .collect()
    };
    let reachable = shop.stripe.url();

    shop.stripe.fault(Fault::new(Action::Hang).always());
    let checks = examine(&mut shop.db);
    assert_eq!(bad(&checks)[0], "Stripe reachable", "{checks:#?}");
    assert_eq!(others(&checks), others(&usual));

    shop.configure("stripe_api_base", "http://127.0.0.1:1");
    let checks = examine(&mut shop.db);
    let refused = find(&checks, "Stripe reachable");
    assert!(!refused.ok && refused.hint.contains("curl"), "{refused:?}");
    assert_eq!(others(&checks), others(&usual));

    shop.stripe.clear_faults();
    shop.configure("stripe_api_base", &reachable);
    assert!(look(&mut shop, "Stripe reachable").ok);
}

#[test]
fn one_list_that_hangs_is_reported_alone() {
    let mut shop = Shop::open();
    let hangs = Fault::new(Action::Hang).on_path("/v1/disputes").always();
    shop.stripe.fault(hangs);
    let checks = examine(&mut shop.db);
    assert!(find(&checks, "Stripe reachable").ok, "{checks:#?}");
    assert!(find(&checks, "Stripe permission: Charges").ok);
    assert!(!find(&checks, "Stripe permission: Disputes").ok);
}

#[test]
fn a_key_of_the_other_mode_than_the_invoices_is_reported() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 3);
    assert!(look(&mut shop, "mode").detail.contains("test key"));
    shop.use_key("sk_live_double");
    let mode = look(&mut shop, "mode");
    assert!(!mode.ok, "{mode:?}");
    assert!(
        mode.detail.contains("3 of the checked invoices"),
        "{mode:?}"
    );
}

#[test]
fn a_key_file_that_others_may_read_is_bad_and_its_hint_mends_it() {
    let mut shop = Shop::open();
    let key = look(&mut shop, "Stripe key");
    let path = key
        .detail
        .rsplit(' ')
        .next()
        .expect("it ends with the path");
    super::run_in_shell(&format!("chmod 644 '{path}'"), "");
    let open = look(&mut shop, "Stripe key");
    assert!(!open.ok && open.detail.contains("0644"), "{open:?}");
    assert!(mend(&mut shop, &open).ok);
}

#[test]
fn a_literal_that_every_role_can_read_is_found_and_not_repeated() {
    let mut shop = Shop::open();
    let name = shop.name().to_owned();
    assert!(look(&mut shop, "secrets in sight").ok);
    // This session has not loaded the library: PostgreSQL takes anything.
    shop.db = shop.connect();
    shop.execute(&format!(
        "alter database {name} set invoice_sync.resend_api_key = 're_for_all_to_see'"
    ));
    let checks = examine(&mut shop.db);
    let output = format!("{checks:?}");
    assert!(!output.contains("re_for_all_to_see"), "{output}");
    let found = find(&checks, "secrets in sight").clone();
    assert!(
        !found.ok && found.detail.contains("resend_api_key"),
        "{found:?}"
    );
    assert!(mend(&mut shop, &found).ok);
}

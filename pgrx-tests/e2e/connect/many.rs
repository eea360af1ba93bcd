//! Many accounts with many open invoices, few of them busy: few requests, and every lost payment is found in time.

use std::collections::BTreeMap;

use super::feeds::{DAY, QUARTER, pass};
use super::{checkout, deliver_event, event, invoice, name, shop};
use crate::harness::Shop;

const ACCOUNTS: usize = 30;
const INVOICES: usize = 3;
const BUSY: usize = 3;

/// The sessions of each account's open invoices.
type Sessions = Vec<Vec<String>>;

fn account(number: usize) -> String {
    format!("acct_{number}")
}

/// Creates the accounts, their open invoices and sessions, and lets so much time pass that nothing is due.
fn many() -> (Shop, Sessions) {
    let mut shop = shop();
    shop.execute("delete from invoice_sync.stripe_account");
    let mut sessions = Sessions::new();
    for number in 0..ACCOUNTS {
        shop.stripe.restore(&account(number));
        name(&mut shop, &account(number));
        let of_account = (0..INVOICES).map(|which| {
            let checkout = checkout()
                .account(account(number))
                .expires_at(shop.stripe.now() + 365 * DAY);
            let session = shop.stripe.checkout(checkout).session_id();
            let number_of = format!("INV-{number}-{which}");
            invoice(
                &mut shop,
                &number_of,
                Some(&account(number)),
                Some(&session),
            );
            session
        });
        sessions.push(of_account.collect());
    }
    shop.skip_look_back();
    for _ in 0..14 {
        for _ in 0..ACCOUNTS.div_ceil(5) {
            shop.sweep();
        }
        pass(&mut shop, DAY);
    }
    assert_eq!(
        shop.text("select min(back_off) > interval '1 day' from invoice_sync.invoice_check"),
        Some("true".into()),
        "the feeds are read, so the single checks become rare"
    );
    (shop, sessions)
}

/// Sweeps a quarter of an hour later. Returns the requests by path and account.
fn requests_of_a_sweep(shop: &mut Shop) -> BTreeMap<(String, String), usize> {
    pass(shop, QUARTER);
    shop.stripe.reset_requests();
    shop.sweep();
    let mut requests = BTreeMap::new();
    for seen in shop.stripe.requests() {
        let account = seen.header("stripe-account").unwrap_or("own").to_owned();
        *requests.entry((seen.path, account)).or_default() += 1;
    }
    requests
}

fn is_paid(shop: &mut Shop, session: &str) -> bool {
    let status =
        format!("select invoice_status from invoices where stripe_session_id = '{session}'");
    shop.text(&status) == Some("Paid".into())
}

#[test]
fn few_requests_find_every_lost_payment_in_time() {
    let (mut shop, sessions) = many();
    // In three accounts, no webhook delivers anything.
    for of_account in &sessions[..BUSY] {
        shop.stripe.purchase(&of_account[0]).pay();
    }
    let mut sweeps = 0;
    while sessions[..BUSY]
        .iter()
        .any(|of| !is_paid(&mut shop, &of[0]))
    {
        requests_of_a_sweep(&mut shop);
        sweeps += 1;
        assert!(sweeps <= 96, "within a day");
    }
    // Nothing new: the key's own feed, those of the busy accounts, and five others.
    let requests = requests_of_a_sweep(&mut shop);
    assert!(
        requests.keys().all(|(path, _)| path == "/v1/events"),
        "{requests:?}"
    );
    assert!(requests.values().all(|times| *times == 1), "{requests:?}");
    let busy = (0..BUSY).map(account);
    let busy = busy.filter(|it| requests.contains_key(&("/v1/events".to_owned(), it.clone())));
    assert_eq!(busy.count(), BUSY, "{requests:?}");
    assert!(requests.len() <= 1 + BUSY + 5, "{requests:?}");

    // More lost payments of busy accounts: the next sweep finds them all.
    for of_account in &sessions[..BUSY] {
        shop.stripe.purchase(&of_account[1]).pay();
    }
    requests_of_a_sweep(&mut shop);
    for of_account in &sessions[..BUSY] {
        assert!(is_paid(&mut shop, &of_account[1]));
    }
    // One of a quiet account is booked at once if a webhook brings it, and within the interval if none does.
    let (quiet, other) = (&sessions[ACCOUNTS - 1][0], &sessions[ACCOUNTS - 2][0]);
    shop.stripe.purchase(quiet).pay();
    shop.stripe.purchase(other).pay();
    let event = event(&shop, "checkout.session.completed", quiet);
    deliver_event(&mut shop, &event);
    assert!(is_paid(&mut shop, quiet));
    let mut sweeps = 0;
    while !is_paid(&mut shop, other) {
        let requests = requests_of_a_sweep(&mut shop);
        let feeds = requests.keys().filter(|(path, _)| path == "/v1/events");
        assert!(feeds.count() <= 1 + BUSY + 2 + 5, "{requests:?}");
        sweeps += 1;
        assert!(sweeps <= 96, "within a day");
    }
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

//! The feeds of events of other accounts: what no webhook brought is found there, and quiet accounts are read rarely.

use std::collections::BTreeMap;

use stripe_double::{Action, Fault};

use super::{ONE, TWO, books, checkout, deliver_event, event, invoice, name, shop};
use crate::harness::Shop;

/// In seconds, between sweeps.
pub(super) const QUARTER: i64 = 15 * 60;

pub(super) const DAY: i64 = 24 * 60 * 60;

/// A payment that names an invoice of this account and that no webhook brings. Returns the row of the books that it makes.
pub(super) fn lost_payment(shop: &mut Shop, number: &str, account: Option<&str>) -> String {
    let id = invoice(shop, number, account, None);
    let mut checkout = checkout().metadata("invoice_id", &id);
    if let Some(account) = account {
        checkout = checkout.account(account);
    }
    let sold = shop.stripe.checkout(checkout).pay();
    format!("{number} Paid 100.00 {}", sold.intent_id())
}

/// So much time passes, for Stripe, too.
pub(super) fn pass(shop: &mut Shop, seconds: i64) {
    shop.age(seconds);
    shop.stripe.age(seconds);
}

/// Sweeps. Returns how many pages of each account's feed were read; that of the key's own account is left out.
fn feeds_of_a_sweep(shop: &mut Shop) -> BTreeMap<String, usize> {
    shop.stripe.reset_requests();
    shop.sweep();
    let mut feeds = BTreeMap::new();
    for seen in shop.stripe.requests() {
        if let Some(account) = seen.header("stripe-account")
            && seen.path == "/v1/events"
        {
            *feeds.entry(account.to_owned()).or_default() += 1;
        }
    }
    feeds
}

/// Sweeps until the accounts' feeds have brought nothing for so long that they are read once a day.
fn grow_quiet(shop: &mut Shop) {
    for _ in 0..10 {
        shop.sweep();
        pass(shop, DAY);
    }
    assert_eq!(
        shop.text("select string_agg(distinct back_off::text, ',') from invoice_sync.feed"),
        Some("1 day".into())
    );
}

#[test]
fn lost_payments_of_each_account_are_found_in_its_feed() {
    let mut shop = shop();
    shop.skip_look_back();
    let expected: Vec<String> = [("INV-0", None), ("INV-1", Some(ONE)), ("INV-2", Some(TWO))]
        .into_iter()
        .map(|(number, account)| lost_payment(&mut shop, number, account))
        .collect();
    shop.sweep();
    assert_eq!(books(&mut shop), expected);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
    assert_eq!(
        shop.texts("select account from invoice_sync.feed order by whose"),
        [None, Some(ONE.into()), Some(TWO.into())]
    );
}

#[test]
fn what_an_accounts_feed_says_is_about_that_account_only() {
    let mut shop = shop();
    shop.skip_look_back();
    let id = invoice(&mut shop, "INV-2", Some(TWO), None);
    let named = checkout().metadata("invoice_id", &id).account(ONE);
    shop.stripe.checkout(named).pay();
    shop.sweep();
    assert_eq!(books(&mut shop), ["INV-2 Sent 0.00"]);
    assert_eq!(
        super::unlinked(&mut shop).len(),
        1,
        "{:?}",
        shop.open_issues()
    );
}

#[test]
fn the_interval_of_a_quiet_account_grows_up_to_a_day_and_news_end_it() {
    let mut shop = shop();
    shop.execute("delete from invoice_sync.stripe_account where account = 'acct_two'");
    let mut read_at = Vec::new();
    for quarter in 0..325 {
        if !feeds_of_a_sweep(&mut shop).is_empty() {
            read_at.push(quarter);
        }
        pass(&mut shop, QUARTER);
    }
    let waited: Vec<i64> = read_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waited[..9], [1, 2, 4, 8, 16, 32, 64, 96, 96], "{waited:?}");

    // Nobody delivers this: it is found within a day, and the next sweep looks again.
    let booked = lost_payment(&mut shop, "INV-1", Some(ONE));
    let mut quarters = 0;
    while feeds_of_a_sweep(&mut shop).is_empty() {
        quarters += 1;
        pass(&mut shop, QUARTER);
    }
    assert!(quarters <= 96, "{quarters}");
    assert_eq!(books(&mut shop), [booked]);
    assert_eq!(
        feeds_of_a_sweep(&mut shop),
        BTreeMap::from([(ONE.to_owned(), 1)])
    );
}

#[test]
fn an_account_whose_webhooks_arrive_is_as_good_as_quiet() {
    let mut shop = shop();
    shop.skip_look_back();
    grow_quiet(&mut shop);
    let sold = shop.stripe.checkout(checkout().account(ONE)).pay();
    invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
    for kind in ["checkout.session.completed", "payment_intent.succeeded"] {
        let about = if kind.starts_with('c') {
            sold.session_id()
        } else {
            sold.intent_id()
        };
        let event = event(&shop, kind, &about);
        deliver_event(&mut shop, &event);
    }
    pass(&mut shop, DAY);
    assert_eq!(feeds_of_a_sweep(&mut shop).len(), 2);
    assert_eq!(feeds_of_a_sweep(&mut shop), BTreeMap::new());
}

#[test]
fn an_account_with_invoices_that_are_due_is_read_sooner() {
    let mut shop = shop();
    shop.skip_look_back();
    grow_quiet(&mut shop);
    shop.sweep();
    assert_eq!(feeds_of_a_sweep(&mut shop), BTreeMap::new());
    let sold = shop.stripe.checkout(checkout().account(ONE));
    invoice(&mut shop, "INV-1", Some(ONE), Some(&sold.session_id()));
    shop.sweep();
    pass(&mut shop, QUARTER);
    assert_eq!(
        feeds_of_a_sweep(&mut shop),
        BTreeMap::from([(ONE.to_owned(), 1)])
    );
}

#[test]
fn a_feed_that_breaks_off_is_continued_where_it_was() {
    let mut shop = shop();
    shop.execute("delete from invoice_sync.stripe_account where account = 'acct_two'");
    shop.skip_look_back();
    let expected: Vec<String> = (100..160)
        .map(|number| lost_payment(&mut shop, &format!("INV-{number}"), Some(ONE)))
        .collect();
    // Own feed, then the account's first page; its second page fails.
    let second = Fault::new(Action::Status(400)).on_path("/v1/events").nth(3);
    shop.stripe.fault(second);
    shop.sweep();
    let kept: usize = shop
        .text("select count(*) from invoice_sync.event where account = 'acct_one'")
        .and_then(|count| count.parse().ok())
        .expect("a number");
    assert!((50..=100).contains(&kept), "{kept}");
    assert_eq!(shop.open_issues(), ["stripe_unreachable -"]);
    shop.stripe.clear_faults();
    pass(&mut shop, QUARTER);
    assert_eq!(feeds_of_a_sweep(&mut shop).len(), 1);
    assert_eq!(books(&mut shop), expected);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn a_revoked_account_stops_no_other_feed() {
    let mut shop = shop();
    shop.skip_look_back();
    let lost = lost_payment(&mut shop, "INV-1", Some(ONE));
    let found = lost_payment(&mut shop, "INV-2", Some(TWO));
    shop.stripe.revoke(ONE);
    shop.sweep();
    assert_eq!(
        books(&mut shop),
        ["INV-1 Sent 0.00".to_owned(), found.clone()]
    );
    assert_eq!(
        shop.texts("select kind || ' ' || object from invoice_sync.open_issues"),
        [Some("stripe_unreachable acct_one".into())]
    );
    shop.stripe.restore(ONE);
    pass(&mut shop, QUARTER);
    shop.sweep();
    assert_eq!(books(&mut shop), [lost, found]);
    assert_eq!(shop.open_issues(), Vec::<String>::new());
}

#[test]
fn however_many_accounts_there_are_a_sweep_reads_few_feeds() {
    let mut shop = shop();
    shop.skip_look_back();
    for number in 10..22 {
        let account = format!("acct_{number}");
        shop.stripe.restore(&account);
        name(&mut shop, &account);
    }
    // Each in its turn, the one that was read longest ago first.
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..3 {
        let feeds = feeds_of_a_sweep(&mut shop);
        assert!(feeds.len() <= 5, "{feeds:?}");
        for account in feeds.into_keys() {
            *read.entry(account).or_default() += 1;
        }
    }
    assert_eq!(
        (read.len(), read.values().max()),
        (14, Some(&1)),
        "{read:?}"
    );
    // Busy ones are read beside them.
    pass(&mut shop, QUARTER);
    for number in 10..13 {
        shop.execute(&format!(
            "update invoice_sync.feed set back_off = null, news_at = now(), next_read_at = now() where account = 'acct_{number}'"
        ));
    }
    let feeds = feeds_of_a_sweep(&mut shop);
    assert_eq!(feeds.len(), 8, "{feeds:?}");
}

#[test]
fn time_whose_events_are_gone_is_looked_through_in_the_accounts_lists() {
    let mut shop = shop();
    shop.skip_look_back();
    shop.execute("call invoice_sync.run_sweep()");
    let now = shop.stripe.now();
    shop.stripe.set_clock(now - 35 * DAY);
    let found = [("INV-1", ONE), ("INV-2", TWO)]
        .map(|(number, account)| lost_payment(&mut shop, number, Some(account)));
    lost_payment(&mut shop, "INV-3", None);
    shop.stripe.set_clock(now);
    shop.execute(
        "update invoice_sync.feed
        set place = jsonb_build_object('read_at', extract(epoch from t.t)::bigint, 'anchor', null, 'backlog', null),
            read_at = t.t, next_read_at = t.t
        from (select now() - interval '40 days') t (t)
        where account is not null",
    );
    shop.stripe.reset_requests();
    let told = shop.sweep();
    assert!(
        told.to_string()
            .contains("run_sweep reads the account acct_two's lists instead"),
        "{told:#}"
    );
    for _ in 0..2 {
        shop.execute("call invoice_sync.run_sweep()");
        assert_eq!(books(&mut shop), [&found[0], &found[1], "INV-3 Sent 0.00"]);
    }
    let lists = shop.stripe.requests().into_iter();
    let mut lists: Vec<_> = lists
        .filter(|it| it.path != "/v1/events")
        .map(|it| {
            let account = it.header("stripe-account").map(str::to_owned);
            (account, it.path)
        })
        .collect();
    lists.sort();
    let of_each = [
        "charges",
        "checkout/sessions",
        "disputes",
        "payment_intents",
        "refunds",
    ];
    let expected = [ONE, TWO]
        .map(|account| of_each.map(|list| (Some(account.to_owned()), format!("/v1/{list}"))));
    assert_eq!(lists, expected.concat(), "each list once");
}

//! The lists of each account: old payments that only name their invoices are found there, by the first look back and by
//! backfills.

use std::collections::{BTreeMap, BTreeSet};

use stripe_double::{Action, Fault, Key, StripeInvoice};

use super::feeds::{DAY, QUARTER, pass};
use super::{ONE, TWO, books, checkout, invoice, name, shop, unlinked};
use crate::harness::{Shop, wait_until};

const RUN: &str = "call invoice_sync.run_sweep()";

const BACKFILL: &str = "call invoice_sync.backfill(now() - interval '90 days')";

/// Creates an invoice that is so many days old, and the payment that it was paid with at once and that only names it.
/// Returns the row of the books that it makes.
fn old_payment(shop: &mut Shop, number: &str, account: Option<&str>, days: i64) -> String {
    let id = old_invoice(shop, number, account, days);
    let mut checkout = checkout().metadata("invoice_id", &id);
    if let Some(account) = account {
        checkout = checkout.account(account);
    }
    let sold = days_ago(shop, days, |shop| shop.stripe.checkout(checkout).pay());
    format!("{number} Paid 100.00 {}", sold.intent_id())
}

fn old_invoice(shop: &mut Shop, number: &str, account: Option<&str>, days: i64) -> String {
    let id = invoice(shop, number, account, None);
    shop.execute(&format!(
        "update invoices set created_at = now() - interval '{days} days' where id = '{id}'"
    ));
    id
}

fn days_ago<T>(shop: &mut Shop, days: i64, act: impl FnOnce(&mut Shop) -> T) -> T {
    let now = shop.stripe.now();
    shop.stripe.set_clock(now - days * DAY);
    let done = act(shop);
    shop.stripe.set_clock(now);
    done
}

/// Makes `run` the next thing, and returns how many requests for lists each account had.
fn lists_of(shop: &mut Shop, run: &str) -> BTreeMap<String, usize> {
    shop.stripe.reset_requests();
    shop.execute(run);
    let mut lists = BTreeMap::new();
    for seen in shop.stripe.requests() {
        if seen.path != "/v1/events" {
            let account = seen.header("stripe-account").unwrap_or("own");
            *lists.entry(account.to_owned()).or_default() += 1;
        }
    }
    lists
}

fn issues(shop: &mut Shop) -> Vec<String> {
    let issues = "select concat_ws(' ', kind, object) from invoice_sync.open_issues order by 1";
    shop.texts(issues).into_iter().flatten().collect()
}

#[test]
fn old_payments_and_stripe_invoices_of_each_account_are_found_by_first_look_and_backfill() {
    for way in [RUN, BACKFILL] {
        let mut shop = shop();
        let mut expected: Vec<String> =
            [("INV-0", None), ("INV-1", Some(ONE)), ("INV-2", Some(TWO))]
                .into_iter()
                .map(|(number, account)| old_payment(&mut shop, number, account, 60))
                .collect();
        let id = old_invoice(&mut shop, "INV-3", Some(ONE), 60);
        let bill = StripeInvoice::new(10_000, "usd").metadata("invoice_id", &id);
        let paid = days_ago(&mut shop, 50, |shop| {
            shop.stripe.stripe_invoice(bill.account(ONE)).pay()
        });
        expected.push(format!("INV-3 Paid 100.00 {}", paid.intent_id()));
        if way == BACKFILL {
            shop.skip_look_back();
        }
        shop.execute(way);
        assert_eq!(books(&mut shop), expected, "{way}");
        assert_eq!(shop.open_issues(), Vec::<String>::new(), "{way}");
        let read = "select string_agg(list, ',' order by list) from invoice_sync.progress
            where share_done = 1 and refused_at is null group by account order by account nulls first";
        let read: Vec<String> = shop.texts(read).into_iter().flatten().collect();
        let of_other = "charges,checkout_sessions,invoices,payment_intents";
        assert_eq!(read[1..], [of_other, of_other], "{way}");
        assert_eq!(lists_of(&mut shop, RUN), BTreeMap::new(), "{way}: once");
    }
}

#[test]
fn what_a_list_of_an_account_says_is_about_that_account_only() {
    for way in [RUN, BACKFILL] {
        let mut shop = shop();
        let theirs = old_invoice(&mut shop, "INV-2", Some(TWO), 60);
        let own = old_invoice(&mut shop, "INV-3", None, 60);
        old_invoice(&mut shop, "INV-4", Some(ONE), 60);
        let bill = StripeInvoice::new(10_000, "usd").metadata("invoice_id", &theirs);
        days_ago(&mut shop, 40, |shop| {
            for id in [&theirs, &own] {
                let named = checkout().metadata("invoice_id", id).account(ONE);
                shop.stripe.checkout(named).pay();
            }
            shop.stripe.stripe_invoice(bill.account(ONE)).pay();
            let of_own = checkout().metadata("invoice_id", &theirs);
            shop.stripe.checkout(of_own).pay();
        });
        if way == BACKFILL {
            shop.skip_look_back();
        }
        shop.execute(way);
        let untouched = ["INV-2 Sent 0.00", "INV-3 Sent 0.00", "INV-4 Sent 0.00"];
        assert_eq!(books(&mut shop), untouched, "{way}");
        let unlinked = unlinked(&mut shop);
        let of_one = unlinked.iter().filter(|it| it.starts_with("acct_one/"));
        assert_eq!((unlinked.len(), of_one.count()), (4, 3), "{unlinked:?}");
    }
}

#[test]
fn a_revoked_account_has_its_issue_and_its_lists_are_read_when_it_is_back() {
    for way in [RUN, BACKFILL] {
        let mut shop = shop();
        let lost = old_payment(&mut shop, "INV-1", Some(ONE), 60);
        let found = old_payment(&mut shop, "INV-2", Some(TWO), 60);
        let own = old_payment(&mut shop, "INV-3", None, 60);
        if way == BACKFILL {
            shop.skip_look_back();
        }
        shop.stripe.revoke(ONE);
        let lists = lists_of(&mut shop, way);
        assert_eq!(lists.get(ONE), Some(&1), "one request that was refused");
        let expected = ["INV-1 Sent 0.00", found.as_str(), &own];
        assert_eq!(books(&mut shop), expected, "{way}");
        assert_eq!(issues(&mut shop), ["stripe_unreachable acct_one"], "{way}");
        assert_eq!(lists_of(&mut shop, RUN), BTreeMap::new(), "later");
        pass(&mut shop, QUARTER);
        assert_eq!(lists_of(&mut shop, RUN).get(ONE), Some(&1));
        assert_eq!(books(&mut shop), expected, "{way}");

        shop.stripe.restore(ONE);
        if way == BACKFILL {
            // Whoever asks for it does not wait.
            shop.execute("call invoice_sync.backfill()");
        } else {
            pass(&mut shop, DAY);
            shop.execute(RUN);
        }
        assert_eq!(books(&mut shop), [lost.as_str(), &found, &own], "{way}");
        pass(&mut shop, DAY);
        shop.execute(RUN);
        assert_eq!(issues(&mut shop), Vec::<String>::new(), "{way}");
    }
}

#[test]
fn an_account_that_is_added_later_is_looked_back_for_as_far_as_its_oldest_open_invoice() {
    let mut shop = shop();
    old_invoice(&mut shop, "INV-0", None, 300);
    shop.execute(RUN);
    assert_eq!(
        shop.text("select count(*) from invoice_sync.progress where account is not null"),
        Some("0".into()),
        "the accounts have no open invoices"
    );
    let late = old_payment(&mut shop, "INV-1", Some("acct_late"), 60);
    shop.stripe.restore("acct_none");
    assert_eq!(lists_of(&mut shop, RUN), BTreeMap::new());
    name(&mut shop, "acct_late");
    name(&mut shop, "acct_none");
    let lists = lists_of(&mut shop, RUN);
    assert_eq!(lists.keys().collect::<Vec<_>>(), ["acct_late"], "{lists:?}");
    assert_eq!(books(&mut shop), ["INV-0 Sent 0.00", late.as_str()]);
    assert_eq!(
        shop.texts(
            "select distinct concat_ws(' ', account, round(extract(epoch from until - since) / 86400))
            from invoice_sync.progress where first_look and list = 'payment_intents' order by 1"
        ),
        [Some("301".into()), Some("acct_late 61".into())]
    );
    assert_eq!(lists_of(&mut shop, RUN), BTreeMap::new());
}

/// What is paid after an account's lists were read, and before its feed is read for the first time, is in its feed.
#[test]
fn no_time_is_missed_between_an_accounts_lists_and_the_first_reading_of_its_feed() {
    let mut shop = shop();
    old_invoice(&mut shop, "INV-0", Some(ONE), 60);
    // The feed cannot be read, the lists can.
    let broken = Fault::new(Action::Status(400)).on_path("/v1/events");
    shop.stripe.fault(broken.always());
    shop.execute(RUN);
    let found = old_payment(&mut shop, "INV-1", Some(ONE), 0);
    pass(&mut shop, 5 * DAY);
    shop.stripe.clear_faults();
    for _ in 0..2 {
        shop.execute(RUN);
        pass(&mut shop, DAY);
    }
    assert_eq!(books(&mut shop), ["INV-0 Sent 0.00", found.as_str()]);
    assert_eq!(issues(&mut shop), Vec::<String>::new());
}

#[test]
fn the_lists_of_an_account_are_continued_after_an_outage_and_after_a_kill() {
    let mut shop = shop();
    let mut expected: Vec<String> = (100..250)
        .map(|number| old_payment(&mut shop, &format!("INV-{number}"), Some(ONE), 60))
        .collect();
    let other = old_payment(&mut shop, "INV-300", Some(TWO), 60);
    expected.push(other.clone());
    // No invoice of the key's own account is open, so the first page is one of account one.
    let second_page = Fault::new(Action::Status(400)).on_path("/v1/checkout/sessions");
    shop.stripe.fault(second_page.nth(2));
    shop.execute(RUN);
    let books_after = books(&mut shop);
    let paid = books_after.iter().filter(|it| it.contains("Paid")).count();
    assert_eq!(paid, 101, "a page, and the other account's");
    assert!(books_after.contains(&other));
    shop.stripe.clear_faults();

    pass(&mut shop, QUARTER);
    let hanging = Fault::new(Action::Hang).on_path("/v1/checkout/sessions");
    shop.stripe.fault(hanging);
    let mut running = shop.connect();
    let process: i32 = running
        .query_one("select pg_backend_pid()", &[])
        .expect("a session has a process")
        .get(0);
    std::thread::scope(|scope| {
        let asked = shop.stripe.count_of("/v1/checkout/sessions");
        let run = scope.spawn(|| running.batch_execute(RUN));
        let asks = || shop.stripe.count_of("/v1/checkout/sessions") > asked;
        wait_until("it waits for the list", asks);
        shop.execute(&format!("select pg_terminate_backend({process}, 10000)"));
        run.join().expect("no panic").expect_err("it is ended");
    });
    shop.stripe.clear_faults();
    shop.stripe.reset_requests();
    shop.execute(RUN);
    assert_eq!(books(&mut shop), expected);
    let pages = shop.stripe.requests().into_iter();
    let pages = pages.filter(|it| it.path == "/v1/checkout/sessions");
    let pages: Vec<String> = pages.map(|it| it.query).collect();
    assert!(
        pages.len() == 1 && pages[0].contains("starting_after"),
        "only the second page: {pages:?}"
    );
}

/// How many requests were counted.
const USED: &str = "select last_value - (not is_called)::int from invoice_sync.stripe_read";

const ACCOUNTS: usize = 20;

/// With so many requests of the monthly budget left for what is not urgent.
fn leave_of_the_budget(shop: &mut Shop, requests: usize) {
    shop.execute(&format!(
        "update invoice_sync.settings set monthly_read_budget = (
            select ceil(({requests} + r.last_value
                + extract(epoch from date_trunc('month', n.now) + interval '1 month' - n.now) / 900 * 1.5) / 0.8)
            from (select clock_timestamp() at time zone 'UTC') n (now), invoice_sync.stripe_read r)"
    ));
}

#[test]
fn the_first_looks_of_many_accounts_keep_to_the_monthly_budget_of_all_and_go_on() {
    let mut shop = shop();
    shop.execute("delete from invoice_sync.stripe_account");
    let mut expected = BTreeSet::new();
    for number in 0..ACCOUNTS {
        let account = format!("acct_{number}");
        shop.stripe.restore(&account);
        name(&mut shop, &account);
        expected.insert(old_payment(
            &mut shop,
            &format!("INV-{number}"),
            Some(&account),
            60,
        ));
    }
    let left = 10;
    let mut lists = 0;
    for _ in 0..2 {
        leave_of_the_budget(&mut shop, left);
        shop.stripe.reset_requests();
        let before = shop.text(USED).expect("a number");
        shop.execute(RUN);
        let made = shop.stripe.requests().len();
        let feeds = shop.stripe.count_of("/v1/events");
        assert!(feeds <= 1 + 5, "{feeds}");
        assert!(made <= left + 1, "{:?}", shop.stripe.counts_by_path());
        assert!(made - feeds > 0, "some lists are read");
        lists += made - feeds;
        let counted = shop.text(&format!("select ({USED}) - {before}"));
        assert_eq!(counted, Some(made.to_string()), "all accounts' count");
        let read = "select count(*) from invoice_sync.progress where share_done = 1";
        assert_eq!(shop.text(read), Some(lists.to_string()));
    }
    // Nothing is left, so nothing is read.
    shop.execute("update invoice_sync.settings set monthly_read_budget = 1");
    assert_eq!(lists_of(&mut shop, RUN), BTreeMap::new());
    shop.execute("update invoice_sync.settings set monthly_read_budget = null");
    let rest: usize = lists_of(&mut shop, RUN).values().sum();
    assert_eq!(lists + rest, 4 * ACCOUNTS, "each list once");
    assert_eq!(
        books(&mut shop).into_iter().collect::<BTreeSet<_>>(),
        expected
    );
    assert_eq!(lists_of(&mut shop, RUN), BTreeMap::new());
}

#[test]
fn many_accounts_that_refuse_are_asked_few_at_a_time_and_block_none_for_long() {
    let mut shop = shop();
    shop.execute("delete from invoice_sync.stripe_account");
    for number in 1..=7 {
        let account = format!("acct_{number}");
        name(&mut shop, &account);
        shop.stripe.revoke(&account);
        old_invoice(&mut shop, &format!("INV-{number}"), Some(&account), 60);
    }
    shop.stripe.restore("acct_8");
    name(&mut shop, "acct_8");
    let found = old_payment(&mut shop, "INV-8", Some("acct_8"), 60);
    let mut asked = Vec::new();
    for _ in 0..3 {
        let lists = lists_of(&mut shop, RUN);
        asked.push((lists.len(), lists.contains_key("acct_8")));
    }
    assert_eq!(asked, [(3, false), (3, false), (2, true)]);
    assert_eq!(books(&mut shop).pop(), Some(found));
    // Somebody asks for it: they are told, and nothing fails once the others are read.
    for number in 3..=7 {
        shop.stripe.restore(&format!("acct_{number}"));
    }
    shop.execute("call invoice_sync.backfill()");
    let open = "select distinct account from invoice_sync.progress where share_done < 1 order by 1";
    let open: Vec<String> = shop.texts(open).into_iter().flatten().collect();
    assert_eq!(open, ["acct_1", "acct_2"]);
    // Nobody keeps their books any more.
    shop.execute("delete from invoice_sync.stripe_account where account in ('acct_1', 'acct_2')");
    pass(&mut shop, DAY);
    assert_eq!(lists_of(&mut shop, RUN), BTreeMap::new());
    shop.not_at_rest("invoices are of accounts that nobody names");
}

#[test]
fn accounts_with_keys_of_their_own_have_their_lists_read_without_another_key() {
    for way in [RUN, BACKFILL] {
        let mut shop = shop();
        shop.stripe
            .accept_key(Key::new("sk_test_one").of_account(ONE));
        let reference = shop.store_secret("api_key", "sk_test_one");
        shop.execute(&format!(
            "update invoice_sync.stripe_account set api_key = '{reference}' where account = '{ONE}';
            delete from invoice_sync.stripe_account where account = '{TWO}'"
        ));
        shop.configure("stripe_api_key", "");
        let found = old_payment(&mut shop, "INV-1", Some(ONE), 60);
        shop.execute(way);
        assert_eq!(books(&mut shop), [found], "{way}");
        assert_eq!(issues(&mut shop), Vec::<String>::new(), "{way}");
        shop.not_at_rest("without a key, no sweep makes the one request of its own account");
    }
}

/// An intent without a session among those of its account's list came without one; the list of another account does not
/// tell.
#[test]
fn the_sessions_of_one_account_do_not_tell_about_the_intents_of_another() {
    let mut shop = shop();
    shop.skip_look_back();
    let id = old_invoice(&mut shop, "INV-1", Some(TWO), 10);
    let waiting = checkout().account(TWO).metadata("invoice_id", &id);
    let waiting = waiting.early_intent().expires_at(shop.stripe.now() + DAY);
    let waiting = days_ago(&mut shop, 10, |shop| shop.stripe.checkout(waiting));
    old_payment(&mut shop, "INV-2", Some(ONE), 10);
    // The sessions of account two are read while this one is not paid, then its intents cannot be.
    shop.stripe.revoke(ONE);
    let broken = Fault::new(Action::Status(400)).on_path("/v1/payment_intents");
    shop.stripe.fault(broken.nth(2));
    shop.execute(BACKFILL);
    shop.stripe.clear_faults();
    shop.stripe.restore(ONE);
    let paid = waiting.pay();
    shop.execute("call invoice_sync.backfill()");
    assert_eq!(
        books(&mut shop)[0],
        format!("INV-1 Paid 100.00 {}", paid.intent_id())
    );
    pass(&mut shop, DAY);
}

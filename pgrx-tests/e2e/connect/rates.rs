//! The rate limit with several accounts: each account has its own.

use super::{ONE, TWO, checkout, invoice, shop};
use crate::limits::{CALLS, PER_SECOND, ask_in, assert_kept_to_the_rate};

#[test]
fn each_account_is_asked_at_the_rate_and_holds_up_no_other() {
    let mut shop = shop();
    shop.configure("requests_per_second", &PER_SECOND.to_string());
    let ids = [ONE, TWO].map(|account| {
        let open = shop.stripe.checkout(checkout().account(account));
        let stored = Some(open.session_id());
        invoice(&mut shop, account, Some(account), stored.as_deref())
    });
    shop.stripe.reset_requests();
    std::thread::scope(|threads| {
        for id in &ids {
            let sessions = vec![shop.connect(), shop.connect()];
            threads.spawn(move || ask_in(sessions, &format!("invoice_sync.sync_invoice('{id}')")));
        }
    });
    let seen = shop.stripe.requests();
    let of = |account| {
        let of_account = seen
            .iter()
            .filter(move |it| it.header("stripe-account") == Some(account));
        of_account.map(|it| it.arrived).collect::<Vec<_>>()
    };
    for account in [ONE, TWO] {
        let arrived = of(account);
        assert_eq!(arrived.len(), CALLS, "{account}");
        assert_kept_to_the_rate(&arrived, 2);
    }
    let [one, two] = [ONE, TWO].map(of);
    assert!(
        one[0] < two[CALLS / 2] && two[0] < one[CALLS / 2],
        "they are asked at the same time"
    );
}

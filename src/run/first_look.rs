//! The first look back: the runs after an install read Stripe's lists by themselves, as far back as the oldest open
//! invoice. Payments that only name an invoice are found in this way, although the feed of events begins a day back.

use std::time::Instant;

use crate::host::mapping::Mapping;
use crate::host::moment::now;
use crate::host::oldest_open::{OldestOpen, oldest_open, oldest_open_of};
use crate::ledger::backfills::{self, FirstLook};
use crate::ledger::feed;
use crate::pg::{Problem, Transactions};
use crate::select::inbox;
use crate::settings;
use crate::stripe_access;

const DAY: i64 = 24 * 60 * 60;

/// The least that is looked back, in seconds: as far as Stripe keeps its events. An invoice may have been entered
/// after it was paid.
const LEAST: i64 = 30 * DAY;

/// How far is looked back if nothing says how old the invoices are, in seconds.
const AGE_UNKNOWN: i64 = 90 * DAY;

/// Requests the first look back of each account, once, unless what is due took all of the time: of the key's own once its
/// feed was read, of others once they are named. None is needed where no invoice is open.
pub(crate) fn request(transactions: Transactions, deadline: Instant) -> Result<(), Problem> {
    if Instant::now() >= deadline {
        return Ok(());
    }
    let connection = stripe_access::connection()?;
    let own = inbox::own(connection.as_ref());
    let whose = own.name();
    let now = now();
    let awaiting =
        feed::awaiting_first_look(&whose, own.livemode, settings::stripe_account().as_deref());
    if !awaiting.own && awaiting.others.is_empty() {
        return Ok(());
    }
    let (mapping, _) = Mapping::load()?;
    let since = |oldest: OldestOpen| match oldest {
        OldestOpen::NoneIsOpen => now,
        OldestOpen::AgeUnknown => now - AGE_UNKNOWN,
        OldestOpen::MadeAt(made) => (made - DAY).min(now - LEAST),
    };
    let mut looks = Vec::new();
    if awaiting.own {
        looks.push(FirstLook {
            account: None,
            whose,
            since: since(oldest_open(&mapping)?),
        });
    }
    if !awaiting.others.is_empty() {
        let accounts = awaiting.others.iter().map(|it| it.account.as_str());
        let open = oldest_open_of(&mapping, &accounts.collect::<Vec<_>>())?;
        looks.extend(awaiting.others.into_iter().map(|of| {
            let oldest = open.get(&of.account).copied();
            FirstLook {
                since: since(oldest.unwrap_or(OldestOpen::NoneIsOpen)),
                account: Some(of.account),
                whose: of.whose,
            }
        }));
    }
    if looks.iter().any(|look| look.since < now) {
        backfills::request_first_looks(&looks, now);
    }
    feed::note_first_looks(&looks, now);
    transactions.commit();
    Ok(())
}

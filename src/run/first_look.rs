//! The first look back: the runs after an install read Stripe's lists by themselves, as far back as the oldest open
//! invoice. Payments that only name an invoice are found in this way, although the feed of events begins a day back.

use std::time::Instant;

use crate::host::mapping::Mapping;
use crate::host::oldest_open::{OldestOpen, oldest_open};
use crate::host::write::now;
use crate::ledger::{backfills, feed};
use crate::pg::{Problem, Transactions};
use crate::select::inbox;
use crate::stripe_access;

const DAY: i64 = 24 * 60 * 60;

/// The least that is looked back, in seconds: as far as Stripe keeps its events. An invoice may have been entered
/// after it was paid.
const LEAST: i64 = 30 * DAY;

/// How far is looked back if nothing says how old the invoices are, in seconds.
const AGE_UNKNOWN: i64 = 90 * DAY;

/// Requests the first look back of this account and mode, once, unless what is due took all of the time.
pub(crate) fn request(transactions: Transactions, deadline: Instant) -> Result<(), Problem> {
    if Instant::now() >= deadline {
        return Ok(());
    }
    let Some(connection) = stripe_access::connection()? else {
        return Ok(());
    };
    let whose = inbox::own(Some(&connection)).name();
    let now = now();
    if !feed::awaits_first_look(&whose) {
        return Ok(());
    }
    let (mapping, _) = Mapping::load()?;
    let since = match oldest_open(&mapping)? {
        OldestOpen::NoneIsOpen => now,
        OldestOpen::AgeUnknown => now - AGE_UNKNOWN,
        OldestOpen::MadeAt(made) => (made - DAY).min(now - LEAST),
    };
    if since < now {
        backfills::request_first_look(since, now);
    }
    feed::note_first_look(&whose, since);
    transactions.commit();
    Ok(())
}

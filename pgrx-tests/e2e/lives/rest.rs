//! A rest: Stripe is well, every webhook that will come has come, sweeps go on until nothing
//! changes; then the books are judged, and whatever entry point is used, nothing changes any more.

use super::step::Bill;
use super::watch::Who;
use super::world::World;
use crate::harness::tell;

/// Within so many sweeps all is done.
const PATIENCE: usize = 6;

/// All that may not change any more.
type State = Vec<String>;

impl World<'_> {
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.mend();
        self.hear();
        for event in std::mem::take(&mut self.waiting) {
            self.deliver_one(&event)?;
            self.came.push(event);
        }
        self.sweep()?;
        // What is told only after an hour is told now.
        self.time(2 * 60 * 60);
        self.settle()?;
        if self.a_deleted_invoice_shared_a_payment() || self.a_person_ignored_a_payment() {
            self.backfill()?;
            self.settle()?;
        }
        self.watch(Who::Machine)?;
        let wrong = self.judge_books();
        if !wrong.is_empty() {
            return Err(format!("at rest:\n    {}", wrong.join("\n    ")));
        }
        self.ask_about_cancelled()?;
        self.judge_events()?;
        self.judge_mails()?;
        self.judge_quiet()
    }

    fn sweep(&mut self) -> Result<(), String> {
        self.db
            .batch_execute("call invoice_sync.run_sweep()")
            .map_err(|error| format!("run_sweep: {}", tell(&error)))?;
        let failed = self.texts(
            "select coalesce(error::text, 'no success') from invoice_sync.run
            where kind = 'sweep' and (not success or error is not null)
              and id = (select max(id) from invoice_sync.run where kind = 'sweep')",
        );
        match failed.first() {
            Some(error) => Err(format!("a sweep of a Stripe that is well failed: {error}")),
            None => Ok(()),
        }
    }

    /// Whatever is put off is due now.
    fn make_due(&mut self) {
        self.execute(
            "update invoice_sync.event set next_attempt_at = '-infinity' where state = 'pending';
            update invoice_sync.invoice_check set next_check_at = now() where next_check_at is not null;
            update invoice_sync.alert set next_attempt_at = now() where sent_at is null",
        );
    }

    /// Money that came before its invoice was cancelled is told of when Stripe is asked about
    /// it next, which no sweep does of itself.
    fn ask_about_cancelled(&mut self) -> Result<(), String> {
        let mut bills = self.bills.iter();
        if !bills.any(|bill| bill.cancelled && !bill.deleted) {
            return Ok(());
        }
        let is_row = |line: &String| line.starts_with("invoice ") || line.starts_with("payment ");
        let (mut before, mut after) = (self.state(), Vec::new());
        before.retain(is_row);
        self.backfill()?;
        self.settle()?;
        after.extend(self.state().into_iter().filter(is_row));
        expect_unchanged(
            &before,
            &after,
            "a backfill, which found what the feed did not,",
        )
    }

    /// Whether another invoice stored the payment of one that was deleted, with its rows: the
    /// payment is that one's now, and is found when Stripe is asked for a list.
    fn a_deleted_invoice_shared_a_payment(&self) -> bool {
        let mut shared = self.stored.values().filter(|bills| bills.len() > 1);
        shared.any(|bills| bills.iter().any(|bill| self.bills[*bill].deleted))
    }

    /// Whether a person decided that a payment which an invoice referred to, but did not name it, needs no decision: it
    /// may be another invoice's once the first does not refer to it any more, and is found when Stripe is asked for a
    /// list.
    fn a_person_ignored_a_payment(&mut self) -> bool {
        let ignored = "select id from invoice_sync.issue where kind = 'unlinked_payment' and resolution = 'ignore'";
        !self.texts(ignored).is_empty()
    }

    fn backfill(&mut self) -> Result<(), String> {
        let backfill = "call invoice_sync.backfill(now() - interval '20 days')";
        let outcome = self.db.batch_execute(backfill);
        outcome.map_err(|error| format!("backfill: {}", tell(&error)))
    }

    fn press_button(&mut self, bill: Bill) -> Result<(), String> {
        let id = self.bills[bill].id.clone();
        let pressed = self
            .db
            .query_one(&format!("select invoice_sync.sync_invoice('{id}')"), &[]);
        pressed
            .map(drop)
            .map_err(|error| format!("the button: {}", tell(&error)))
    }

    fn settle(&mut self) -> Result<(), String> {
        let mut before = self.state();
        for _ in 0..PATIENCE {
            self.make_due();
            self.sweep_until_nothing_is_due()?;
            let after = self.state();
            if after == before {
                return Ok(());
            }
            before = after;
        }
        self.make_due();
        self.sweep()?;
        let after = self.state();
        Err(format!(
            "after {PATIENCE} sweeps there is still something new: {}",
            difference(&before, &after)
        ))
    }

    /// Of two answers that were asked for at the same moment, the one that comes second may
    /// be the older one, and is asked for again by the next sweep.
    fn sweep_until_nothing_is_due(&mut self) -> Result<(), String> {
        for _ in 0..PATIENCE {
            self.sweep()?;
            if self.due().is_empty() {
                return Ok(());
            }
        }
        Err(format!(
            "after {PATIENCE} sweeps Stripe is still asked about; {:?}",
            self.due()
        ))
    }

    /// The host's rows, the issues that were ever opened, and the mails. What would be
    /// written if an undone repair were made again is said by each pass as far as it looked.
    fn state(&mut self) -> State {
        self.texts(
            "select 'invoice ' || t from invoices t union all select 'payment ' || t from payments t
            union all
            select format('issue %s %s of %s about %s is %s: %s', id, kind, coalesce(invoice_number, '-'),
                          coalesce(object, '-'), state, invoice_sync.facts_that_matter(evidence)
                              - case kind when 'repair_undone' then '{wanted,came_since}' else '{}' end::text[])
            from invoice_sync.issue
            union all
            select format('mail %s %s', id, subject) from invoice_sync.alert
            union all
            select format('event %s %s %s: %s', type, intent_id, state, result) from invoice_sync.event where state = 'pending'
            order by 1",
        )
    }

    fn judge_events(&mut self) -> Result<(), String> {
        let left = self.texts(
            "select concat_ws(' ', id, type, session_id, intent_id, result) from invoice_sync.event where state = 'pending'",
        );
        let known: Vec<String> = self
            .bills
            .iter()
            .filter(|bill| bill.deleted)
            .map(|bill| bill.id.clone())
            .collect();
        let stuck = left
            .iter()
            .find(|line| !known.iter().any(|id| line.contains(&**id)));
        match stuck {
            Some(line) => Err(format!("an event is never done: {line}")),
            None => Ok(()),
        }
    }

    fn judge_mails(&mut self) -> Result<(), String> {
        let sent = self.texts("select count(*) from invoice_sync.alert where sent_at is not null");
        let taken = self.stripe.emails().len().to_string();
        if sent != [taken.clone()] {
            return Err(format!("{sent:?} mails were sent, and {taken} came"));
        }
        let again = self.texts(
            "select format('%s of %s about %s, %s times: %s', kind, invoice_number, object, count(*),
                           invoice_sync.facts_that_matter(evidence))
            from invoice_sync.issue
            where state <> 'resolved'
            group by kind, invoice_number, invoice_id, object, invoice_sync.facts_that_matter(evidence)
            having count(*) > 1",
        );
        match again.first() {
            Some(issue) => Err(format!("told twice: {issue}")),
            None => Ok(()),
        }
    }

    /// A sweep with nothing new asks one question; and no entry point changes anything.
    fn judge_quiet(&mut self) -> Result<(), String> {
        let wanted = self.state();
        let due = self.due();
        self.stripe.reset_requests();
        self.sweep()?;
        let asked = self.stripe.requests();
        let asked: Vec<&str> = asked
            .iter()
            .map(|request| &*request.path)
            .filter(|path: &&str| !path.ends_with("/emails"))
            .collect();
        if asked != ["/v1/events"] {
            return Err(format!("a quiet sweep asked; {asked:?}; due: {due:?}"));
        }
        self.expect_no_change(&wanted, "a quiet sweep")?;
        for bill in 0..self.bills.len() {
            if self.bills[bill].deleted {
                continue;
            }
            self.press_button(bill)?;
            self.expect_no_change(&wanted, &format!("the button of invoice {bill}"))?;
        }
        self.backfill()?;
        // What it does not finish at once is in line for the next sweep.
        let is_event = |line: &String| line.starts_with("event ");
        let mut found = self.state();
        found.retain(|line| !is_event(line));
        expect_unchanged(&wanted, &found, "a backfill")?;
        self.make_due();
        self.sweep()?;
        self.expect_no_change(&wanted, "a sweep after the backfill")
    }

    /// The invoices that the next sweep asks Stripe about.
    fn due(&mut self) -> Vec<String> {
        self.texts("select invoice_id from invoice_sync.invoice_check where next_check_at <= now()")
    }

    fn expect_no_change(&mut self, wanted: &State, by: &str) -> Result<(), String> {
        expect_unchanged(wanted, &self.state(), by)
    }
}

fn expect_unchanged(wanted: &State, found: &State, by: &str) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!(
        "nothing was left to do, and {by} changed something: {}",
        difference(wanted, found)
    ))
}

fn difference(before: &State, after: &State) -> String {
    let gone = before
        .iter()
        .filter(|line| !after.contains(line))
        .map(|line| format!("- {line}"));
    let new = after
        .iter()
        .filter(|line| !before.contains(line))
        .map(|line| format!("+ {line}"));
    let lines: Vec<String> = gone.chain(new).take(8).collect();
    format!("\n      {}", lines.join("\n      "))
}

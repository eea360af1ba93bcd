//! A backfill: reads every payment of a time from Stripe's lists, for the first install and for time that the
//! feed of events no longer covers.

mod progress;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::progress::report_progress;
use crate::apply::context::{Context, Mode, OnOverride};
use crate::apply::payment_evidence::PaymentEvidence;
use crate::apply::payments::act;
use crate::apply::report::Report;
use crate::apply::superseded;
use crate::domain::evidence::{Evidence, StripePayment};
use crate::host::mapping::Mapping;
use crate::host::moment::now;
use crate::host::settings::{Settings, invalid};
use crate::ledger::backfills::{self, Due, Part, Progress};
use crate::ledger::budget;
use crate::ledger::events::{self, Entry, Verdict};
use crate::ledger::runs::{self, Kind};
use crate::ledger::stripe_accounts;
use crate::pg::{Problem, Transactions, run_on_threads};
use crate::run::run_lock::{RunLock, require_fresh_snapshots};
use crate::select::accounts::AccountAnswers;
use crate::select::sessions::{SeenSessions, recall_sessions};
use crate::settings;
use crate::stripe::client::{Client, Connection};
use crate::stripe::connections::Connections;
use crate::stripe::error::{Asked, StripeError};
use crate::stripe::history::{History, HistoryList, HistoryPage, TimeRange};
use crate::stripe::sessions::{AllSessions, join_sessions, with_session};
use crate::stripe_access;

/// How often progress is reported to the caller.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// Reads the requested period, with `since` and `until` as PostgreSQL reads timestamps, and what remains of earlier
/// requests.
///
/// Fails with 22023 if there is nothing to do, 55000 if another backfill is running or no key is set, and as
/// `sync_invoice` does if Stripe cannot be asked. Another call continues from there.
pub(crate) fn backfill(
    since: Option<&str>,
    until: Option<&str>,
    transactions: Transactions,
) -> Result<(), Problem> {
    // Longer than any backfill takes.
    let deadline = Instant::now() + Duration::from_secs(30 * 24 * 60 * 60);
    require_fresh_snapshots()?;
    let _turn = RunLock::of_backfills(transactions).ok_or_else(another_runs)?;
    if let Some(since) = since {
        let with_own = settings::stripe_api_key()?.is_some() || !stripe_accounts::have_own_keys();
        if !backfills::request(since, until, with_own) {
            return Err(invalid("since must be before until".to_owned()));
        }
    }
    let due = Due {
        asked_at: Some(runs::clock()),
        ..Due::default()
    };
    if backfills::next(due).is_none() {
        return Err(invalid("there is no unfinished backfill".to_owned())
            .hint("Specify the start: call invoice_sync.backfill('2026-01-01');"));
    }
    // An explicit request is not limited by the monthly budget.
    work(transactions, deadline, usize::MAX, due)
}

/// Continues earlier requests until `deadline`, unless another session does, as far as the monthly budget of
/// requests allows. If Stripe does not answer, the run's row says so, as for a sweep, and the next call continues.
pub(crate) fn go_on(transactions: Transactions, deadline: Instant) -> Result<(), Problem> {
    if Instant::now() >= deadline {
        return Ok(());
    }
    if backfills::next(Due::default()).is_none() {
        close_abandoned(transactions);
        return Ok(());
    }
    let budget = Settings::load()?.monthly_read_budget;
    let pages = budget.map_or(usize::MAX, |budget| budget::usage(budget).allowance());
    match RunLock::of_backfills(transactions) {
        Some(_turn) if pages > 0 => match work(transactions, deadline, pages, Due::default()) {
            Err(problem) if stripe_access::is_stripes(&problem) => Ok(()),
            outcome => outcome,
        },
        _ => Ok(()),
    }
}

/// Closes the row of a backfill that was terminated after its last page, before its row said that it was done.
fn close_abandoned(transactions: Transactions) {
    if runs::is_open(Kind::Backfill)
        && let Some(_turn) = RunLock::of_backfills(transactions)
    {
        runs::close_abandoned(Kind::Backfill);
        transactions.commit();
    }
}

fn work(
    transactions: Transactions,
    deadline: Instant,
    pages: usize,
    due: Due,
) -> Result<(), Problem> {
    let (mapping, settings) = Mapping::load()?;
    let own = stripe_access::connection()?;
    if own.is_none() && !stripe_accounts::have_own_keys() {
        return Err(stripe_access::missing_key());
    }
    let livemode = own.as_ref().and_then(|own| own.key.livemode());
    runs::close_abandoned(Kind::Backfill);
    let mut backfill = Backfill {
        context: Context {
            mapping: &mapping,
            rules: mapping.rules(&settings, livemode)?,
            mode: Mode::Write,
            on_override: OnOverride::Once,
        },
        settings: &settings,
        due: Due {
            without_own: own.is_none(),
            ..due
        },
        own,
        transactions,
        deadline,
        pages,
        report: Report::open(Kind::Backfill, Mode::Write).without_details(),
        accounts: AccountAnswers::default(),
        account: None,
        seen: SeenSessions::default(),
        sessions: Arc::default(),
        reported_at: Instant::now(),
    };
    let outcome = transactions.until_a_table_is_replaced(|| backfill.work_off());
    std::mem::take(&mut backfill.accounts).report(&mut backfill.report);
    if let Err(problem) = &outcome {
        backfill.report.fail(problem.clone());
    }
    backfill.report.close();
    transactions.commit();
    outcome
}

/// If so many accounts in a row cannot be asked, the cause is taken to be the key, or Stripe: the rest is left for later.
const FAILURES_IN_A_ROW: usize = 3;

struct Backfill<'a> {
    context: Context<'a>,
    settings: &'a Settings,
    /// The connection of the key; `None` if only other accounts have keys.
    own: Option<Connection>,
    /// Which parts are read.
    due: Due,
    transactions: Transactions,
    deadline: Instant,
    /// How many pages may still be read.
    pages: usize,
    report: Report,
    /// What other accounts answered.
    accounts: AccountAnswers,
    /// The account of the part that was read last.
    account: Option<String>,
    /// The sessions of that part.
    seen: SeenSessions,
    /// Those of the account that were read for the intents of a page.
    sessions: Arc<AllSessions>,
    /// When progress was last reported to the caller.
    reported_at: Instant,
}

impl Backfill<'_> {
    /// Reads part after part. An account that cannot be asked stops no other; if it is the key's own, the run fails in the
    /// end.
    fn work_off(&mut self) -> Result<(), Problem> {
        let (mut failed, mut failures_in_a_row) = (None, 0);
        while let Some(part) = backfills::next(self.due).filter(|_| self.may_go_on()) {
            let error = match self.read(&part)? {
                Ok(()) => {
                    failures_in_a_row = 0;
                    continue;
                }
                Err(StripeError::CursorGone { .. }) if part.after_id.is_some() => {
                    backfills::resume_by_time(&part);
                    continue;
                }
                Err(error) => error,
            };
            // Of an account without a usable key, Stripe was not asked.
            failures_in_a_row += usize::from(!matches!(error, StripeError::NoAccount { .. }));
            let is_over = matches!(error, StripeError::NotAsked);
            if !is_over {
                self.leave_for_later(&part, &error);
            }
            if is_over || part.account.is_none() || failures_in_a_row >= FAILURES_IN_A_ROW {
                failed = Some(error);
            }
            if is_over || failures_in_a_row >= FAILURES_IN_A_ROW {
                break;
            }
        }
        failed.map_or(Ok(()), |error| Err(to_be_continued(&error)))
    }

    /// Reads no more of the account now, because it cannot be asked.
    fn leave_for_later(&mut self, part: &Part, error: &StripeError) {
        let Some(account) = part.account.as_deref() else {
            self.due.without_own = true;
            return;
        };
        backfills::refuse(account);
        self.accounts
            .note(account, Asked::Lists, Some(error.clone()));
        let what = format!("{account}: {error}");
        self.report.note_stripe_error(None, &what);
        if self.due.asked_at.is_some() {
            pgrx::warning!("the lists of the Stripe account {what}; they are read later");
        }
    }

    /// Returns the connection to the account of a part.
    fn connection_to(&self, part: &Part) -> Result<Connection, StripeError> {
        let connections = match &part.account {
            None => Connections::new(self.own.clone(), BTreeMap::new()),
            Some(account) => {
                let named = stripe_accounts::named([account.as_str()]).into_iter();
                let to = |of| stripe_access::connection_to(self.own.as_ref(), &of);
                let named = named.map(|(account, of)| (account, to(of)));
                Connections::new(self.own.clone(), named.collect())
            }
        };
        connections.to(part.account.as_deref())
    }

    fn may_go_on(&self) -> bool {
        self.pages > 0 && Instant::now() < self.deadline
    }

    fn read(&mut self, part: &Part) -> Result<Result<(), StripeError>, Problem> {
        let connection = match self.connection_to(part) {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        if self.account != part.account {
            self.account.clone_from(&part.account);
            self.seen = SeenSessions::default();
            self.sessions = Arc::default();
        }
        let is_of_sessions = part.list == "checkout_sessions";
        if is_of_sessions {
            // If the part was begun earlier, only some of its sessions were seen, so what is read now is
            // incomplete.
            let since = if part.reached.is_none() {
                part.since
            } else {
                i64::MAX
            };
            self.seen = SeenSessions::of(since, part.until, now());
        }
        let range = TimeRange {
            list: HistoryList::named(&part.list),
            since: part.since,
            until: part.until,
            after: part.after_id.clone(),
        };
        let reading = stripe_access::reading(self.settings, self.context.mapping);
        let mut history = History::start(range, connection.clone(), reading, self.deadline)?;
        let (mut objects, mut repaired) = (part.objects, part.repaired);
        let begun = Instant::now();
        let outcome = loop {
            let page_begun = Instant::now();
            let history_page = match self.transactions.wait(|| history.next()) {
                Some(Ok(history_page)) => history_page,
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            };
            let mut history_page = match &part.account {
                Some(account) => history_page.of_account(account),
                None => history_page,
            };
            if let Err(error) = self.read_sessions(&connection, &mut history_page)? {
                break Err(error);
            }
            if let Some(account) = &part.account {
                self.accounts.note(account, Asked::Lists, None);
            }
            if is_of_sessions {
                self.seen.note(&history_page);
            }
            stripe_access::count_reads();
            self.pages = self.pages.saturating_sub(1);
            let fixed_before = self.report.fixed();
            self.work_on(part, &history_page)?;
            let fixed = self.report.fixed() - fixed_before;
            objects += history_page.objects;
            repaired += fixed;
            backfills::advance(
                part,
                &Progress {
                    last: history_page.last.as_ref(),
                    objects: history_page.objects,
                    payments: history_page.payments.len(),
                    repaired: fixed,
                    seconds: page_begun.elapsed().as_secs_f64(),
                    is_last: history_page.is_last,
                },
            );
            self.report.save();
            if self.reported_at.elapsed() >= REPORT_INTERVAL || history_page.is_last {
                self.reported_at = Instant::now();
                report_progress(part, &history_page, objects, repaired, begun.elapsed());
            }
            if self.pages == 0 {
                break Ok(());
            }
        };
        let (requests, retries) = history.requests();
        self.report.count_requests(requests, retries);
        Ok(outcome)
    }

    /// Acts on the payments of a page. Payments that could not be finished are queued with the waiting events:
    /// sweeps try them again, and raise an issue if they keep failing.
    fn work_on(&mut self, part: &Part, history_page: &HistoryPage) -> Result<(), Problem> {
        let evidence: Vec<[Evidence; 1]> = history_page
            .payments
            .iter()
            .map(|payment| [Evidence::Payment(payment.clone())])
            .collect();
        let payments: Vec<PaymentEvidence> = evidence
            .iter()
            .map(|evidence| PaymentEvidence::at_last(evidence))
            .collect();
        let verdicts = act(
            self.transactions,
            &self.context,
            &payments,
            &mut self.report,
        )?;
        superseded::supersede(&payments, &verdicts, &mut self.report)?;
        let unfinished = history_page.payments.iter().zip(&verdicts);
        let unfinished: Vec<(&StripePayment, &str)> = unfinished
            .filter_map(|(payment, verdict)| match verdict {
                Verdict::Again(why) => Some((payment, why.as_str())),
                Verdict::Applied(_) | Verdict::Done(_) => None,
            })
            .collect();
        let unfinished = unfinished.iter().map(|(payment, why)| Entry {
            object: payment.ids.key().unwrap_or_default(),
            ids: &payment.ids,
            created: None,
            livemode: payment.livemode.unwrap_or_default(),
            why: Some(why),
            unless_known: false,
        });
        let references = history_page
            .references
            .iter()
            .filter(|reference| !reference.ids.is_empty())
            // Of a charge with an intent, the list of intents tells, unless it is older than the period.
            .filter(|it| part.is_gap || !it.is_charge || it.unreadable.is_some());
        let references = references.map(|reference| Entry {
            object: &reference.object,
            ids: &reference.ids,
            created: reference.created,
            livemode: reference.livemode,
            why: reference.unreadable.as_deref(),
            unless_known: reference.is_charge,
        });
        events::enqueue(part.id, &unfinished.chain(references).collect::<Vec<_>>());
        for reference in &history_page.references {
            if let Some(why) = &reference.unreadable {
                let what = format!("{}: {why}", reference.object);
                self.report.note_stripe_error(None, &what);
            }
        }
        Ok(())
    }

    /// Finds the sessions of the intents of a page: stored ones, from pages of the list of sessions, or one by one.
    fn read_sessions(
        &mut self,
        connection: &Connection,
        history_page: &mut HistoryPage,
    ) -> Result<Result<(), StripeError>, Problem> {
        recall_sessions(history_page.payments.iter_mut());
        self.seen.judge(history_page);
        let unread = |payment: &StripePayment| {
            // A payment whose session is stored is in the books, or has its issue.
            payment.lacks_session() && payment.ids.session.is_none()
        };
        let payments = std::mem::take(&mut history_page.payments).into_iter();
        let (mut open, known): (Vec<_>, Vec<_>) = payments.partition(unread);
        history_page.payments = known;
        let Some(time) = history_page.time.filter(|_| !open.is_empty()) else {
            history_page.payments.extend(open);
            return Ok(Ok(()));
        };
        // Stripe is asked about ids as it writes them.
        let account = self.account.clone();
        if account.is_some() {
            for payment in &mut open {
                payment.ids = payment.ids.unqualified();
            }
        }
        let client = Arc::new(Client::new(connection.clone(), self.deadline));
        let reading = stripe_access::reading(self.settings, self.context.mapping);
        let (limit, deadline) = (connection.concurrency, self.deadline);
        let (asked, wanted) = (Arc::clone(&client), reading.clone());
        let all = Arc::clone(&self.sessions);
        let joined = self.transactions.wait(|| {
            run_on_threads(vec![open], 1, deadline, move |mut open, stop| {
                let payments = open.iter_mut();
                let pages = join_sessions(&asked, payments, time, &wanted, &all, stop);
                pages.map(|_| open)
            })
        })?;
        let open = match joined.into_iter().flatten().next() {
            Some(Ok(open)) => open,
            Some(Err(error)) => return Ok(Err(error)),
            None => return Ok(Err(StripeError::NotAsked)),
        };
        let asked = Arc::clone(&client);
        let complete = self.transactions.wait(|| {
            run_on_threads(open, limit, deadline, move |payment, stop| {
                with_session(&asked, payment, &reading, stop)
            })
        })?;
        self.report
            .count_requests(client.requests(), client.retries());
        for payment in complete {
            match payment.unwrap_or(Err(StripeError::NotAsked)) {
                Ok(mut payment) => {
                    if account.is_some() {
                        payment.ids = payment.ids.of(account.as_deref());
                    }
                    history_page.payments.push(payment);
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }
}

fn to_be_continued(error: &StripeError) -> Problem {
    stripe_access::problem(error)
        .hint("Completed pages are kept. Call invoice_sync.backfill() to continue.")
}

fn another_runs() -> Problem {
    Problem::new(
        pgrx::prelude::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "another backfill is running in this database",
    )
    .hint("To see its progress: select * from invoice_sync.progress;")
}

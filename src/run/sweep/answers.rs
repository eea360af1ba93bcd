//! Asks Stripe about a batch of a sweep, and acts on the answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use super::Sweep;
use crate::apply::case::Case;
use crate::apply::context::Mode;
use crate::apply::invoices::{CHUNK, apply_in};
use crate::apply::orphans::Orphan;
use crate::apply::payment_evidence::{Former, PaymentEvidence};
use crate::apply::payments::{act, follow_up};
use crate::apply::report::Report;
use crate::domain::account::account_of;
use crate::domain::evidence::Evidence;
use crate::ledger::events::{Verdict, Waiting};
use crate::ledger::{stripe_accounts, unwritten_answers};
use crate::pg::Problem;
use crate::run::outage::Outage;
use crate::select::candidates::Candidate;
use crate::select::due::SelectedWork;
use crate::select::inbox;
use crate::select::sessions::with_known_sessions;
use crate::stripe::client::Connection;
use crate::stripe::error::{Asked, StripeError};
use crate::stripe::fetch::{Fetching, Finding};
use crate::stripe::lookups::Question;
use crate::stripe_access;

/// How many answers are collected before they are acted on, in one transaction. A slow Stripe must not delay what
/// was answered already.
const PORTION: usize = 200;

/// What an answer is needed for.
enum Requester {
    /// With the invoice, if it is known.
    Event(Waiting, Option<String>),
    /// With the ids that only its issues are about.
    Invoice(String, Vec<String>),
    Orphan(Orphan),
}

impl Sweep<'_> {
    /// Asks Stripe about a batch and acts on the answers; decides about the rest by the rows. If the account of the key
    /// cannot be asked, only questions about accounts with keys of their own are. Returns whether there
    /// was time for all of the latter.
    pub(super) fn process_selected(
        &self,
        mut selected: SelectedWork,
        connection: Option<&Connection>,
        outage: &mut Outage,
        report: &mut Report,
    ) -> Result<bool, Problem> {
        let own_keys = outage.is_total().then(stripe_accounts::with_own_keys);
        let may_ask = |ids: &[String]| {
            let Some(own_keys) = &own_keys else {
                return true;
            };
            let mut accounts = ids.iter().map(|id| account_of(id));
            accounts.all(|account| account.is_some_and(|account| own_keys.contains(account)))
        };
        let mut cases = Cases::new();
        let mut askers = HashMap::new();
        let mut questions = Vec::new();
        let mut ask = |asker, ids, created| {
            let about = askers.len().to_string();
            askers.insert(about.clone(), asker);
            questions.push(Question {
                about,
                ids,
                created,
                sessionless: BTreeSet::new(),
            });
        };
        let groups: Vec<(&str, &[String])> = selected
            .events
            .iter()
            .map(|(waiting, _)| (waiting.money.as_str(), waiting.events.as_slice()))
            .collect();
        let mut known = unwritten_answers::about_events(&groups);
        let mut answered = Vec::new();
        for (number, (waiting, invoice)) in selected.events.into_iter().enumerate() {
            if let Some(evidence) = known.remove(&number) {
                answered.push((waiting, vec![evidence]));
                continue;
            }
            let (ids, created) = (waiting.to_ask(), waiting.created);
            if !may_ask(&ids) {
                continue;
            }
            ask(Requester::Event(waiting, invoice), ids, created);
        }
        for candidate in &mut selected.invoices {
            if !may_ask(&candidate.ids) {
                candidate.ids.clear();
            }
        }
        let by_rows = selected.invoices.iter();
        let by_rows = by_rows.filter(|candidate| candidate.ids.is_empty());
        let by_rows = by_rows
            .map(|candidate| candidate.invoice.as_str())
            .collect();
        let mut unwritten = self.unwritten_of(&by_rows, &answered);
        for candidate in selected.invoices {
            if candidate.ids.is_empty() {
                let known = Known {
                    evidence: unwritten.remove(&candidate.invoice),
                    in_question: Vec::new(),
                };
                cases.insert(candidate.invoice, known);
            } else {
                let asker = Requester::Invoice(candidate.invoice, candidate.in_question);
                ask(asker, candidate.ids, None);
            }
        }
        for orphan in selected.orphans {
            let ids = vec![orphan.money.to_string()];
            if !may_ask(&ids) {
                continue;
            }
            ask(Requester::Orphan(orphan), ids, None);
        }
        let questions = with_known_sessions(questions);
        let connections = stripe_access::connections(connection.cloned(), &questions);
        let mut gathering = Fetching::start(
            questions,
            connections,
            self.reading.clone(),
            self.questions_until,
        )?;
        // The first portion includes the invoices about which Stripe is not asked. The next answers are fetched
        // while one portion is written. In the caller's transaction nothing is written before everything is
        // answered, because its locks last until it ends.
        let size = if self.transactions.are_own() {
            PORTION
        } else {
            usize::MAX
        };
        let mut all_judged = true;
        loop {
            let portion = self
                .transactions
                .wait(|| next_portion(&mut gathering, size));
            let is_last = portion.len() < size;
            if self.context.mode == Mode::Write {
                stripe_access::count_reads();
            }
            if own_keys.is_none() {
                outage.note(&portion);
            }
            let known = (std::mem::take(&mut answered), std::mem::take(&mut cases));
            all_judged &= self.act_on(portion, &mut askers, known, report)?;
            if is_last || Instant::now() >= self.deadline {
                break;
            }
        }
        let cost = gathering.cost();
        report.count_requests(cost.requests, cost.retries);
        report.count_planned(cost.planned);
        outage.was_asked |= cost.own_requests > 0;
        for (account, error) in cost.accounts {
            outage.note_account(&account, Asked::Objects, error);
        }
        let fatal = cost.fatal.map(|error| (Asked::Objects, error));
        outage.fatal = outage.fatal.take().or(fatal);
        Ok(all_judged)
    }

    /// Returns the answers about these invoices that could not be written, without those that are acted on as answers
    /// about events.
    fn unwritten_of(
        &self,
        invoices: &BTreeSet<&str>,
        answered: &[(Waiting, Vec<Evidence>)],
    ) -> BTreeMap<String, Vec<Evidence>> {
        let mut unwritten = unwritten_answers::of_invoices(invoices);
        let is_acted_on =
            |evidence: &Evidence| answered.iter().any(|(_, it)| it.contains(evidence));
        unwritten.retain(|_, evidence| {
            evidence.retain(|it| !is_acted_on(it));
            !evidence.is_empty()
        });
        unwritten
    }

    /// Acts on answers, and on events and invoices whose answers are known. Returns whether there was time for all
    /// of them.
    fn act_on(
        &self,
        findings: Vec<Finding>,
        askers: &mut HashMap<String, Requester>,
        (mut answered_events, mut cases): (Vec<(Waiting, Vec<Evidence>)>, Cases),
        report: &mut Report,
    ) -> Result<bool, Problem> {
        let mut orphans = Vec::new();
        let mut failed = Vec::new();
        for finding in findings {
            let Some(asker) = askers.remove(&finding.about) else {
                continue;
            };
            match (asker, finding.evidence) {
                (Requester::Invoice(invoice, in_question), Ok(evidence)) => {
                    let evidence = Some(evidence);
                    let known = Known {
                        evidence,
                        in_question,
                    };
                    cases.insert(invoice, known);
                }
                (Requester::Event(waiting, _), Ok(evidence)) => {
                    answered_events.push((waiting, evidence))
                }
                (Requester::Orphan(orphan), Ok(evidence)) => orphans.push((orphan, evidence)),
                // The next sweep asks; nothing has to be corrected.
                (_, Err(StripeError::NotAsked)) => {}
                (Requester::Orphan(_), Err(error)) => {
                    report.note_stripe_error(None, &error.to_string());
                }
                (Requester::Invoice(invoice, _), Err(error)) => {
                    report.note_stripe_error(Some(&invoice), &error.to_string());
                }
                (Requester::Event(waiting, invoice), Err(error)) => {
                    report.note_stripe_error(invoice.as_deref(), &error.to_string());
                    failed.push((waiting.events, Verdict::Again(error.to_string())));
                }
            }
        }
        self.act_on_events(answered_events, failed, report)?;
        self.act_on_orphans(&orphans, report)?;
        self.transactions.commit();
        self.judge(&cases, report)
    }

    /// Acts on the answers about payments of events.
    fn act_on_events(
        &self,
        answered: Vec<(Waiting, Vec<Evidence>)>,
        failed: Vec<(Vec<String>, Verdict)>,
        report: &mut Report,
    ) -> Result<(), Problem> {
        let payments: Vec<PaymentEvidence> = answered
            .iter()
            .map(|(waiting, evidence)| PaymentEvidence {
                evidence,
                waited: waiting.waited,
                former: None,
            })
            .collect();
        let mut verdicts = Vec::new();
        for chunk in payments.chunks(CHUNK) {
            if Instant::now() >= self.deadline {
                break;
            }
            verdicts.extend(act(self.transactions, &self.context, chunk, report)?);
        }
        let acted = answered.iter().zip(&verdicts);
        let settled: Vec<(&[String], &Verdict)> = acted
            .map(|((waiting, _), verdict)| (waiting.events.as_slice(), verdict))
            .chain(
                failed
                    .iter()
                    .map(|(events, verdict)| (&events[..], verdict)),
            )
            .collect();
        inbox::settle(&settled, report);
        Ok(())
    }

    /// Acts on payments that only issues of deleted invoices are about.
    fn act_on_orphans(
        &self,
        answered: &[(Orphan, Vec<Evidence>)],
        report: &mut Report,
    ) -> Result<(), Problem> {
        let payments: Vec<PaymentEvidence> = answered
            .iter()
            .map(|(orphan, evidence)| PaymentEvidence {
                former: Some(Former {
                    invoice: &orphan.invoice,
                    label: &orphan.label,
                }),
                ..PaymentEvidence::at_last(evidence)
            })
            .collect();
        act(self.transactions, &self.context, &payments, report).map(|_| ())
    }

    /// Decides about invoices by their rows alone. Returns whether there was time for all of them.
    pub(super) fn judge_by_rows(
        &self,
        candidates: Vec<Candidate>,
        report: &mut Report,
    ) -> Result<bool, Problem> {
        let known = candidates
            .into_iter()
            .map(|it| (it.invoice, Known::default()));
        self.judge(&known.collect(), report)
    }

    /// Decides about invoices by Stripe's answers, or by their rows alone. Returns whether there was time for all
    /// of them.
    fn judge(&self, cases: &Cases, report: &mut Report) -> Result<bool, Problem> {
        let cases: Vec<Case> = cases
            .iter()
            .map(|(invoice, known)| Case {
                invoice,
                evidence: known.evidence.as_deref(),
                in_question: &known.in_question,
                is_new: false,
                is_alone: false,
            })
            .collect();
        for chunk in cases.chunks(CHUNK) {
            if Instant::now() >= self.deadline {
                return Ok(false);
            }
            let verdicts = apply_in(self.transactions, &self.context, chunk, report)?;
            follow_up(self.transactions, &self.context, chunk, &verdicts, report)?;
        }
        Ok(true)
    }
}

/// What is known of each invoice.
type Cases = BTreeMap<String, Known>;

#[derive(Default)]
struct Known {
    /// `None` if Stripe was not asked.
    evidence: Option<Vec<Evidence>>,
    /// Ids that were looked up only because open issues of the invoice are about them.
    in_question: Vec<String>,
}

/// Waits for `size` answers, or the last ones, and returns them with the answers that are ready by then, up to the
/// number that is written together.
fn next_portion(gathering: &mut Fetching, size: usize) -> Vec<Finding> {
    let mut portion = Vec::new();
    while portion.len() < size {
        match gathering.next() {
            Some(findings) => portion.extend(findings),
            None => return portion,
        }
    }
    while portion.len() < CHUNK
        && let Some(findings) = gathering.at_hand()
    {
        portion.extend(findings);
    }
    portion
}

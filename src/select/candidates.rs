//! The invoices that are worth a look, and the ids that Stripe is asked about for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::host::candidates;
use crate::host::candidates::CandidateRow;
use crate::host::mapping::Mapping;
use crate::ledger::{checks, issues};

/// An invoice to process.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The invoice's id, as text.
    pub(crate) invoice: String,
    /// The ids to ask Stripe about: those that the invoice stores, then those of payments that are pending or that
    /// name a session without its intent (which may be the invoice's), then those that issues are about. Empty if
    /// its rows contradict each other and Stripe need not be asked.
    pub(crate) ids: Vec<String>,
    /// The ids among them that only issues are about.
    pub(crate) in_question: Vec<String>,
}

impl Candidate {
    /// Creates a candidate about which Stripe is not asked.
    pub(crate) fn by_its_rows(invoice: String) -> Self {
        Self {
            invoice,
            ids: Vec::new(),
            in_question: Vec::new(),
        }
    }
}

/// Selects the candidates among invoices.
///
/// Stripe is asked about invoices whose ids have no money in the books, or that have an open issue about a Stripe
/// object, if it was never asked about them, or with other ids, or if they are due.
pub(crate) struct CandidateFilter {
    /// Seconds since 1970.
    now: f64,
    /// The objects that open issues are about, and payments whose rows await values, by invoice.
    in_question: BTreeMap<String, Vec<String>>,
    /// These invoices as a JSON array.
    pub(crate) invoices_in_question: String,
}

impl CandidateFilter {
    /// Reads the open issues. `now` is in seconds since 1970.
    pub(crate) fn new(now: f64) -> Self {
        let mut in_question = issues::objects_in_question(None);
        for (invoice, payments) in checks::awaited(now) {
            in_question.entry(invoice).or_default().extend(payments);
        }
        Self {
            now,
            invoices_in_question: json!(in_question.keys().collect::<Vec<_>>()).to_string(),
            in_question,
        }
    }

    /// Returns the candidates among these invoices.
    pub(crate) fn among(&self, mapping: &Mapping, invoices: &[String]) -> Vec<Candidate> {
        let rows = candidates::among(mapping, invoices, &self.invoices_in_question);
        let candidates = self.candidates(mapping, rows).into_iter();
        candidates.map(|(_, candidate)| candidate).collect()
    }

    /// Returns the candidates among preselected rows, each with its position.
    pub(crate) fn candidates(
        &self,
        mapping: &Mapping,
        rows: Vec<CandidateRow>,
    ) -> Vec<(String, Candidate)> {
        let unsettled = rows.iter().filter(|it| it.is_unsettled).map(|it| {
            let id = Some(it.invoice.as_str());
            [id, it.session.as_deref(), it.intent.as_deref()]
        });
        let mut to_be_asked = checks::to_be_asked(unsettled, self.now);
        if mapping.payments.have_no_ids() {
            // A row that was a payment may be gone, which no id in another row says.
            let suspects = rows.iter().filter(|it| it.is_suspect);
            let suspects = suspects.map(|it| it.invoice.as_str());
            to_be_asked.extend(checks::with_lost_payments(suspects, self.now));
        }
        rows.into_iter()
            .filter_map(|it| {
                let candidate = if to_be_asked.contains(&it.invoice) {
                    self.asking(&it)
                } else if it.is_suspect {
                    Candidate::by_its_rows(it.invoice)
                } else {
                    return None;
                };
                Some((it.place, candidate))
            })
            .collect()
    }

    fn asking(&self, row: &CandidateRow) -> Candidate {
        let stored = [&row.session, &row.intent];
        let mut ids: Vec<String> = stored.into_iter().flatten().cloned().collect();
        ids.extend(row.open_ids.iter().cloned());
        let in_question = self.in_question.get(&row.invoice);
        let in_question = in_question.into_iter().flatten();
        let in_question: Vec<String> = in_question
            .filter(|id| !ids.contains(id))
            .cloned()
            .collect();
        ids.extend(in_question.iter().cloned());
        let mut seen = BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        Candidate {
            invoice: row.invoice.clone(),
            ids,
            in_question,
        }
    }
}

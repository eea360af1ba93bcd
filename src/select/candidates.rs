//! The invoices that are worth a look, and the ids that Stripe is asked about for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::host::candidates;
use crate::host::candidates::CandidateRow;
use crate::host::mapping::Mapping;
use crate::host::read::stored_ids;
use crate::ledger::{checks, issues};

/// An invoice to look at.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The invoice's id, as text.
    pub(crate) invoice: String,
    /// What Stripe is to be asked about: the ids that the invoice stores, then
    /// those of payments that still wait for their money or that name a session
    /// without its intent (it might be the invoice's), then those that issues are
    /// about. Empty where its own rows do not agree, and Stripe is not to be asked.
    pub(crate) ids: Vec<String>,
    /// Those of them that only issues are about.
    pub(crate) in_question: Vec<String>,
}

impl Candidate {
    /// One that Stripe is not asked about.
    pub(crate) fn by_its_rows(invoice: String) -> Self {
        Self {
            invoice,
            ids: Vec::new(),
            in_question: Vec::new(),
        }
    }
}

/// Tells candidates from others.
///
/// Stripe is to be asked about the invoices whose ids have no money in the books
/// yet, or that have an open issue about something of Stripe's, and that were
/// never asked about, or with other ids, or are due.
pub(crate) struct CandidateFilter {
    /// Seconds since 1970.
    now: f64,
    /// What open issues are about, by invoice.
    in_question: BTreeMap<String, Vec<String>>,
    /// These invoices, as a JSON array.
    pub(crate) invoices_in_question: String,
}

impl CandidateFilter {
    /// With the issues that are open now, and what is due at `now` (seconds since 1970).
    pub(crate) fn new(now: f64) -> Self {
        let in_question = issues::objects_in_question(None);
        Self {
            now,
            invoices_in_question: json!(in_question.keys().collect::<Vec<_>>()).to_string(),
            in_question,
        }
    }

    /// Which of these invoices are worth a look.
    pub(crate) fn among(&self, mapping: &Mapping, invoices: &[String]) -> Vec<Candidate> {
        let rows = candidates::among(mapping, invoices, &self.invoices_in_question);
        let candidates = self.candidates(rows).into_iter();
        candidates.map(|(_, candidate)| candidate).collect()
    }

    /// The candidates among preselected rows, each with its place.
    pub(crate) fn candidates(&self, rows: Vec<CandidateRow>) -> Vec<(String, Candidate)> {
        let unsettled = rows.iter().filter(|it| it.is_unsettled).map(|it| {
            let id = Some(it.invoice.as_str());
            [id, it.session.as_deref(), it.intent.as_deref()]
        });
        let to_be_asked = checks::to_be_asked(unsettled, self.now);
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
        let mut ids = stored_ids(&row.session, &row.intent);
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

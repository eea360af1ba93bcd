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
        let in_question = issues::objects_in_question();
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
                let ids = if to_be_asked.contains(&it.invoice) {
                    self.ids_of(&it)
                } else if it.is_suspect {
                    Vec::new()
                } else {
                    return None;
                };
                let invoice = it.invoice;
                Some((it.place, Candidate { invoice, ids }))
            })
            .collect()
    }

    fn ids_of(&self, row: &CandidateRow) -> Vec<String> {
        let mut ids = stored_ids(&row.session, &row.intent);
        ids.extend(row.open_ids.iter().cloned());
        let in_question = self.in_question.get(&row.invoice);
        ids.extend(in_question.into_iter().flatten().cloned());
        let mut seen = BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        ids
    }
}

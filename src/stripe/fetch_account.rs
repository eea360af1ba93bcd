//! Splits a fetch by Stripe account: the questions, and the answers with the ids of their account.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StripeError;
use super::lookups::Question;
use crate::domain::account::{account_of, qualified, unqualified};
use crate::domain::evidence::Evidence;
use crate::domain::identity::StripeId;

/// The index of a lookup, and its answer.
pub(super) type Answered = (usize, Result<Vec<Evidence>, StripeError>);

/// Returns the answers of an account with their indexes among all lookups, `places`, and with ids of this account.
pub(super) fn of_all(
    account: Option<&str>,
    places: &[usize],
    answered: Vec<Answered>,
) -> Vec<Answered> {
    let of = |found: Vec<Evidence>| {
        found
            .into_iter()
            .map(|it| of_account(account, it))
            .collect()
    };
    answered
        .into_iter()
        .filter_map(|(index, answer)| Some((*places.get(index)?, answer.map(of))))
        .collect()
}

fn of_account(account: Option<&str>, found: Evidence) -> Evidence {
    let of = |id: StripeId| StripeId::parse(&qualified(account, id.as_str())).unwrap_or(id);
    match found {
        Evidence::Payment(payment) => Evidence::Payment(payment.of(account)),
        Evidence::Missing { id, message } => Evidence::Missing {
            id: of(id),
            message,
        },
        Evidence::OtherMode { id, message } => Evidence::OtherMode {
            id: of(id),
            message,
        },
        Evidence::NotAnId { text } => Evidence::NotAnId {
            text: qualified(account, unqualified(&text)),
        },
    }
}

/// Splits the questions by the account of their first id. Each comes with its index, and with ids as Stripe writes them;
/// ids of another account are left out: what is about one account is not asked of another.
pub(super) fn by_account(
    questions: Vec<Question>,
) -> BTreeMap<Option<String>, Vec<(usize, Question)>> {
    let mut accounts: BTreeMap<Option<String>, Vec<(usize, Question)>> = BTreeMap::new();
    for (place, mut question) in questions.into_iter().enumerate() {
        let account = question.ids.first().and_then(|id| account_of(id));
        let account = account.map(str::to_owned);
        let is_own = |id: &&String| account_of(id) == account.as_deref();
        // A text of a row with a separator in it stays one that is no id.
        let bare = |id: &String| qualified(None, unqualified(id));
        let ids = question.ids.iter().filter(is_own).map(bare).collect();
        let sessionless = question
            .sessionless
            .iter()
            .filter(is_own)
            .map(bare)
            .collect();
        (question.ids, question.sessionless) = (ids, sessionless);
        accounts.entry(account).or_default().push((place, question));
    }
    accounts
}

/// Returns the ids that more than one lookup asks about.
pub(super) fn ids_of_several(questions: &[Question]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let ids = questions.iter().flat_map(|question| &question.ids);
    ids.map(|id| id.trim())
        .filter(|id| !seen.insert(*id))
        .map(str::to_owned)
        .collect()
}

//! Pages of Stripe's lists.
//!
//! Source: <https://docs.stripe.com/api/pagination>.

use serde_json::Value;

use super::client::{Answer, Client};
use super::error::StripeError;
use super::planner::{PageContents, Start};
use crate::domain::identity::ObjectKind;
use crate::pg::Stop;

/// A page in Stripe's order, the newest object first.
pub(super) struct Page {
    pub(super) objects: Vec<Value>,
    pub(super) has_more: bool,
    pub(super) request_id: Option<String>,
    pub(super) date: Option<i64>,
    /// When the page was requested, in microseconds since 1970.
    pub(super) asked_at: i64,
}

/// Reads an answer that is a list. Fails if a documented field is missing or of another type.
pub(super) fn read_list(answer: Answer) -> Result<Page, StripeError> {
    let Answer {
        mut body,
        request_id,
        date,
        asked_at,
    } = answer;
    let has_more = body
        .get("has_more")
        .and_then(Value::as_bool)
        .ok_or_else(|| StripeError::missing("has_more"))?;
    match body.get_mut("data").map(Value::take) {
        Some(Value::Array(objects)) => Ok(Page {
            objects,
            has_more,
            request_id,
            date,
            asked_at,
        }),
        _ => Err(StripeError::missing("data")),
    }
}

/// The lists whose pages replace many retrievals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// `GET /v1/checkout/sessions`
    Sessions,
    /// `GET /v1/payment_intents`
    Intents,
}

impl List {
    /// Returns the kind of its objects.
    pub(super) fn kind(self) -> ObjectKind {
        match self {
            Self::Sessions => ObjectKind::CheckoutSession,
            Self::Intents => ObjectKind::PaymentIntent,
        }
    }

    /// Requests a page whose objects are expanded as in a retrieval.
    pub(super) fn read_page(
        self,
        client: &Client,
        start: &Start,
        stop: &Stop,
    ) -> Result<Page, StripeError> {
        self.read_page_of(&[], client, start, stop)
    }

    /// As [`Self::read_page`], of the objects that could have received money: sessions are `complete` once they were paid, or
    /// their payment is under way. Stripe does not filter intents.
    /// Source: <https://docs.stripe.com/api/checkout/sessions/list>.
    pub(super) fn read_page_of_payable(
        self,
        client: &Client,
        start: &Start,
        stop: &Stop,
    ) -> Result<Page, StripeError> {
        let filter: &[_] = match self {
            Self::Sessions => &[("status", "complete")],
            Self::Intents => &[],
        };
        self.read_page_of(filter, client, start, stop)
    }

    fn read_page_of(
        self,
        filter: &[(&str, &str)],
        client: &Client,
        start: &Start,
        stop: &Stop,
    ) -> Result<Page, StripeError> {
        let (path, charge) = match self {
            Self::Sessions => ("/v1/checkout/sessions", "data.payment_intent.latest_charge"),
            Self::Intents => ("/v1/payment_intents", "data.latest_charge"),
        };
        read_page(client, path, filter, Some(charge), start, stop)
    }
}

/// Requests a page of the list at `path`, with the charges at the path `charge` of the answer.
pub(super) fn read_page(
    client: &Client,
    path: &str,
    filter: &[(&str, &str)],
    charge: Option<&str>,
    start: &Start,
    stop: &Stop,
) -> Result<Page, StripeError> {
    let mut query = filter.to_vec();
    let created;
    match start {
        Start::Newest => {}
        Start::At(at) => {
            created = at.to_string();
            query.push(("created[lte]", &created));
        }
        Start::After(id) => query.push(("starting_after", id)),
    }
    let answer = match charge {
        Some(charge) => client.get_page_with_charges(path, &query, charge, stop),
        None => client.get_page(path, &query, stop),
    };
    answer.and_then(read_list)
}

impl Page {
    /// Returns what the planner needs of the page. Objects without an id or a time of creation are left out.
    pub(super) fn contents(&self) -> PageContents {
        let objects = self
            .objects
            .iter()
            .filter_map(|object| {
                let id = object.get("id")?.as_str()?;
                Some((id.to_owned(), object.get("created")?.as_i64()?))
            })
            .collect();
        PageContents {
            objects,
            has_more: self.has_more,
        }
    }
}

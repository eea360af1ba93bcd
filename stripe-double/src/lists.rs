//! Lists: filters, pages and cursors. Pages are sorted from the newest object in both directions.

use crate::auth::Viewer;
use crate::errors::ApiError;
use crate::expand::Expansion;
use crate::objects::Kind;
use crate::params::Params;
use crate::store::{Place, Record, Store};
use serde_json::{Value, json};
use std::ops::Bound;

/// The parameters of all lists.
const COMMON: [&str; 5] = [
    "limit",
    "starting_after",
    "ending_before",
    "expand",
    "created",
];

/// The most `types[]` that Stripe accepts.
const MAX_TYPES: usize = 20;

/// Returns the fields by which a list of this kind can be filtered.
fn filters(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Session => &[
            "payment_intent",
            "status",
            "customer",
            "subscription",
            "payment_link",
        ],
        Kind::Intent => &["customer"],
        Kind::Charge => &["payment_intent", "customer", "transfer_group"],
        Kind::Refund | Kind::Dispute => &["charge", "payment_intent"],
        Kind::BalanceTransaction => &["source", "type", "currency"],
        Kind::Invoice => &["customer", "status"],
        Kind::InvoicePayment => &["invoice", "status", "payment"],
        Kind::CreditNote => &["customer", "invoice"],
        Kind::Event => &["type"],
    }
}

/// Answers a list request.
pub(crate) fn list(
    store: &mut Store,
    viewer: &Viewer,
    kind: Kind,
    params: &Params,
) -> Result<Value, ApiError> {
    let mut known = COMMON.to_vec();
    known.extend(filters(kind));
    if kind == Kind::Event {
        known.extend(["types", "delivery_success"]);
    }
    params.refuse_others_than(&known)?;
    let limit = params.limit()?;
    let expansion = Expansion::of_list(kind, &params.all("expand"), viewer)?;
    if kind == Kind::Event {
        store.event_lists += 1;
    }
    let store = &*store;
    let wanted = Wanted::read(kind, params)?;
    let page = Page::read(store, viewer, kind, params)?;
    let (found, has_more) = page.take(store, viewer, &wanted, limit, params)?;
    let data: Vec<Value> = found
        .into_iter()
        .map(|record| {
            let mut object = record.render();
            expansion.apply(store, viewer, &mut object);
            Value::Object(object)
        })
        .collect();
    Ok(json!({ "object": "list", "url": kind.list_path(), "has_more": has_more, "data": data }))
}

/// The filters of a list request.
struct Wanted<'a> {
    equal: Vec<(&'static str, &'a str)>,
    types: Vec<&'a str>,
    delivered: Option<bool>,
}

impl<'a> Wanted<'a> {
    fn read(kind: Kind, params: &'a Params) -> Result<Self, ApiError> {
        let types = params.all("types");
        if types.len() > MAX_TYPES {
            let message = format!("You may only specify up to {MAX_TYPES} event types.");
            return Err(ApiError::invalid(message).about("types"));
        }
        if !types.is_empty() && params.one("type").is_some() {
            let message = "You may only specify one of these parameters: type, types.";
            return Err(ApiError::invalid(message).about("types"));
        }
        let delivered = match params.one("delivery_success") {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => {
                let message = format!("Invalid boolean: {other}");
                return Err(ApiError::invalid(message).about("delivery_success"));
            }
        };
        let parameter = |field: &&'static str| match *field {
            "payment" => "payment[payment_intent]",
            field => field,
        };
        let given = |field: &&'static str| Some((*field, params.one(parameter(field))?));
        Ok(Wanted {
            equal: filters(kind).iter().filter_map(given).collect(),
            types,
            delivered,
        })
    }

    fn matches(&self, record: &Record) -> bool {
        let delivered = || record.int("pending_webhooks") == 0;
        self.equal
            .iter()
            .all(|(field, value)| match (*field, record.text(field)) {
                ("type", Some(is)) => matches_type(value, is),
                ("payment", _) => {
                    let payment = record.get("payment");
                    let intent = payment.and_then(|it| it.get("payment_intent")?.as_str());
                    intent == Some(*value)
                }
                (_, is) => is == Some(*value),
            })
            && (self.types.is_empty() || {
                let is = record.text("type").unwrap_or_default();
                self.types.iter().any(|wanted| matches_type(wanted, is))
            })
            && self.delivered.is_none_or(|wanted| wanted == delivered())
    }
}

/// Returns whether a type is equal to `wanted` or in its group, as in `type=charge.*`.
fn matches_type(wanted: &str, is: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(group) => is.starts_with(group),
        None => wanted == is,
    }
}

/// The range of a page among all objects of a kind.
struct Page {
    kind: Kind,
    after: Bound<Place>,
    before: Bound<Place>,
    /// With `ending_before`, the page is filled from its oldest object.
    forward: bool,
}

impl Page {
    fn read(store: &Store, viewer: &Viewer, kind: Kind, params: &Params) -> Result<Self, ApiError> {
        let span = params.created()?;
        let mut page = Page {
            kind,
            after: Bound::Included((span.from, 0)),
            before: Bound::Included((span.to, u64::MAX)),
            forward: false,
        };
        let cursor = |name| -> Result<Option<Place>, ApiError> {
            let Some(id) = params.one(name) else {
                return Ok(None);
            };
            let found = viewer.find(store, kind, id);
            let found = found.map_err(|error| error.for_parameter(name))?;
            Ok(Some(found.place))
        };
        match (cursor("starting_after")?, cursor("ending_before")?) {
            (Some(_), Some(_)) => {
                let message =
                    "You may only specify one of these parameters: starting_after, ending_before.";
                Err(ApiError::invalid(message).about("starting_after"))
            }
            (Some(place), None) if place <= (span.to, u64::MAX) => {
                page.before = Bound::Excluded(place);
                Ok(page)
            }
            (None, Some(place)) => {
                page.forward = true;
                if place >= (span.from, 0) {
                    page.after = Bound::Excluded(place);
                }
                Ok(page)
            }
            _ => Ok(page),
        }
    }

    fn contains(&self, place: &Place) -> bool {
        use std::ops::RangeBounds;
        (self.after, self.before).contains(place)
    }

    fn is_empty(&self) -> bool {
        let place = |bound: Bound<Place>| match bound {
            Bound::Included(place) => (place, true),
            Bound::Excluded(place) => (place, false),
            Bound::Unbounded => ((0, 0), true),
        };
        let ((after, first), (before, last)) = (place(self.after), place(self.before));
        after > before || (after == before && !(first && last))
    }

    /// Returns the page's objects, the newest first, and whether there are more in its direction.
    fn take<'s>(
        &self,
        store: &'s Store,
        viewer: &Viewer,
        wanted: &Wanted,
        limit: usize,
        params: &Params,
    ) -> Result<(Vec<&'s Record>, bool), ApiError> {
        if self.is_empty() {
            return Ok((Vec::new(), false));
        }
        let listed = |id: &String| {
            let record = store.get(id)?;
            let listed = viewer.sees(record)
                && wanted.matches(record)
                && store.is_listed(record)
                && !store.is_forgotten(record);
            listed.then_some(record)
        };
        let children = self.children(store, viewer, params)?;
        let mut found: Vec<&Record> = match (children, store.places(self.kind)) {
            (Some(ids), _) => {
                let ids = ids.iter();
                match self.forward {
                    true => ids.filter_map(listed).take(limit + 1).collect(),
                    false => ids.rev().filter_map(listed).take(limit + 1).collect(),
                }
            }
            (None, Some(places)) => {
                let ids = places.range((self.after, self.before)).map(|(_, id)| id);
                match self.forward {
                    true => ids.filter_map(listed).take(limit + 1).collect(),
                    false => ids.rev().filter_map(listed).take(limit + 1).collect(),
                }
            }
            (None, None) => Vec::new(),
        };
        let has_more = found.len() > limit;
        found.truncate(limit);
        if self.forward {
            found.reverse();
        }
        Ok((found, has_more))
    }

    /// Returns the objects to search, the oldest first, if the request names their intent, charge or Stripe Invoice.
    fn children(
        &self,
        store: &Store,
        viewer: &Viewer,
        params: &Params,
    ) -> Result<Option<Vec<String>>, ApiError> {
        for (field, parent_kind) in [
            ("charge", Kind::Charge),
            ("payment_intent", Kind::Intent),
            ("invoice", Kind::Invoice),
        ] {
            if !filters(self.kind).contains(&field) {
                continue;
            }
            let Some(parent) = params.one(field) else {
                continue;
            };
            let found = viewer.find(store, parent_kind, parent);
            found.map_err(|error| error.for_parameter(field))?;
            if let Some(places) = store.child_places(self.kind, field, parent) {
                let places = places.iter().filter(|place| self.contains(place));
                let ids = places.filter_map(|place| store.id_at(self.kind, place).cloned());
                return Ok(Some(ids.collect()));
            }
        }
        Ok(None)
    }
}

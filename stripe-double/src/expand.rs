//! `expand[]`: replaces ids by the objects they name.

use crate::auth::Viewer;
use crate::errors::ApiError;
use crate::objects::Kind;
use crate::store::Store;
use serde_json::{Map, Value, json};

/// The most levels of one path that Stripe expands.
const MAX_LEVELS: usize = 4;

/// The checked paths of a request, without the prefix `data` of lists.
#[derive(Debug)]
pub(crate) struct Expansion<'a> {
    kind: Kind,
    paths: Vec<Vec<&'a str>>,
}

enum Expandable {
    /// The id of an object that the double has.
    Object(Kind),
    /// The refunds of a charge.
    Refunds,
    /// Expandable at Stripe, but not here: stays an id or null.
    Untouched,
}

impl<'a> Expansion<'a> {
    /// Checks the paths of a request for one object.
    pub(crate) fn of_object(
        kind: Kind,
        paths: &[&'a str],
        viewer: &Viewer,
    ) -> Result<Self, ApiError> {
        Self::check(kind, paths, viewer, |path| Ok(path.split('.').collect()))
    }

    /// Checks the paths of a request for a list, which must all begin with `data`.
    pub(crate) fn of_list(
        kind: Kind,
        paths: &[&'a str],
        viewer: &Viewer,
    ) -> Result<Self, ApiError> {
        Self::check(kind, paths, viewer, |path| {
            let inner = path.strip_prefix("data.").ok_or_else(|| {
                let message = format!(
                    "This property cannot be expanded ({path}). You may want to try expanding \
                     'data.{path}' instead."
                );
                ApiError::invalid(message).about("expand")
            })?;
            Ok(inner.split('.').collect())
        })
    }

    fn check(
        kind: Kind,
        paths: &[&'a str],
        viewer: &Viewer,
        split: impl Fn(&'a str) -> Result<Vec<&'a str>, ApiError>,
    ) -> Result<Self, ApiError> {
        let mut checked = Vec::new();
        for path in paths {
            if path.split('.').count() > MAX_LEVELS {
                let message = format!(
                    "You cannot expand more than {MAX_LEVELS} levels of a property. Property: {path}"
                );
                return Err(ApiError::invalid(message).about("expand"));
            }
            let steps = split(path)?;
            check_path(kind, &steps, viewer)?;
            checked.push(steps);
        }
        Ok(Expansion {
            kind,
            paths: checked,
        })
    }

    /// Expands a rendered object.
    pub(crate) fn apply(&self, store: &Store, viewer: &Viewer, object: &mut Map<String, Value>) {
        for path in &self.paths {
            expand(self.kind, path, store, viewer, object);
        }
    }
}

fn expandable(kind: Kind, field: &str) -> Option<Expandable> {
    use Expandable::{Object, Refunds, Untouched};
    match (kind, field) {
        (Kind::Session | Kind::Charge | Kind::Refund | Kind::Dispute, "payment_intent") => {
            Some(Object(Kind::Intent))
        }
        (Kind::Intent, "latest_charge") | (Kind::Refund | Kind::Dispute, "charge") => {
            Some(Object(Kind::Charge))
        }
        (Kind::Charge | Kind::Refund, "balance_transaction") => {
            Some(Object(Kind::BalanceTransaction))
        }
        (Kind::Session | Kind::InvoicePayment, "invoice") => Some(Object(Kind::Invoice)),
        (Kind::Charge, "refunds") => Some(Refunds),
        (Kind::Session, "line_items" | "payment_link" | "setup_intent" | "subscription")
        | (Kind::Session | Kind::Intent | Kind::Charge | Kind::Invoice, "customer")
        | (Kind::Intent, "payment_method" | "application" | "on_behalf_of" | "review") => {
            Some(Untouched)
        }
        _ => None,
    }
}

fn check_path(kind: Kind, path: &[&str], viewer: &Viewer) -> Result<(), ApiError> {
    let Some((field, rest)) = path.split_first() else {
        return Ok(());
    };
    match expandable(kind, field) {
        Some(Expandable::Object(kind)) => {
            viewer.require(kind.permission())?;
            check_path(kind, rest, viewer)
        }
        Some(Expandable::Refunds) if rest.is_empty() => viewer.require(Kind::Refund.permission()),
        Some(Expandable::Untouched) if rest.is_empty() => Ok(()),
        _ => {
            let refused = path.join(".");
            let message = format!("This property cannot be expanded ({refused}).");
            Err(ApiError::invalid(message).about("expand"))
        }
    }
}

fn expand(
    kind: Kind,
    path: &[&str],
    store: &Store,
    viewer: &Viewer,
    object: &mut Map<String, Value>,
) {
    let Some((field, rest)) = path.split_first() else {
        return;
    };
    match expandable(kind, field) {
        Some(Expandable::Object(kind)) => {
            let Some(value) = object.get_mut(*field) else {
                return;
            };
            let named = value.as_str().and_then(|id| store.get(id));
            if let Some(record) = named.filter(|found| found.kind == kind && viewer.sees(found)) {
                *value = Value::Object(record.render());
            }
            if let Value::Object(inner) = value {
                expand(kind, rest, store, viewer, inner);
            }
        }
        Some(Expandable::Refunds) => {
            let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
            let refunds = store.children(Kind::Refund, "charge", id);
            let refunds = refunds.iter().rev().filter_map(|id| store.get(id));
            let data: Vec<Value> = refunds.map(|found| found.render().into()).collect();
            let url = format!("/v1/charges/{id}/refunds");
            let list = json!({ "object": "list", "data": data, "has_more": false, "url": url });
            object.insert("refunds".into(), list);
        }
        Some(Expandable::Untouched) | None => {}
    }
}

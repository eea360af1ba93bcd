//! Stripe's endpoints.

use crate::answer::Answer;
use crate::auth::Viewer;
use crate::clock::http_date;
use crate::errors::ApiError;
use crate::expand::Expansion;
use crate::http::Request;
use crate::lists;
use crate::lock::lock;
use crate::objects::{self, Kind};
use crate::params::{Params, decode};
use crate::state::Shared;
use crate::store::{Store, is_before_basil};
use serde_json::{Map, Value};

/// The permission that a restricted key needs to read its account.
const ACCOUNT_PERMISSION: &str = "rak_accounts_kyc_basic_read";

/// Answers a request to Stripe's API.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Answer {
    let result = resolve(&mut lock(&shared.store), shared, request);
    match result {
        Ok(body) => sign(shared, request, Answer::json(200, &body)),
        Err(error) => refuse(shared, request, error),
    }
}

/// Answers with an error.
pub(crate) fn refuse(shared: &Shared, request: &Request, error: ApiError) -> Answer {
    let mut store = lock(&shared.store);
    let id = store.ids.request();
    let key = request.header("authorization").unwrap_or_default();
    let mode = if key.contains("_live_") { "" } else { "test/" };
    let now = store.clock.now();
    let log_url = format!("https://dashboard.stripe.com/{mode}logs/{id}?t={now}");
    drop(store);
    identify(shared, request, error.answer(log_url), id)
}

fn sign(shared: &Shared, request: &Request, answer: Answer) -> Answer {
    let id = lock(&shared.store).ids.request();
    identify(shared, request, answer, id)
}

fn identify(shared: &Shared, request: &Request, answer: Answer, id: String) -> Answer {
    let version = request.header("stripe-version");
    let now = lock(&shared.store).clock.now();
    answer
        .with("Date", http_date(now))
        .with("Request-Id", id)
        .with("Stripe-Version", version.unwrap_or(&shared.api_version))
}

fn resolve(store: &mut Store, shared: &Shared, request: &Request) -> Result<Value, ApiError> {
    let keys = lock(&shared.keys).clone();
    let viewer = Viewer::of(request, &keys, store)?;
    let path = request.path.as_str();
    if request.method != "GET" {
        return Err(ApiError::unknown_url(&request.method, path));
    }
    let params = Params::parse(&request.query);
    if path == "/v1/account" {
        viewer.require(ACCOUNT_PERMISSION)?;
        params.refuse_others_than(&["expand"])?;
        return Ok(objects::account(&viewer.account));
    }
    let version = request.header("stripe-version");
    let is_old = is_before_basil(version.unwrap_or(&store.api_version));
    for kind in Kind::ALL {
        if kind == Kind::InvoicePayment && is_old {
            continue;
        }
        match path.strip_prefix(kind.list_path()) {
            Some("") => {
                viewer.require(kind.permission())?;
                let mut list = lists::list(store, &viewer, kind, &params)?;
                let objects = list["data"].as_array_mut().into_iter().flatten();
                for object in objects.filter_map(Value::as_object_mut).filter(|_| is_old) {
                    store.as_before_basil(kind, object);
                }
                return Ok(list);
            }
            Some(rest) => {
                let id = rest.strip_prefix('/').map(decode);
                if let Some(id) = id.filter(|id| !id.is_empty() && !id.contains('/')) {
                    let mut object = retrieve(store, &viewer, kind, &id, &params)?;
                    if is_old {
                        store.as_before_basil(kind, &mut object);
                    }
                    return Ok(Value::Object(object));
                }
            }
            None => {}
        }
    }
    Err(ApiError::unknown_url(&request.method, path))
}

fn retrieve(
    store: &Store,
    viewer: &Viewer,
    kind: Kind,
    id: &str,
    params: &Params,
) -> Result<Map<String, Value>, ApiError> {
    viewer.require(kind.permission())?;
    params.refuse_others_than(&["expand"])?;
    let expansion = Expansion::of_object(kind, &params.all("expand"), viewer)?;
    let mut object = viewer.find(store, kind, id)?.render();
    expansion.apply(store, viewer, &mut object);
    Ok(object)
}

//! One HTTP exchange with a service that gets a secret, for the clients of Stripe and Resend. Knows no
//! PostgreSQL, so it may run on threads.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::json;
use crate::settings::Secret;

/// An answer is some kilobytes; a full page of a list some hundreds.
const MAX_BODY_BYTES: u64 = 4 * 1024 * 1024;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// An answer that arrived whole, whatever its status. The secret is in no text of it.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The body, where it says that it is JSON, and is.
    pub(crate) json: Option<Value>,
    headers: Vec<(String, String)>,
}

/// No answer, or none that could be read to its end; the URL, and with it any id,
/// is left out.
pub(crate) enum Broken {
    /// The connection failed or broke, or time ran out: may go better next time.
    Connection { what: String },
    /// Larger than anything that the service says.
    TooLarge { what: String },
}

/// An agent that keeps at most so many connections open to `base`.
pub(crate) fn agent(base: &str, connections: usize) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .https_only(!base.starts_with("http://"))
        // A redirect would carry the key to another host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // HTTPS_PROXY of the server's environment is nobody's decision here.
        .proxy(None)
        .no_delay(true)
        .max_response_header_size(MAX_HEADER_BYTES)
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .user_agent(concat!("invoice_sync/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// The header `Authorization` for this key.
pub(crate) fn bearer(key: &Secret) -> String {
    format!("Bearer {}", key.expose())
}

/// Reads what came of a request. What an answer says may end in errors and in
/// tables, and whoever stands between may have put the key into it: it is masked.
pub(crate) fn read(
    sent: Result<Response<Body>, ureq::Error>,
    key: &Secret,
) -> Result<Reply, Broken> {
    let mut response = sent.map_err(|error| broken(&error))?;
    let text = response
        .body_mut()
        .with_config()
        .limit(MAX_BODY_BYTES)
        .read_to_string()
        .map_err(|error| broken(&error))?;
    let headers: Vec<_> = response
        .headers()
        .iter()
        .filter_map(|(name, value)| {
            Some((
                name.to_string(),
                masked(value.to_str().ok()?.to_owned(), key),
            ))
        })
        .collect();
    let mut reply = Reply {
        status: response.status().as_u16(),
        json: None,
        headers,
    };
    if reply.header("content-type").is_some_and(is_json) {
        reply.json = json::parse(&masked(text, key)).ok();
    }
    Ok(reply)
}

impl Reply {
    /// A header's value, where it is ASCII; `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The header `Retry-After`, where it is a number of seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header("retry-after")?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

fn masked(text: String, key: &Secret) -> String {
    if text.contains(key.expose()) {
        text.replace(key.expose(), "********")
    } else {
        text
    }
}

fn broken(error: &ureq::Error) -> Broken {
    match error {
        ureq::Error::BodyExceedsLimit(limit) => Broken::TooLarge {
            what: format!("its body is larger than {limit} bytes"),
        },
        ureq::Error::LargeResponseHeader(..) => Broken::TooLarge {
            what: "its headers are too large".to_owned(),
        },
        other => Broken::Connection {
            what: other.to_string(),
        },
    }
}

/// Whether a `Content-Type` says JSON, whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

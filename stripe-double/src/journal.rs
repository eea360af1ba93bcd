//! The record of requests to the double.

use crate::http::Request;
use crate::params::Params;
use std::collections::BTreeMap;
use std::time::Instant;

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query as it was sent, without the question mark.
    pub query: String,
    /// Header names in lower case, in their original order.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
    /// When it had been read.
    pub arrived: Instant,
    /// The status of the answer; `None` before the answer, or if a fault prevented it.
    pub status: Option<u16>,
}

impl Seen {
    /// Returns the value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Returns a query parameter, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        Params::parse(&self.query).one(name).map(str::to_owned)
    }
}

/// The requests since the last reset.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    first: usize,
    seen: Vec<Seen>,
}

impl Journal {
    /// Records a request. Returns its number for [`Journal::answered`].
    pub(crate) fn record(&mut self, request: &Request) -> usize {
        self.seen.push(Seen {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            arrived: Instant::now(),
            status: None,
        });
        self.first + self.seen.len() - 1
    }

    pub(crate) fn answered(&mut self, number: usize, status: u16) {
        let place = number.checked_sub(self.first);
        if let Some(seen) = place.and_then(|place| self.seen.get_mut(place)) {
            seen.status = Some(status);
        }
    }

    pub(crate) fn all(&self) -> &[Seen] {
        &self.seen
    }

    pub(crate) fn count_of(&self, path_prefix: &str) -> usize {
        let of_path = |seen: &&Seen| seen.path.starts_with(path_prefix);
        self.seen.iter().filter(of_path).count()
    }

    /// Counts by endpoint, without ids: `GET /v1/payment_intents/:id`.
    pub(crate) fn by_path(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for seen in &self.seen {
            let endpoint = format!("{} {}", seen.method, without_id(&seen.path));
            *counts.entry(endpoint).or_default() += 1;
        }
        counts
    }

    pub(crate) fn reset(&mut self) {
        self.first += self.seen.len();
        self.seen.clear();
    }
}

fn without_id(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((list, last)) if last.contains('_') && list.matches('/').count() >= 2 => {
            format!("{list}/:id")
        }
        _ => path.to_owned(),
    }
}

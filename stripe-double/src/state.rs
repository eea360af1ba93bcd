//! The state that all connections of a double share.

use crate::config::{Config, Key};
use crate::connections::Connections;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::limits::{InFlight, RateLimit};
use crate::resend::Outbox;
use crate::store::Store;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// The state that all connections share.
pub(crate) struct Shared {
    pub(crate) store: Mutex<Store>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) in_flight: InFlight,
    pub(crate) keys: Mutex<Vec<Key>>,
    pub(crate) api_version: String,
    pub(crate) connections: Connections,
}

/// Limits that may be changed while the server runs.
pub(crate) struct Limits {
    pub(crate) latency: Duration,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) endpoint_rate: Option<u32>,
    /// By method and path, without ids.
    pub(crate) endpoints: HashMap<String, RateLimit>,
    pub(crate) concurrency: Option<usize>,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        Shared {
            store: Mutex::new(Store::new(config)),
            journal: Mutex::default(),
            faults: Mutex::default(),
            outbox: Mutex::new(Outbox::new(config.resend_keys.clone())),
            limits: Mutex::new(Limits {
                latency: config.latency,
                rate: config.rate_limit.map(RateLimit::new),
                endpoint_rate: config.endpoint_rate_limit,
                endpoints: HashMap::new(),
                concurrency: config.max_concurrency,
            }),
            in_flight: InFlight::default(),
            keys: Mutex::new(config.keys.clone()),
            api_version: config.api_version.clone(),
            connections: Connections::default(),
        }
    }
}

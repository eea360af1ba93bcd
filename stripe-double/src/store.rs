//! The objects of a double, behind one lock.

use crate::builders::Plan;
use crate::clock::Clock;
use crate::config::{Config, EventDelay};
use crate::fields::Fields;
use crate::ids::Ids;
use crate::objects::Kind;
use crate::snapshot::{Snapshot, Visible};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Why an operation was refused; `status` is the status of the control API's answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn missing(id: &str) -> Self {
        Refusal {
            status: 404,
            message: format!("there is no object \"{id}\""),
        }
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Refusal {
            status: 409,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Refusal {
            status: 400,
            message: message.into(),
        }
    }
}

/// The position of an object in its lists: time of creation in unix seconds, then order of creation.
pub(crate) type Place = (i64, u64);

/// One stored object.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    /// Determines which keys see the object; setting the field `livemode` does not change it.
    pub(crate) livemode: bool,
    pub(crate) account: Arc<str>,
    pub(crate) fields: Arc<Fields>,
    /// For an event: the object that it is about.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) visible: Visible,
}

impl Record {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let template = || self.kind.template().get(name);
        self.fields.find(name).unwrap_or_else(template)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn int(&self, name: &str) -> i64 {
        self.get(name).and_then(Value::as_i64).unwrap_or(0)
    }

    pub(crate) fn render(&self) -> Map<String, Value> {
        let mut object = self.kind.render(&self.fields);
        if let Some(snapshot) = &self.snapshot
            && self.fields.find("data").is_none()
        {
            object.insert("data".into(), snapshot.render());
        }
        object
    }
}

/// The fields by which children of an object are found.
const LINKS: [&str; 2] = ["payment_intent", "charge"];

type Link = (Kind, &'static str, String);

/// The index entries of an object.
type Indexed = (Place, Vec<Link>);

/// The state of a double.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) account: Arc<str>,
    pub(crate) accounts: HashSet<String>,
    pub(crate) api_version: String,
    pub(crate) noise_events: bool,
    pub(crate) release_counts_as_refunded: bool,
    /// The refunds that are released parts of authorisations.
    pub(crate) releases: HashSet<String>,
    pub(crate) event_delay: EventDelay,
    pub(crate) event_lists: u64,
    pub(crate) pending_webhooks: u32,
    /// The intents and charges to create when a session is confirmed, by session or intent id.
    pub(crate) plans: HashMap<String, Plan>,
    sequence: u64,
    records: HashMap<String, Record>,
    places: HashMap<Kind, BTreeMap<Place, String>>,
    links: HashMap<Link, BTreeSet<Place>>,
}

impl Store {
    pub(crate) fn new(config: &Config) -> Self {
        let mut accounts: HashSet<String> = config.connected_accounts.iter().cloned().collect();
        accounts.insert(config.account.clone());
        Store {
            clock: Clock::starting_at(config.clock),
            ids: Ids::default(),
            account: config.account.as_str().into(),
            accounts,
            api_version: config.api_version.clone(),
            noise_events: config.noise_events,
            release_counts_as_refunded: config.release_counts_as_refunded
                || is_before_basil(&config.api_version),
            releases: HashSet::new(),
            event_delay: config.event_delay,
            event_lists: 0,
            pending_webhooks: 0,
            plans: HashMap::new(),
            sequence: 0,
            records: HashMap::new(),
            places: HashMap::new(),
            links: HashMap::new(),
        }
    }

    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Adds an object with a new id.
    pub(crate) fn insert(&mut self, id: &str, record: Record) -> Result<(), Refusal> {
        if self.records.contains_key(id) {
            let message = format!("there is an object \"{id}\" already");
            return Err(Refusal::conflict(message));
        }
        self.accounts.insert(record.account.to_string());
        self.index(record.kind, id, (record.place, links_of(&record)));
        self.records.insert(id.to_owned(), record);
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Record> {
        self.records.get(id)
    }

    pub(crate) fn get_mut_visible(&mut self, id: &str) -> Option<&mut Visible> {
        self.records.get_mut(id).map(|record| &mut record.visible)
    }

    pub(crate) fn require(&self, id: &str, kind: Kind) -> Result<&Record, Refusal> {
        match self.records.get(id) {
            Some(record) if record.kind == kind => Ok(record),
            Some(record) => Err(Refusal::invalid(format!(
                "\"{id}\" is a {}, not a {}",
                record.kind.name(),
                kind.name()
            ))),
            None => Err(Refusal::missing(id)),
        }
    }

    /// Changes an object's fields and updates the index.
    pub(crate) fn change(
        &mut self,
        id: &str,
        edit: impl FnOnce(&mut Fields),
    ) -> Result<(), Refusal> {
        let record = self.records.get_mut(id);
        let record = record.ok_or_else(|| Refusal::missing(id))?;
        let (kind, before) = (record.kind, (record.place, links_of(record)));
        let fields = Arc::make_mut(&mut record.fields);
        edit(fields);
        fields.shrink();
        if let Some(created) = record.get("created").and_then(Value::as_i64) {
            record.place.0 = created;
        }
        let after = (record.place, links_of(record));
        if before != after {
            self.unindex(kind, &before);
            self.index(kind, id, after);
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, id: &str) -> Result<(), Refusal> {
        let record = self
            .records
            .remove(id)
            .ok_or_else(|| Refusal::missing(id))?;
        self.unindex(record.kind, &(record.place, links_of(&record)));
        self.plans.remove(id);
        Ok(())
    }

    /// Makes everything so many seconds older.
    pub(crate) fn age(&mut self, seconds: i64) {
        let mut records = std::mem::take(&mut self.records);
        self.places.clear();
        self.links.clear();
        for (id, record) in &mut records {
            record.place.0 -= seconds;
            make_older(Arc::make_mut(&mut record.fields), seconds);
            if let Some(snapshot) = &mut record.snapshot {
                make_older(snapshot.fields_mut(), seconds);
            }
            self.index(record.kind, id, (record.place, links_of(record)));
        }
        self.records = records;
    }

    /// Returns the positions of all objects of a kind, the oldest first.
    pub(crate) fn places(&self, kind: Kind) -> Option<&BTreeMap<Place, String>> {
        self.places.get(&kind)
    }

    pub(crate) fn id_at(&self, kind: Kind, place: &Place) -> Option<&String> {
        self.places.get(&kind)?.get(place)
    }

    /// Returns the positions of a parent's children, the oldest first; `None` if the field is not indexed.
    pub(crate) fn child_places(
        &self,
        kind: Kind,
        field: &str,
        parent: &str,
    ) -> Option<BTreeSet<Place>> {
        let field = LINKS.into_iter().find(|known| *known == field)?;
        let link = (kind, field, parent.to_owned());
        Some(self.links.get(&link).cloned().unwrap_or_default())
    }

    /// Returns the ids of a parent's children, the oldest first.
    pub(crate) fn children(&self, kind: Kind, field: &'static str, parent: &str) -> Vec<String> {
        let places = self.links.get(&(kind, field, parent.to_owned()));
        let ids = places.into_iter().flatten();
        ids.filter_map(|place| self.id_at(kind, place).cloned())
            .collect()
    }

    fn index(&mut self, kind: Kind, id: &str, (place, links): Indexed) {
        let places = self.places.entry(kind).or_default();
        places.insert(place, id.to_owned());
        for link in links {
            self.links.entry(link).or_default().insert(place);
        }
    }

    fn unindex(&mut self, kind: Kind, (place, links): &Indexed) {
        if let Some(places) = self.places.get_mut(&kind) {
            places.remove(place);
        }
        for link in links {
            if let Some(places) = self.links.get_mut(link) {
                places.remove(place);
                if places.is_empty() {
                    self.links.remove(link);
                }
            }
        }
    }
}

/// Fields that hold a time, in unix seconds.
const TIMES: [&str; 4] = ["created", "expires_at", "due_by", "available_on"];

fn make_older(fields: &mut Fields, seconds: i64) {
    for (name, value) in fields.each_mut() {
        make_value_older(name, value, seconds);
    }
}

fn make_value_older(name: &str, value: &mut Value, seconds: i64) {
    match value {
        Value::Number(number) if TIMES.contains(&name) => {
            if let Some(at) = number.as_i64() {
                *value = (at - seconds).into();
            }
        }
        Value::Array(items) => {
            for item in items {
                make_value_older(name, item, seconds);
            }
        }
        Value::Object(object) => {
            for (name, value) in object {
                make_value_older(name, value, seconds);
            }
        }
        _ => {}
    }
}

/// Returns whether an API version is older than 2025-03-31.basil.
pub(crate) fn is_before_basil(version: &str) -> bool {
    version < "2025-03-31"
}

fn links_of(record: &Record) -> Vec<Link> {
    let link = |field| {
        let parent = record.text(field)?;
        Some((record.kind, field, parent.to_owned()))
    };
    LINKS.into_iter().filter_map(link).collect()
}

//! The object in an event as it was when the event happened, and when the event becomes visible.

use crate::fields::Fields;
use crate::objects::Kind;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// The object of an event as it was when the event happened.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) kind: Kind,
    pub(crate) fields: Arc<Fields>,
    pub(crate) previous: Option<Value>,
}

impl Snapshot {
    pub(crate) fn fields_mut(&mut self) -> &mut Fields {
        Arc::make_mut(&mut self.fields)
    }

    pub(crate) fn render(&self) -> Value {
        let mut data = json!({ "object": self.kind.render(&self.fields) });
        if let Some(previous) = &self.previous {
            data["previous_attributes"] = previous.clone();
        }
        data
    }
}

/// When an object appears in lists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Visible {
    Now,
    From(Instant),
    /// From the list request with this number.
    AfterLists(u64),
    Held,
}

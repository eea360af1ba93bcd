//! The fields in which an object differs from its template.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// A small list of named values; `None` means that the field is left out of answers.
///
/// An object shares its fields with the snapshots in its events, so that a hundred thousand objects fit into memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(Cow<'static, str>, Option<Value>)>);

impl Fields {
    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.put(name.into(), Some(value.into()));
    }

    pub(crate) fn remove(&mut self, name: impl Into<Cow<'static, str>>) {
        self.put(name.into(), None);
    }

    /// Resets a field to the template's value.
    pub(crate) fn restore(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// Frees memory reserved for growth.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Returns `Some(None)` for a removed field, `None` for one with the template's value.
    pub(crate) fn find(&self, name: &str) -> Option<Option<&Value>> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_ref())
    }

    /// The fields that have a value.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        let fields = self.0.iter_mut();
        fields.filter_map(|(name, value)| Some((&**name, value.as_mut()?)))
    }

    /// Writes the fields into a copy of the template.
    pub(crate) fn write_over(&self, object: &mut Map<String, Value>) {
        for (name, value) in &self.0 {
            match value {
                Some(value) => {
                    object.insert(name.to_string(), value.clone());
                }
                None => {
                    object.shift_remove(name.as_ref());
                }
            }
        }
    }

    fn put(&mut self, name: Cow<'static, str>, value: Option<Value>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

//! Which column and which setting a value comes from, in words.

use serde_json::Value;

use crate::host::mapping::{Mapped, Mapping};
use crate::host::settings::Settings;
use crate::pg::Problem;

/// The settings as they are, beside their defaults.
pub(super) struct Sources<'a> {
    pub(super) mapping: &'a Mapping,
    row: Value,
    defaults: Value,
}

impl<'a> Sources<'a> {
    pub(super) fn load(mapping: &'a Mapping) -> Result<Self, Problem> {
        Ok(Self {
            mapping,
            row: Settings::load_row()?,
            defaults: Settings::defaults(),
        })
    }

    /// Returns the value of a setting.
    pub(super) fn value(&self, name: &str) -> &Value {
        &self.row[name]
    }

    /// Names a setting, and says if it has its default.
    pub(super) fn setting(&self, name: &str) -> String {
        let default = if self.row[name] == self.defaults[name] {
            " (default)"
        } else {
            ""
        };
        format!("setting {name}{default}")
    }

    /// Says which column of the table it is, and which setting says so.
    pub(super) fn column(&self, table: &str, column: Option<&Mapped>, setting: &str) -> String {
        match (column, self.value(setting)) {
            (Some(column), _) => {
                let name = &column.name;
                format!("column \"{name}\" of {table}, {}", self.setting(setting))
            }
            (None, Value::Null) => format!("no column: {} is null", self.setting(setting)),
            (None, name) => format!(
                "column {name} of {table} is computed from others and is not used, {}",
                self.setting(setting)
            ),
        }
    }
}

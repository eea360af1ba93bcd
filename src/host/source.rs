//! The source of a value for a further column of a new payment (`settings.payment_values`).

use std::collections::BTreeMap;

use serde_json::Value;

/// One entry of `settings.payment_values`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// `{"invoice": "contact_id"}`: a column of the invoice.
    Invoice(String),
    /// `{"stripe": "payment_intent.description"}` or `{"metadata": "key"}`: a path into a Stripe object.
    Stripe(String),
    /// `{"value": …}`: a constant.
    Constant(Value),
    /// `[…]`: the first source whose value is not null.
    FirstOf(Vec<Source>),
}

const STRIPE_OBJECTS: [&str; 4] = [
    "checkout_session.",
    "payment_intent.",
    "charge.",
    "metadata.",
];

impl Source {
    /// Parses an entry. The error message says what is wrong with it.
    pub(crate) fn parse(entry: &Value) -> Result<Self, String> {
        if let Value::Array(alternatives) = entry {
            return alternatives
                .iter()
                .map(Self::parse)
                .collect::<Result<_, _>>()
                .map(Self::FirstOf);
        }
        let (kind, value) = entry
            .as_object()
            .filter(|object| object.len() == 1)
            .and_then(|object| object.iter().next())
            .ok_or_else(|| format!("{entry} is not an object with one key"))?;
        let name = || {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("\"{kind}\" requires a string, not {value}"))
        };
        match kind.as_str() {
            "invoice" => name().map(Self::Invoice),
            "metadata" => name().map(|key| Self::Stripe(format!("metadata.{key}"))),
            "stripe" => {
                let path = name()?;
                if STRIPE_OBJECTS.iter().any(|object| path.starts_with(object)) {
                    Ok(Self::Stripe(path))
                } else {
                    Err(format!(
                        "\"{path}\" does not begin with checkout_session., payment_intent., charge. or metadata."
                    ))
                }
            }
            "value" => Ok(Self::Constant(value.clone())),
            other => Err(format!(
                "\"{other}\" is not invoice, stripe, metadata or value"
            )),
        }
    }

    /// Returns the paths into Stripe objects that this source reads.
    pub(crate) fn stripe_paths(&self) -> Vec<String> {
        match self {
            Self::Stripe(path) => vec![path.clone()],
            Self::FirstOf(sources) => sources.iter().flat_map(Self::stripe_paths).collect(),
            Self::Invoice(_) | Self::Constant(_) => Vec::new(),
        }
    }

    /// Returns the columns of the invoice that this source reads.
    pub(crate) fn invoice_columns(&self) -> Vec<&str> {
        match self {
            Self::Invoice(column) => vec![column],
            Self::FirstOf(sources) => sources.iter().flat_map(Self::invoice_columns).collect(),
            Self::Stripe(_) | Self::Constant(_) => Vec::new(),
        }
    }

    /// Returns the value, or null if there is none. `invoice` returns the values of the invoice's columns.
    pub(crate) fn value(
        &self,
        invoice: &dyn Fn(&str) -> Option<Value>,
        attributes: &BTreeMap<String, String>,
    ) -> Value {
        match self {
            Self::Invoice(column) => invoice(column).unwrap_or_default(),
            Self::Stripe(path) => attributes
                .get(path)
                .map_or(Value::Null, |text| Value::String(text.clone())),
            Self::Constant(value) => value.clone(),
            Self::FirstOf(sources) => sources
                .iter()
                .map(|source| source.value(invoice, attributes))
                .find(|value| !value.is_null())
                .unwrap_or_default(),
        }
    }
}

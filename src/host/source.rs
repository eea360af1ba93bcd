//! The source of a value for a further column of a row that is written (`settings.payment_values` and others).

use std::collections::BTreeMap;

use serde_json::Value;

/// One entry of such a setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// `{"invoice": "contact_id"}`: a column of the invoice.
    Invoice(String),
    /// `{"stripe": "payment_intent.description"}` or `{"metadata": "key"}`: a path into a Stripe object.
    Stripe(String),
    /// `{"value": …}`: a constant.
    Constant(Value),
    /// `{"sql": "now()"}`: an expression over the row that is written.
    Sql(String),
    /// `[…]`: the first source whose value is not null.
    FirstOf(Vec<Source>),
}

const STRIPE_OBJECTS: [&str; 5] = [
    "checkout_session.",
    "payment_intent.",
    "charge.",
    "balance_transaction.",
    "metadata.",
];

/// The paths whose values are amounts in Stripe's smallest unit, of the payment's currency. They are written in the unit
/// of the payments' amounts.
pub(super) const AMOUNTS: [&str; 3] = [
    "balance_transaction.amount",
    "balance_transaction.fee",
    "balance_transaction.net",
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
                        "\"{path}\" does not begin with checkout_session., payment_intent., charge., balance_transaction. or metadata."
                    ))
                }
            }
            "value" => Ok(Self::Constant(value.clone())),
            "sql" => name().map(Self::Sql),
            other => Err(format!(
                "\"{other}\" is not invoice, stripe, metadata, value or sql"
            )),
        }
    }

    /// Returns the paths into Stripe objects that this source reads.
    pub(crate) fn stripe_paths(&self) -> Vec<String> {
        match self {
            Self::Stripe(path) => vec![path.clone()],
            Self::FirstOf(sources) => sources.iter().flat_map(Self::stripe_paths).collect(),
            Self::Invoice(_) | Self::Constant(_) | Self::Sql(_) => Vec::new(),
        }
    }

    /// Returns the SQL expressions in this source.
    pub(crate) fn expressions(&self) -> Vec<&str> {
        match self {
            Self::Sql(text) => vec![text],
            Self::FirstOf(sources) => sources.iter().flat_map(Self::expressions).collect(),
            Self::Invoice(_) | Self::Stripe(_) | Self::Constant(_) => Vec::new(),
        }
    }

    /// Returns the columns of the invoice that this source reads.
    pub(crate) fn invoice_columns(&self) -> Vec<&str> {
        match self {
            Self::Invoice(column) => vec![column],
            Self::FirstOf(sources) => sources.iter().flat_map(Self::invoice_columns).collect(),
            Self::Stripe(_) | Self::Constant(_) | Self::Sql(_) => Vec::new(),
        }
    }

    /// Returns the value, or null if there is none. `invoice` returns the values of the invoice's columns.
    pub(crate) fn value<'s>(
        &'s self,
        invoice: &dyn Fn(&str) -> Option<Value>,
        attributes: &BTreeMap<String, String>,
    ) -> Sourced<'s> {
        match self {
            Self::Invoice(column) => Sourced::known(invoice(column).unwrap_or_default()),
            Self::Stripe(path) => Sourced::known(
                attributes
                    .get(path)
                    .map_or(Value::Null, |text| Value::String(text.clone())),
            ),
            Self::Constant(value) => Sourced::known(value.clone()),
            Self::Sql(text) => Sourced {
                expressions: vec![text],
                otherwise: Value::Null,
            },
            Self::FirstOf(sources) => {
                let mut all = Sourced::known(Value::Null);
                for source in sources {
                    let next = source.value(invoice, attributes);
                    all.expressions.extend(next.expressions);
                    all.otherwise = next.otherwise;
                    if !all.otherwise.is_null() {
                        break;
                    }
                }
                all
            }
        }
    }
}

/// The value of a source: that of the first expression that is not null, or else a known one.
#[derive(Debug, PartialEq)]
pub(crate) struct Sourced<'s> {
    pub(crate) expressions: Vec<&'s str>,
    pub(crate) otherwise: Value,
}

impl Sourced<'_> {
    fn known(value: Value) -> Self {
        Self {
            expressions: Vec::new(),
            otherwise: value,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_source_with_a_value_ends_the_list_and_expressions_before_it_are_tried() {
        let source = json!([{"invoice": "none"}, {"sql": "a()"}, {"metadata": "none"}, {"sql": "b()"},
                            {"value": 7}, {"sql": "c()"}, {"value": 8}]);
        let source = Source::parse(&source).expect("it is valid");
        assert_eq!(
            source.value(&|_| None, &BTreeMap::new()),
            Sourced {
                expressions: vec!["a()", "b()"],
                otherwise: json!(7)
            }
        );
        let source = json!([{"invoice": "there"}, {"sql": "a()"}]);
        let source = Source::parse(&source).expect("it is valid");
        assert_eq!(
            source.value(&|_| Some(json!("x")), &BTreeMap::new()),
            Sourced::known(json!("x"))
        );
    }
}

//! A mapped column, with its name and type for use in SQL text.

/// A mapped column, ready for use in SQL text.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    /// The name as the catalog stores it: the key in a row's JSON.
    pub(crate) name: String,
    /// The quoted name.
    pub(crate) quoted: String,
    /// The type, for people.
    pub(crate) type_name: String,
    /// The type with its schema, for use in a cast under any search path.
    pub(crate) cast_type: String,
    /// The base type's name in `pg_type`.
    pub(crate) base: String,
    /// The base type with its schema.
    pub(crate) base_type: String,
    /// The base type's operator `=`, with its schema.
    pub(crate) equals: String,
    /// True for texts that are compared and sorted otherwise than the database's usual texts.
    pub(crate) has_own_collation: bool,
    /// True if its value follows from others: it is read and never written.
    pub(crate) is_computed: bool,
}

impl Mapped {
    pub(crate) fn is_moment(&self) -> bool {
        matches!(self.base.as_str(), "date" | "timestamp" | "timestamptz")
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self.base.as_str(), "float4" | "float8")
    }

    pub(crate) fn is_integer(&self) -> bool {
        matches!(self.base.as_str(), "int2" | "int4" | "int8")
    }

    /// Returns SQL for the text in a row. It can be matched with patterns, and compared with any other text, whatever
    /// collation the column has. An index on the column does not serve it.
    pub(crate) fn plain_text(&self, alias: &str) -> String {
        let text = format!("{alias}.{}::text", self.quoted);
        match self.has_own_collation {
            true => usually_collated(&text),
            false => text,
        }
    }

    /// Returns SQL for whether the column of the row `t` is `value`, a value of this type. The operator is the type's own,
    /// whatever search path there is: operators of the application may fit a domain or a varchar better.
    pub(super) fn is(&self, value: &str) -> String {
        let Self {
            quoted,
            base_type,
            equals,
            ..
        } = self;
        format!("t.{quoted}::{base_type} {equals} {value}::{base_type}")
    }

    /// Returns whether this type can hold the text as a key: otherwise a cast of it raises an error, as in
    /// [`Self::key_or_null`]. Of types other than these, it is not known.
    fn holds(&self, text: &str) -> bool {
        match self.base.as_str() {
            "uuid" => is_uuid(text),
            "int2" => text.parse::<i16>().is_ok(),
            "int4" => text.parse::<i32>().is_ok(),
            "int8" => text.parse::<i64>().is_ok(),
            _ => true,
        }
    }

    /// Returns those of these ids that this type can hold. The ledger may have ids of invoices of another table, which the
    /// settings named before.
    pub(super) fn held<'i>(&self, ids: &[&'i str]) -> Vec<&'i str> {
        ids.iter().copied().filter(|id| self.holds(id)).collect()
    }

    /// Returns SQL that casts the expression `text` to this type as a key. It yields null if the type cannot hold
    /// the text, where a plain cast would raise an error.
    pub(crate) fn key_or_null(&self, text: &str) -> String {
        let cast = format!("{text}::{}", self.cast_type);
        let within = |least: i64, most: i64| {
            format!(
                "case when {text} ~ '^[+-]?[0-9]{{1,20}}$' then
                    case when {text}::numeric between {least} and {most} then {cast} end end"
            )
        };
        match self.base.as_str() {
            // The syntax that `uuid_in` accepts: a hyphen after any four digits, and braces around the whole.
            "uuid" => {
                let digits = "([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}";
                format!(r"case when {text} ~ '^({digits}|\{{{digits}\}})$' then {cast} end")
            }
            "int2" => within(i16::MIN.into(), i16::MAX.into()),
            "int4" => within(i32::MIN.into(), i32::MAX.into()),
            "int8" => within(i64::MIN, i64::MAX),
            _ => cast,
        }
    }
}

/// Whether `uuid_in` accepts the text: a hyphen after any four digits, and braces around the whole.
fn is_uuid(text: &str) -> bool {
    let inner = text
        .strip_prefix('{')
        .map_or(Some(text), |rest| rest.strip_suffix('}'));
    let Some(inner) = inner else {
        return false;
    };
    let mut digits = 0;
    let mut may_be_hyphen = false;
    for c in inner.bytes() {
        match c {
            b'-' if may_be_hyphen => may_be_hyphen = false,
            _ if c.is_ascii_hexdigit() => {
                digits += 1;
                may_be_hyphen = digits % 4 == 0 && digits < 32;
            }
            _ => return false,
        }
    }
    digits == 32
}

/// Returns SQL for a text with the database's usual collation.
pub(super) fn usually_collated(text: &str) -> String {
    format!("({text} collate pg_catalog.\"default\")")
}

#[cfg(test)]
mod tests {
    use super::is_uuid;

    #[test]
    fn a_uuid_is_what_postgresql_takes_for_one() {
        for text in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            assert!(is_uuid(text), "{text}");
        }
        for text in [
            "",
            "{}",
            "42",
            "INV-1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "-a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc9-99c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ] {
            assert!(!is_uuid(text), "{text}");
        }
    }
}

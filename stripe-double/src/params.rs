//! Query parameters in Stripe's notation: `limit=3&created[gte]=1&types[]=a&types[]=b`.

use crate::errors::ApiError;

/// The decoded parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// A range of creation times, both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Params(decoded.collect())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }

    /// Returns the last value of a plain name.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().rev().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Returns all values of `name[]` or `name[0]`, `name[1]`, ….
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = |given: &str| {
            let index = given
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('['))
                .and_then(|rest| rest.strip_suffix(']'));
            index.is_some_and(|index| index.bytes().all(|digit| digit.is_ascii_digit()))
        };
        let found = self.0.iter().filter(|(given, _)| of_name(given));
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// Fails for parameters that the endpoint does not have.
    pub(crate) fn refuse_others_than(&self, known: &[&str]) -> Result<(), ApiError> {
        for (name, _) in &self.0 {
            let base = name.split('[').next().unwrap_or(name);
            if !known.contains(&base) {
                return Err(ApiError::unknown_parameter(base));
            }
        }
        Ok(())
    }

    /// Returns `limit`, 1 to 100, by default 10.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let Some(given) = self.one("limit") else {
            return Ok(10);
        };
        let refuse = |message: String| ApiError::invalid_integer(message).about("limit");
        match integer(given) {
            None => Err(refuse(format!("Invalid integer: {given}"))),
            Some(limit) if limit < 1 => {
                let message = "This value must be greater than or equal to 1.";
                Err(refuse(message.into()))
            }
            Some(limit) if limit > 100 => {
                let message = "This value must be less than or equal to 100.";
                Err(refuse(message.into()))
            }
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(10)),
        }
    }

    /// Returns `created` as one second, or as a range with `[gt]`, `[gte]`, `[lt]`, `[lte]`.
    pub(crate) fn created(&self) -> Result<Span, ApiError> {
        let mut span = Span {
            from: i64::MIN,
            to: i64::MAX,
        };
        for (name, value) in &self.0 {
            let Some(bound) = name.strip_prefix("created") else {
                continue;
            };
            let seconds = integer(value).ok_or_else(|| {
                let message = format!("Invalid integer: {value}");
                ApiError::invalid_integer(message).about(name.as_str())
            })?;
            match bound {
                "" => (span.from, span.to) = (seconds, seconds),
                "[gte]" => span.from = span.from.max(seconds),
                "[gt]" => span.from = span.from.max(seconds.saturating_add(1)),
                "[lte]" => span.to = span.to.min(seconds),
                "[lt]" => span.to = span.to.min(seconds.saturating_sub(1)),
                _ => return Err(ApiError::unknown_parameter(name)),
            }
        }
        Ok(span)
    }
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Percent-decodes a text; invalid escapes stay unchanged.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escape) {
            (_, Some(escaped)) => {
                decoded.push(escaped);
                at += 2;
            }
            (b'+', None) => decoded.push(b' '),
            (other, None) => decoded.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_stripes_notation() {
        let params =
            Params::parse("types%5B%5D=a.b&types[1]=c&created[gt]=4&created%5Blte%5D=9&q=1+2%zz");
        assert_eq!(params.all("types"), ["a.b", "c"]);
        let span = params.created().unwrap();
        assert_eq!((span.from, span.to), (5, 9));
        assert_eq!(params.one("q"), Some("1 2%zz"));
    }
}

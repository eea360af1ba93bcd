//! Errors in Stripe's format and with Stripe's messages.

use crate::answer::Answer;
use crate::objects::Kind;
use serde_json::{Map, Value, json};

/// An error of Stripe's API.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl ApiError {
    fn new(status: u16, code: Option<&'static str>, message: impl Into<String>) -> Self {
        ApiError {
            status,
            kind: "invalid_request_error",
            code,
            message: message.into(),
            param: None,
            headers: Vec::new(),
        }
    }

    pub(crate) fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        ApiError::new(400, None, message)
    }

    pub(crate) fn invalid_integer(message: impl Into<String>) -> Self {
        ApiError::new(400, Some("parameter_invalid_integer"), message)
    }

    pub(crate) fn unknown_parameter(name: &str) -> Self {
        let message = format!("Received unknown parameter: {name}");
        ApiError::new(400, Some("parameter_unknown"), message).about(name)
    }

    pub(crate) fn no_key() -> Self {
        ApiError::new(
            401,
            None,
            "You did not provide an API key. You need to provide your API key in the Authorization header, \
             using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See \
             https://stripe.com/docs/api#authentication for details, or we can help at \
             https://support.stripe.com/.",
        )
    }

    pub(crate) fn bad_key(key: &str) -> Self {
        let message = format!("Invalid API Key provided: {}", masked(key));
        ApiError::new(401, None, message)
    }

    pub(crate) fn forbidden(key: &str, account: &str, permission: &str) -> Self {
        let message = format!(
            "The provided key '{}' does not have the required permissions for this endpoint on account \
             '{account}'. Having the '{permission}' permission would allow this request to continue.",
            masked(key)
        );
        ApiError::new(403, None, message)
    }

    pub(crate) fn no_access(key: &str, account: &str) -> Self {
        let message = format!(
            "The provided key '{}' does not have access to account '{account}' (or that account does not \
             exist). Application access may have been revoked.",
            masked(key)
        );
        ApiError::new(403, Some("account_invalid"), message)
    }

    /// A missing object; `other_mode` if it exists in the mode that is not the key's.
    pub(crate) fn missing(kind: Kind, id: &str, other_mode: Option<OtherMode>) -> Self {
        let hint = match other_mode {
            Some(OtherMode::Live) => {
                "; a similar object exists in live mode, but a test mode key was used to make this request."
            }
            Some(OtherMode::Test) => {
                "; a similar object exists in test mode, but a live mode key was used to make this request."
            }
            None => "",
        };
        let message = format!("No such {}: '{id}'{hint}", kind.name());
        ApiError::new(404, Some("resource_missing"), message).about(kind.id_param())
    }

    /// Changes the error to one about a parameter that names an object: a bad request, not a missing resource.
    pub(crate) fn for_parameter(mut self, name: &str) -> Self {
        self.status = 400;
        self.about(name)
    }

    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at \
             https://support.stripe.com/."
        );
        ApiError::new(404, None, message)
    }

    pub(crate) fn rate_limited(reason: Option<&str>) -> Self {
        let error = ApiError::new(
            429,
            Some("rate_limit"),
            "Request rate limit exceeded. You can learn more about rate limits here \
             https://stripe.com/docs/rate-limits.",
        );
        match reason {
            Some(reason) => error.with("Stripe-Rate-Limited-Reason", reason),
            None => error,
        }
    }

    pub(crate) fn lock_timeout() -> Self {
        ApiError::new(
            429,
            Some("lock_timeout"),
            "This object cannot be accessed right now because another API request or Stripe process is \
             currently accessing it. If you see this error intermittently, retry the request. If you see this \
             error frequently and are making multiple concurrent requests to a single object, make your \
             requests serially or at a lower rate.",
        )
    }

    pub(crate) fn server(status: u16) -> Self {
        let message = "An unknown error occurred. Sorry about that! We have been notified of the problem. If \
                       you have any questions, we can help at https://support.stripe.com/.";
        ApiError {
            kind: "api_error",
            ..ApiError::new(status, None, message)
        }
    }

    /// Renders the error. `log_url` is the address of the request in the dashboard.
    pub(crate) fn answer(self, log_url: String) -> Answer {
        let mut error = Map::new();
        if let Some(code) = self.code {
            error.insert("code".into(), code.into());
            let page = code.replace('_', "-");
            let doc_url = format!("https://stripe.com/docs/error-codes/{page}");
            error.insert("doc_url".into(), doc_url.into());
        }
        error.insert("message".into(), self.message.into());
        if let Some(param) = self.param {
            error.insert("param".into(), Value::String(param));
        }
        error.insert("request_log_url".into(), log_url.into());
        error.insert("type".into(), self.kind.into());
        let mut answer = Answer::json(self.status, &json!({ "error": error }));
        answer.headers = self.headers;
        answer
    }
}

/// The mode in which a missing object exists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OtherMode {
    Live,
    Test,
}

/// Masks a key as Stripe does: prefix, asterisks, the last four characters.
pub(crate) fn masked(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let prefix = key.match_indices('_').nth(1).map_or(0, |(at, _)| at + 1);
    let prefix = key[..prefix].chars().count();
    let tail = characters.len().saturating_sub(4).max(prefix);
    let masked = characters.iter().enumerate();
    masked
        .map(|(at, shown)| {
            if at >= prefix && at < tail {
                '*'
            } else {
                *shown
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_key_shows_its_prefix_and_last_four_characters() {
        assert_eq!(masked("sk_test_0123abcd"), "sk_test_****abcd");
        assert_eq!(masked("nonsense"), "****ense");
        assert_eq!(masked("sk_test_ab"), "sk_test_ab");
    }
}

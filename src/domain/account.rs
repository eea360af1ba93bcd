//! Ids of Stripe objects with the account that they are of.
//!
//! The id of an object of a connected account is written with its account, `acct_1/pi_1`, everywhere but in the
//! application's rows and in requests; an id of the key's own account is written alone. So nothing that is compared or
//! remembered by id can be of another account.

const SEPARATOR: char = '/';

/// Returns the id of an object of this account; `None` is the key's own account. `id` is as a row of the application or
/// Stripe has it: a text with a separator is the id of no object, in whatever account.
pub(crate) fn qualified(account: Option<&str>, id: &str) -> String {
    match account {
        Some(account) => format!("{account}{SEPARATOR}{id}"),
        None if id.contains(SEPARATOR) => format!("{SEPARATOR}{id}"),
        None => id.to_owned(),
    }
}

/// Returns the account of an id, `None` for the key's own.
pub(crate) fn account_of(id: &str) -> Option<&str> {
    let (account, _) = id.split_once(SEPARATOR)?;
    Some(account).filter(|account| !account.is_empty())
}

/// Returns an id as Stripe and the application write it.
pub(crate) fn unqualified(id: &str) -> &str {
    id.split_once(SEPARATOR).map_or(id, |(_, id)| id)
}

/// Returns whether the text is the id of an account.
pub(crate) fn is_account(text: &str) -> bool {
    let rest = text.strip_prefix("acct_").unwrap_or_default();
    !rest.is_empty() && text.len() <= 255 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::is_account;

    #[test]
    fn accounts_are_recognized_by_their_ids() {
        assert!(is_account("acct_1Nv0FGQ9RKHgCVdK"));
        for other in ["", "acct_", "acct_1/x", "acct_1 ", "cus_1"] {
            assert!(!is_account(other), "{other}");
        }
    }
}

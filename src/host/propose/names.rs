//! A proposed column name and the reason for it.

/// A column and the reason for choosing it.
pub(super) type Choice = (String, String);

/// Returns a name without differences in spelling: `Total Amount`, `totalAmount` and `total_amount` become the
/// same.
pub(super) fn squash(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

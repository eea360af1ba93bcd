//! A proposed column name and the reason for it.

/// A column and why it was chosen.
pub(super) type Choice = (String, String);

/// A name without what people write differently: `Total Amount`, `totalAmount`
/// and `total_amount` are one.
pub(super) fn squash(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

//! A proposed column name and the reason for it.

/// A column and the reason for choosing it.
pub(super) type Choice = (String, String);

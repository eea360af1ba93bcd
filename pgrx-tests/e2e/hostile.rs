//! Roles that mean harm, each with the rights of its kind.

mod locks;

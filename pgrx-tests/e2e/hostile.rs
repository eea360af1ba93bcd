//! Attackers: for each kind a role, and what it cannot get.

mod default_privileges;
mod vault;
mod webhook_load;

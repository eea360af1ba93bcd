//! Attackers: for each kind a role, and what it cannot get.

mod default_privileges;
mod faults;
mod locks;
mod page;
mod rpc_callers;
mod schema_owner;
mod swaps;
mod table_owner;
mod unknown_mode;
mod vault;
mod webhook_load;

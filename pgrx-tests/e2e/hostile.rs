//! Attackers: one role for each kind, and what it cannot do.

mod default_privileges;
mod faults;
mod locks;
mod rpc_callers;
mod schema_owner;
mod swaps;
mod table_owner;
mod unknown_mode;
mod vault;
mod webhook_load;

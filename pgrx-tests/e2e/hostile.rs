//! Attackers: for each kind a role, and what it cannot get.

mod webhook_load;

//! Calls over real HTTP, through a gateway that speaks PostgREST's protocol.
//! `make test-rpc` runs these.

mod buttons;
mod deliveries;
mod rights;
mod wrappers;

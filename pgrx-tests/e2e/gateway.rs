//! Calls over HTTP through a gateway that speaks PostgREST's protocol; `make test-rpc` runs them.

mod buttons;
mod deliveries;
mod rights;
mod wrappers;

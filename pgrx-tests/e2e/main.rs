//! End-to-end tests: a real server, transactions that commit, and the stand-in for Stripe over HTTP.
//!
//! `make test-e2e` starts the server and passes its address in the usual environment variables (PGHOST, PGPORT,
//! PGUSER). The tests in `gateway` also need an RPC gateway: `make test-rpc`.

mod alerts;
mod backfill;
mod batches;
mod concurrency;
mod connect;
mod counting_rows;
mod doctor;
mod errors;
mod explain;
mod gateway;
mod harness;
mod host_code;
mod hostile;
mod in_the_wild;
mod install;
mod issues;
mod kept;
mod limits;
mod lives;
mod lone_intents;
mod money_cases;
mod monitoring;
mod operate;
mod pages;
mod proposal;
mod run_sweep;
mod schedule;
mod secrets;
mod settings;
mod stored_changes;
mod sweeps;
mod upgrade;
mod views;
mod webhooks;

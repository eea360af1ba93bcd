//! `invoice_sync`: finds the payments that Stripe took and a lost webhook kept
//! from the books, and writes them into the application's own tables.

mod alert;
mod api;
mod apply;
mod domain;
mod host;
mod http;
mod json;
mod ledger;
mod operate;
mod pg;
mod run;
mod select;
mod settings;
mod stripe;
mod stripe_access;

::pgrx::pg_module_magic!(name, version);

#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::keep_backtraces_out();
    settings::init();
}

/// What `cargo pgrx test` starts its cluster with.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[path = "../pgrx-tests/pg.rs"]
mod pg_tests;

#[cfg(any(test, feature = "pg_test"))]
#[path = "../pgrx-tests/pg_names.rs"]
mod pg_names_tests;

#[cfg(any(test, feature = "pg_test"))]
#[path = "../pgrx-tests/pg_words.rs"]
mod pg_words_tests;

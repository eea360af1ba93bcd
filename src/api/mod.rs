//! The SQL surface: thin functions, one file a theme. Here, and only here, a
//! problem becomes an error of PostgreSQL's.

mod mapping;
mod monitor;
mod sync;
mod webhook;

use pgrx::extension_sql_file;

use crate::pg::Problem;

extension_sql_file!("../../sql/tables.sql", name = "tables", bootstrap);
extension_sql_file!(
    "../../sql/functions.sql",
    name = "functions",
    requires = [
        mapping::check_settings,
        mapping::propose_mapping,
        sync::sweep,
        sync::sync_invoice,
        webhook::receive_webhook,
        monitor::find_paid_without_payment,
        monitor::find_stripe_without_payment
    ]
);
extension_sql_file!(
    "../../sql/views.sql",
    name = "views",
    requires = ["functions"]
);
extension_sql_file!("../../sql/grants.sql", name = "grants", finalize);

/// The value, or the end of the statement.
fn or_raise<T>(result: Result<T, Problem>) -> T {
    result.unwrap_or_else(|problem| problem.raise())
}

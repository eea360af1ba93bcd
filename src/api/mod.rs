//! The SQL functions, thin, one file a subject. Only here does a [`Problem`](crate::pg::Problem) become an
//! error of PostgreSQL.

mod alerts;
mod doctor;
mod mapping;
mod monitor;
mod operate;
mod rpc;
mod sync;
mod webhook;

use pgrx::extension_sql_file;

extension_sql_file!("../../sql/tables.sql", name = "tables", bootstrap);
extension_sql_file!(
    "../../sql/functions.sql",
    name = "functions",
    requires = [
        mapping::check_settings,
        mapping::settings_changed,
        mapping::propose_mapping,
        sync::sweep,
        sync::run_sweep,
        sync::backfill,
        sync::sync_invoice,
        sync::explain,
        webhook::receive_webhook,
        rpc::require_admin,
        monitor::find_paid_without_payment,
        monitor::find_stripe_without_payment,
        monitor::find_currencies
    ]
);
extension_sql_file!("../../sql/rpc.sql", name = "rpc", requires = ["functions"]);
extension_sql_file!(
    "../../sql/operate.sql",
    name = "operate",
    requires = [
        "rpc",
        operate::issue_kinds,
        operate::resolve_issue,
        operate::acknowledge_issue,
        operate::snooze_issue,
        operate::undo,
        operate::undo_change
    ]
);
extension_sql_file!(
    "../../sql/views.sql",
    name = "views",
    requires = ["rpc", "operate"]
);
extension_sql_file!(
    "../../sql/alerts.sql",
    name = "alerts",
    requires = ["views", alerts::send_alerts]
);
extension_sql_file!(
    "../../sql/monitoring.sql",
    name = "monitoring",
    requires = [
        "alerts",
        doctor::doctor,
        doctor::missing_indexes,
        doctor::next_due
    ]
);
extension_sql_file!("../../sql/grants.sql", name = "grants", finalize);

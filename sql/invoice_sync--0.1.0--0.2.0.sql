-- From 0.1.0 to 0.2.0. What it leaves equals a fresh install: pgrx-tests/e2e/upgrade.rs compares them.
set local search_path = invoice_sync, pg_catalog, pg_temp;

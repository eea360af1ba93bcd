//! `invoice_sync`: finds the payments that Stripe took and a lost webhook kept
//! from the books, and writes them into the application's own tables.

::pgrx::pg_module_magic!(name, version);

-- Run once, in the new database of the container. The shop's tables come first; see docs/getting-started.md.
create extension pg_cron;
create extension invoice_sync;

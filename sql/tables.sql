-- The extension's own tables: its settings and its ledger.
-- None has a foreign key to a table of the application, so that the ledger keeps the changes
-- to rows that were deleted. Ids of the application's rows are stored as text.

-- Texts are passed between PostgreSQL and the library as they are, and the library reads them as UTF-8.
do $$
begin
    if getdatabaseencoding() not in ('UTF8', 'SQL_ASCII') then
        raise exception 'invoice_sync does not work in a database with the encoding %', getdatabaseencoding()
            using errcode = 'feature_not_supported',
                  detail = 'Stripe''s texts are in UTF-8, and so must be those of the database.',
                  hint = 'Dump the database and restore it into one that was created with: create database … encoding ''UTF8'' template template0;';
    end if;
end
$$;

-- Created here and not by CREATE EXTENSION, so that the schema is a member of the extension
-- and is dropped with it, and cannot contain objects that somebody else created.
create schema invoice_sync;
set local search_path = invoice_sync, pg_catalog, pg_temp;

comment on schema invoice_sync is
    'Objects of the extension invoice_sync, which keeps your invoices and payments consistent with Stripe';

create table settings (
    singleton boolean primary key default true check (singleton),

    invoices_table text not null default 'public.invoices',
    invoice_id_column text not null default 'id',
    invoice_number_column text default 'invoice_number',
    invoice_status_column text not null default 'invoice_status',
    invoice_status_values jsonb not null default '{}' check (jsonb_typeof(invoice_status_values) = 'object'),
    invoice_closed_column text default null,
    invoice_total_column text not null default 'total_amount',
    invoice_amount_paid_column text default 'amount_paid',
    invoice_balance_column text default 'balance_due',
    invoice_paid_at_column text default 'paid_date',
    invoice_currency_column text default 'currency',
    invoice_session_column text default 'stripe_session_id',
    invoice_intent_column text default 'stripe_payment_intent',
    invoice_account_column text default null,
    invoice_condition text default null,
    invoice_update_values jsonb not null default '{}' check (jsonb_typeof(invoice_update_values) = 'object'),

    payments_table text not null default 'public.payments',
    payment_id_column text not null default 'id',
    payment_invoice_column text not null default 'invoice_id',
    payment_status_column text default 'payment_status',
    payment_status_values jsonb not null default '{}' check (jsonb_typeof(payment_status_values) = 'object'),
    payment_amount_column text not null default 'total_amount',
    payment_gratuity_column text default 'gratuity',
    payment_refunded_column text default null,
    payment_currency_column text default null,
    payment_date_column text default 'transaction_date',
    payment_session_column text default 'stripe_session_id',
    payment_intent_column text default 'stripe_payment_intent',
    payment_condition text default null,
    payment_values jsonb not null default '{
        "payment_name": [{"metadata": "payment_name"}, {"stripe": "payment_intent.description"}, {"value": "Stripe payment"}],
        "payment_method": {"value": "Stripe"},
        "payment_notes": {"value": "Recorded by invoice_sync"}
    }' check (jsonb_typeof(payment_values) = 'object'),
    payment_update_values jsonb not null default '{}' check (jsonb_typeof(payment_update_values) = 'object'),

    invoice_paid_word text not null default 'Paid',
    invoice_partial_word text default 'Partial',
    invoice_closed_words text[] not null default '{Cancelled}',
    invoice_open_words text[] not null default '{Draft,Sent,Overdue}',
    invoice_after_paid_words text[] not null default '{}',
    invoice_refunded_words text[] not null default '{Refunded}',
    payment_paid_word text not null default 'Paid',
    payment_pending_words text[] not null default '{Pending,Overdue}',
    payment_failed_words text[] not null default '{Failed}',
    payment_refunded_word text default 'Refunded',
    payment_partly_refunded_words text[] not null default '{"Partially refunded"}',
    payment_disputed_word text default 'Disputed',

    default_currency text not null default 'usd' check (default_currency ~ '^[A-Za-z]{3}$'),
    amount_unit text not null default 'major' check (amount_unit in ('major', 'minor', 'stripe')),
    payment_amount_unit text default null check (payment_amount_unit in ('major', 'minor', 'stripe')),
    gratuity_key text default 'gratuity_amount',
    gratuity_unit text not null default 'major' check (gratuity_unit in ('major', 'minor', 'stripe')),
    invoice_reference_key text default 'invoice_id',
    client_reference_names_invoice boolean not null default false,
    time_zone text not null default 'UTC',
    host_search_path text default null,

    stripe_fetch_on_webhook boolean not null default true,
    webhook_budget_ms integer not null default 2000 check (webhook_budget_ms between 100 and 60000),
    event_retention interval not null default '90 days' check (event_retention >= interval '31 days'),
    run_retention interval not null default '1 year' check (run_retention >= interval '31 days'),
    issue_retention interval not null default '1 year' check (issue_retention >= interval '31 days'),
    alert_retention interval not null default '90 days' check (alert_retention >= interval '31 days'),
    local_check_budget_ms integer not null default 20 check (local_check_budget_ms between 0 and 60000),
    monthly_read_budget bigint default null check (monthly_read_budget > 0),
    full_round interval not null default '1 day' check (full_round > interval '0'),

    alert_sender text default null,
    alert_recipients text[] not null default '{}',
    alert_minimum_severity text not null default 'warning'
        check (alert_minimum_severity in ('notice', 'warning', 'critical')),
    alert_reminder_after interval default '3 days' check (alert_reminder_after >= interval '1 hour'),
    alert_when_resolved boolean not null default false,
    alert_notify text not null default 'full' check (alert_notify in ('full', 'ids', 'off')),
    admin_page_url text default null,

    rpc_admin_check text not null default 'invoice_sync.is_admin'
);

comment on table settings is
    'The settings of this database, in one row: your tables, columns and status words. Change it with UPDATE; each change is checked against the database at once';
comment on column settings.singleton is 'Always true, so that there is exactly one row';
comment on column settings.invoices_table is 'Table or view of invoices, schema-qualified';
comment on column settings.invoice_id_column is
    'Primary key of the invoice: uuid, bigint, integer, smallint or text';
comment on column settings.invoice_number_column is
    'Column of the invoice number that people use; null: the id is used';
comment on column settings.invoice_status_column is
    'Column of the invoice''s status: text, an enum, an integer, a boolean (its words are true and false), or a date or timestamp (true: it is set)';
comment on column settings.invoice_status_values is
    'Words for the values of the status column, as in {"draft": 0, "sent": 1, "paid": 2}; the settings of words then name these. {}: the values are the words';
comment on column settings.invoice_closed_column is
    'Second column, which says that an invoice is closed although the status does not: text or an enum with one of invoice_closed_words, invoice_refunded_words or a usual word for these, a boolean that is true, or a date or timestamp that is set. It is never written. Null: there is no such column';
comment on column settings.invoice_total_column is 'Column of the amount to be paid, in amount_unit';
comment on column settings.invoice_amount_paid_column is
    'Column of the amount paid, in amount_unit; null: there is no such column';
comment on column settings.invoice_balance_column is
    'Column of the amount still to be paid, in amount_unit; null: there is no such column';
comment on column settings.invoice_paid_at_column is
    'Column of the time of payment, date or timestamp; null: there is no such column';
comment on column settings.invoice_currency_column is
    'Column of the ISO 4217 currency code; null: all invoices are in default_currency. A null value in the column also means default_currency';
comment on column settings.invoice_session_column is
    'Column of the id of the Stripe checkout session, or of the payment link; null: there is no such column';
comment on column settings.invoice_intent_column is
    'Column of the Stripe payment intent id; null: there is no such column';
comment on column settings.invoice_account_column is
    'Column of the Stripe account that the invoice''s payments go to (acct_…), named in the table stripe_account; null: all invoices belong to the account of the key. A null or empty value in the column also means that';
comment on column settings.invoice_condition is
    'Which invoices count: an SQL expression over the row''s columns, such as deleted_at is null, evaluated as the table''s owner; null: all. Other rows are treated as if they did not exist, but money that Stripe received for one is reported';
comment on column settings.invoice_update_values is
    'Values for further columns that are set whenever an invoice, or a payment of one that is not closed, is written, such as {"updated_at": {"sql": "now()"}}. Sources as in payment_values, without stripe and metadata; an SQL expression sees the row as it becomes';
comment on column settings.payments_table is 'Table or view of payments, schema-qualified';
comment on column settings.payment_id_column is
    'Primary key of the payment; it must have a default or a source in payment_values';
comment on column settings.payment_invoice_column is 'Column of the id of the payment''s invoice';
comment on column settings.payment_status_column is
    'Column of the payment''s status, of the types of invoice_status_column; null: every row counts as paid';
comment on column settings.payment_status_values is
    'As invoice_status_values, for payment_status_column';
comment on column settings.payment_amount_column is 'Column of the amount without gratuity, in payment_amount_unit';
comment on column settings.payment_gratuity_column is
    'Column of the gratuity, in payment_amount_unit; null: there is no such column';
comment on column settings.payment_refunded_column is
    'Column of the amount refunded, in payment_amount_unit; null: there is no such column';
comment on column settings.payment_currency_column is
    'Column of the payment''s ISO 4217 currency code; null: payments are in the invoice''s currency. A null value in the column also means that. The amount of a payment in another currency does not count and is reported';
comment on column settings.payment_date_column is
    'Column of the time at which the money was received, date or timestamp; null: there is no such column';
comment on column settings.payment_session_column is
    'Column of the Stripe checkout session id; null: there is no such column. If there is none for the payment intent either, the extension remembers which row is which payment';
comment on column settings.payment_intent_column is
    'Column of the Stripe payment intent id; null: there is no such column';
comment on column settings.payment_condition is
    'Which payments count: an SQL expression over the row''s columns, such as deleted_at is null, evaluated as the table''s owner; null: all. Other rows are treated as if they did not exist, but a payment that one has is not recorded again without a decision';
comment on column settings.payment_values is
    'Values for further columns of a new payment: {"column": source}. A source is {"invoice": "column"}, {"stripe": "payment_intent.description"}, {"metadata": "key"}, {"value": constant}, {"sql": "expression"}, or an array of these, of which the first that is not null is used. An SQL expression is evaluated as the table''s owner, over the values that the row is given';
comment on column settings.payment_update_values is
    'As invoice_update_values, for a payment that is updated';
comment on column settings.invoice_paid_word is 'Status of a paid invoice';
comment on column settings.invoice_partial_word is
    'Status of a partially paid invoice; null: the status is not changed';
comment on column settings.invoice_closed_words is
    'Statuses of invoices that are never changed, such as cancelled, void or written off';
comment on column settings.invoice_open_words is
    'Statuses of invoices that are not paid yet, and are set to paid when the money is received. Usual words (draft, sent, open, unpaid, due, overdue, awaiting payment …), in any spelling, need not be listed unless another setting lists them. A status that is neither listed nor usual is never changed';
comment on column settings.invoice_after_paid_words is
    'Statuses that follow paid and are never changed. Usual words (shipped, delivered, fulfilled …) need not be listed';
comment on column settings.invoice_refunded_words is
    'Statuses of invoices whose money was refunded or charged back; they are never changed. Usual words (refunded, credited, charged back …) need not be listed';
comment on column settings.payment_failed_words is
    'Statuses of failed payments; such a row is set to paid only if Stripe has received the money of this payment. Usual words (failed, declined, rejected …) need not be listed';
comment on column settings.payment_partly_refunded_words is
    'Statuses of partially refunded payments; they count with the amount that was not refunded. Usual words (partially refunded …) need not be listed';
comment on column settings.payment_paid_word is 'Status of a payment whose money was received';
comment on column settings.payment_pending_words is
    'Statuses of expected payments, which become paid when Stripe has received the money. Usual words (pending, processing, requires action …) need not be listed';
comment on column settings.payment_refunded_word is
    'Status of a fully refunded payment; null: there is no such status';
comment on column settings.payment_disputed_word is
    'Status of a disputed payment; null: there is no such status';
comment on column settings.default_currency is 'ISO 4217 currency of invoices that do not specify one';
comment on column settings.amount_unit is
    'Unit of the amount columns of the invoices, and of the payments unless payment_amount_unit is set: major (12.50), minor (1250, by ISO 4217), or stripe (as in Stripe''s API)';
comment on column settings.payment_amount_unit is
    'Unit of the payments'' amount columns, if it is not that of the invoices; null: amount_unit';
comment on column settings.gratuity_key is
    'Metadata key of the gratuity on the session or payment intent; null: amounts contain no gratuity';
comment on column settings.gratuity_unit is 'Unit of the gratuity in the metadata: major, minor or stripe';
comment on column settings.invoice_reference_key is
    'Metadata key, on the session or payment intent, whose value is the invoice''s id or number; null: metadata does not identify invoices';
comment on column settings.client_reference_names_invoice is
    'Whether the client_reference_id of a checkout session is the invoice''s id or number. False by default, because many applications store a customer number there';
comment on column settings.time_zone is
    'Time zone in which dates and timestamps without time zone in your tables are written';
comment on column settings.host_search_path is
    'search_path in effect while your tables are written, for your triggers; null: the schemas of both tables, then public';

comment on column settings.stripe_fetch_on_webhook is
    'Whether a webhook requests the current state of its object from Stripe, unless an answer has just told it; false: the object in the event is used, and no request is made';
comment on column settings.webhook_budget_ms is
    'Maximum time for processing a webhook before Stripe is answered, in milliseconds; the next sweep processes what remains';
comment on column settings.local_check_budget_ms is
    'Time per sweep for scanning invoices by their own rows, without requests to Stripe, in milliseconds';
comment on column settings.monthly_read_budget is
    'Maximum number of requests to Stripe per calendar month (UTC); null: no limit. Stripe allows about 500 reads per payment, and at least 10000. Near the limit, checks of due invoices are postponed, and the remaining requests are used for the feed of events and for sync_invoice';
comment on column settings.full_round is
    'Interval in which every invoice is scanned once, a part of them with each sweep, even if a part takes longer than local_check_budget_ms';
comment on column settings.event_retention is
    'How long processed events are kept; at least 31 days, because Stripe keeps them for 30';
comment on column settings.alert_sender is
    'Sender of alert mails, as your Resend account allows it: books@example.com or Books <books@example.com>; null: no mail is sent';
comment on column settings.alert_recipients is
    'Recipients of alert mails, at most 50 addresses; empty: no mail is sent';
comment on column settings.alert_minimum_severity is
    'Lowest severity of issues that are included in alerts: notice, warning or critical';
comment on column settings.alert_reminder_after is
    'Interval after which an alert reminds of an issue that is still open, repeatedly; at least one hour; null: no reminders';
comment on column settings.alert_when_resolved is 'Whether alerts also report that an issue is resolved';
comment on column settings.alert_notify is
    'Content of notifications on the channel invoice_sync_issues, to which every role that can connect to this database can LISTEN: full (with invoice numbers, ids and summaries), ids (number, kind and severity of each issue), or off';
comment on column settings.admin_page_url is
    'Page that shows an issue: an https or http URL in which {issue_id} and {invoice_id} are replaced. If it contains neither and has no fragment, #issue-{issue_id} is appended. Null: alerts contain no links';
comment on column settings.rpc_admin_check is
    'Schema-qualified name of a function that decides whether an RPC caller is an admin: without arguments, returns boolean, runs with its owner''s rights. Other RPC callers are refused (42501), whatever their role was granted';
comment on column settings.run_retention is
    'How long runs and their changes are kept; a deleted run cannot be undone. At least 31 days. Runs to which a kept issue or alert refers are kept longer';
comment on column settings.issue_retention is
    'How long resolved issues are kept; at least 31 days. Issues that were resolved by a lasting decision of a person are always kept';
comment on column settings.alert_retention is 'How long sent alerts are kept; at least 31 days';

-- Columns of eight bytes first: nothing is lost to alignment. The constraints of run, change, event and
-- stripe_payment that only this extension could violate are checked by its tests, not here: PostgreSQL parses
-- each of them anew for each statement, which was a fifth of the time of a webhook.
create table run (
    id bigint generated always as identity primary key,
    started_at timestamptz not null,
    finished_at timestamptz,
    stripe_requests bigint,
    stripe_retries bigint,
    list_pages bigint,
    objects_from_lists bigint,
    objects_one_by_one bigint,
    invoices_checked integer not null,
    invoices_fixed integer not null,
    issues_found integer not null,
    stripe_errors integer not null,
    success boolean not null,
    kind text not null,
    cause text,
    role text not null,
    waited interval,
    error jsonb,
    monthly_reads jsonb,
    remark text
);
-- By the hour: an entry for many runs, which takes a few bytes of each.
create index run_started on run (date_trunc('hour', started_at at time zone 'UTC'));
create index on run (id) where kind = 'sweep';
create index on run (finished_at) where finished_at is null;

comment on table run is
    'Runs: one row for each sweep and sync_invoice call that was executed, each webhook that concerned an invoice, unless it had nothing to do and asked nothing, and each backfill, resolve_issue and undo';
comment on column run.kind is 'sweep, sync_invoice, webhook, backfill, resolve_issue or undo';
comment on column run.cause is 'How it was started: cron, sql, rpc or webhook; the table run has null for webhook';
comment on column run.role is 'Role of the caller';
comment on column run.started_at is 'When it started';
comment on column run.finished_at is 'When it finished; null: it is running, or was terminated';
comment on column run.success is
    'Whether the settings match the database and Stripe was reachable; stripe_errors counts individual lookups that failed';
comment on column run.error is 'The error that ended the run: sqlstate, message, hint; null if it succeeded';
comment on column run.invoices_checked is 'Number of invoices checked';
comment on column run.invoices_fixed is 'Number of invoices changed';
comment on column run.issues_found is
    'Number of unresolved issues of the checked invoices at the end of the run, including those opened earlier';
comment on column run.stripe_errors is
    'Number of lookups that Stripe did not answer, for invoices and for the feed of events';
comment on column run.monthly_reads is
    'The monthly budget, the number of requests used before the run, and the forecast for the month; null if settings.monthly_read_budget is null';
comment on column run.remark is 'A remark about the run; null: none';
comment on column run.stripe_requests is
    'Number of requests to Stripe, including retries; the table run has null for none';
comment on column run.stripe_retries is
    'Number of retried requests to Stripe; the table run has null for none';
comment on column run.waited is
    'Time spent waiting for Stripe''s answers; the table run has null for none';
comment on column run.list_pages is
    'Number of pages of Stripe''s lists that were requested instead of single objects; the table run has null for none';
comment on column run.objects_from_lists is
    'Number of requested objects that were found on these pages; the table run has null for none';
comment on column run.objects_one_by_one is
    'Number of objects that were requested individually; the table run has null for none';

-- No index: it is read as a whole, and empty after each sweep.
create table run_to_count (
    run_id bigint not null
);

comment on table run_to_count is 'Finished runs that are not yet included in tally';
comment on column run_to_count.run_id is 'Id of the run';

create table change_form (
    id bigint primary key,
    document text not null
);

comment on table change_form is
    'What many changes have in common, stored once: tables, names of columns and usual values. The view full_change puts changes together';
comment on column change_form.id is 'Id of the form, computed from its content';
comment on column change_form.document is
    'A JSON object: changes, each with table, row, before and after, and their evidence. Each second line is a gap, and says what belongs there: the invoice''s id, or a line of change.content by its number';

-- A row for all changes of an invoice in a run. Columns of eight bytes first: nothing is lost to alignment.
-- A foreign key to change_form would make sessions that write at the same time lock the same few rows.
create table change (
    id bigint generated always as identity primary key,
    run_id bigint not null,
    form_id bigint not null,
    invoice_id text not null,
    content text not null,
    undone_by_runs bigint[],
    decision jsonb
);
create index on change (run_id);
create index on change using hash (invoice_id) with (fillfactor = 100);
create index on change using gin (undone_by_runs) where undone_by_runs is not null;

comment on table change is
    'What a run changed in your tables for an invoice, in short: what differs from its form. The view changes shows each change in full';
comment on column change.run_id is 'The run that made the change';
comment on column change.form_id is 'The form (change_form)';
comment on column change.undone_by_runs is
    'The runs that undid the changes, each in the place of its change; null: none was undone';
comment on column change.invoice_id is 'Id of the invoice, as text';
comment on column change.content is 'What belongs into the gaps of the form, a line each';
comment on column change.decision is
    'Issue, action and note of the person''s decision that led to it; null: none did';

create table issue (
    id bigint generated always as identity primary key,
    invoice_id text,
    invoice_number text,
    kind text not null,
    severity text not null check (severity in ('notice', 'warning', 'critical')),
    object text,
    summary text not null,
    evidence jsonb not null,
    state text not null default 'open' check (state in ('open', 'acknowledged', 'resolved')),
    first_seen timestamptz not null default now(),
    last_seen timestamptz not null default now(),
    times_seen integer not null default 1 check (times_seen > 0),
    first_run bigint not null references run,
    last_run bigint not null references run,
    acknowledged_at timestamptz,
    acknowledged_by text,
    snoozed_until timestamptz,
    note text,
    resolved_at timestamptz,
    resolved_by text,
    resolution text,
    settled jsonb,
    check ((state = 'resolved') = (resolved_at is not null)),
    check ((acknowledged_at is null) = (acknowledged_by is null)),
    check ((resolution is null) = (resolved_by is null)),
    check (settled is null or resolution is not null)
);
create unique index issue_once on issue ((coalesce(invoice_id, '')), kind, (coalesce(object, '')))
    where state <> 'resolved';
create index on issue ((coalesce(invoice_id, '')), kind) where settled is not null;
create index on issue (resolved_at);

create index on issue (first_run);
create index on issue (last_run);
create index on issue (resolved_at) where state = 'resolved';

comment on table issue is
    'Issues that need a person: opened once, updated while they last, resolved automatically when their cause is gone';
comment on column issue.invoice_id is 'Id of the invoice, as text; null: the issue concerns all invoices';
comment on column issue.invoice_number is 'Number of the invoice that people use';
comment on column issue.kind is
    'paid_without_payment, amount_mismatch, currency_mismatch, overpaid, duplicate_payment, possible_duplicate, stripe_object_missing, livemode_mismatch, unknown_status, refunded, partially_refunded, disputed, unlinked_payment, apply_failed, overridden_by_trigger, repair_undone, stripe_unreachable, misconfigured, webhooks_failing or event_failing';
comment on column issue.severity is 'notice, warning or critical';
comment on column issue.object is 'The Stripe object that the issue is about; null: the invoice itself';
comment on column issue.summary is 'Description for people';
comment on column issue.evidence is 'The facts, for programs: amounts, ids, statuses';
comment on column issue.state is 'open, acknowledged or resolved';
comment on column issue.first_seen is 'When it was opened';
comment on column issue.last_seen is 'When it was last found';
comment on column issue.times_seen is 'Number of runs that found it';
comment on column issue.first_run is 'The run that opened it';
comment on column issue.last_run is 'The run that last found or resolved it';
comment on column issue.acknowledged_at is 'When it was acknowledged';
comment on column issue.acknowledged_by is 'The role that acknowledged it';
comment on column issue.snoozed_until is 'No reminders are sent until this time; the issue stays open';
comment on column issue.note is
    'The note given with the last acknowledge_issue, snooze_issue or resolve_issue';
comment on column issue.resolved_at is 'When it was resolved';
comment on column issue.resolved_by is 'The role that resolved it; null: it was resolved automatically';
comment on column issue.resolution is
    'The action of resolve_issue that was taken; null: it was resolved automatically';
comment on column issue.settled is
    'The facts that a person''s decision was about; the issue is not opened again while they are unchanged. Null: it is opened whenever it is found';

create table invoice_check (
    invoice_id text primary key,
    stored_ids text[] not null,
    checked_at timestamptz,
    next_check_at timestamptz,
    back_off interval,
    awaited text[] not null default '{}'
);
create index on invoice_check (next_check_at) where next_check_at is not null;
-- The weekly thorough scan looks up each invoice that is not booked: by hash, fewer texts are compared.
create index on invoice_check using hash (invoice_id) with (fillfactor = 100);

comment on table invoice_check is
    'When Stripe was last asked about an invoice, and when the next request is due; one about which nothing is left to ask, because all that it stores is booked, has no row';
comment on column invoice_check.invoice_id is 'Id of the invoice, as text';
comment on column invoice_check.stored_ids is
    'The Stripe ids that the invoice contained at that time, none if all were booked; if they change, or leave the books, Stripe is asked at once';
comment on column invoice_check.checked_at is 'When Stripe last answered; null: not yet';
comment on column invoice_check.next_check_at is
    'When the next request is due; null: never, because all is final or booked';
comment on column invoice_check.back_off is
    'The last interval between requests, where intervals increase; null: they do not';
comment on column invoice_check.awaited is
    'Payments that are booked, and for which Stripe did not know yet what further columns of their rows store, such as its fee';

-- Columns of eight bytes first: nothing is lost to alignment.
create table stripe_payment (
    received bigint not null,
    refunded bigint not null,
    seen_at timestamptz not null,
    as_of timestamptz not null,
    received_at timestamptz,
    withheld bigint,
    refunded_latest bigint,
    sessionless boolean not null default false,
    invoice_id text not null,
    id text not null,
    currency text not null,
    session_id text,
    charge_id text,
    stripe_invoice_id text,
    dispute text,
    primary key (invoice_id, id)
);
-- Ids are looked up and never sorted: an entry is a hash, whatever their length. With pages that are filled
-- before the next ones are begun, they take a third less.
create index on stripe_payment using hash (id) with (fillfactor = 100);
create index on stripe_payment using hash (session_id) with (fillfactor = 100);
create index on stripe_payment using hash (charge_id) with (fillfactor = 100);
create index on stripe_payment (stripe_invoice_id) where stripe_invoice_id is not null;

comment on table stripe_payment is 'The last known state of each Stripe payment received for an invoice';
comment on column stripe_payment.id is
    'Id of the payment intent; without one, of the checkout session or charge';
comment on column stripe_payment.invoice_id is 'Id of the invoice for which it was looked up, as text';
comment on column stripe_payment.session_id is 'Checkout session, if known';
comment on column stripe_payment.charge_id is 'Latest charge, if known';
comment on column stripe_payment.currency is 'ISO 4217 code, lower case';
comment on column stripe_payment.received is
    'Amount received, in Stripe''s smallest unit; 0: a payment row says that it was received, and Stripe that it was not';
comment on column stripe_payment.refunded is 'Amount refunded, in Stripe''s smallest unit';
comment on column stripe_payment.dispute is 'Status of the dispute; null: none';
comment on column stripe_payment.received_at is 'When Stripe received the money';
comment on column stripe_payment.as_of is
    'When the answer was requested; answers that were requested earlier are ignored';
comment on column stripe_payment.seen_at is 'When Stripe answered';
comment on column stripe_payment.refunded_latest is
    'Amount refunded according to the latest answer, if that is less than refunded, which a row of the invoice still states; null: the same';
comment on column stripe_payment.withheld is
    'Amount withheld by its disputes, in Stripe''s smallest unit; null: all or nothing, depending on the status of the dispute';
comment on column stripe_payment.sessionless is
    'Whether Stripe reported that the payment intent belongs to no checkout session';
comment on column stripe_payment.stripe_invoice_id is 'The Stripe Invoice that it paid, if known';

create table unwritten_answer (
    invoice_id text not null,
    id text not null,
    ids text[] not null,
    as_of timestamptz not null,
    answer jsonb not null,
    primary key (invoice_id, id)
);

comment on table unwritten_answer is
    'Stripe''s answers about payments that your tables refused (apply_failed). Every sweep retries with them, without a request to Stripe';
comment on column unwritten_answer.invoice_id is 'Id of the invoice, as text';
comment on column unwritten_answer.id is 'Id of the payment intent; without one, of the checkout session or charge';
comment on column unwritten_answer.ids is 'All ids of the payment';
comment on column unwritten_answer.as_of is 'When the answer was requested';
comment on column unwritten_answer.answer is 'Stripe''s answer';

create table stripe_account (
    account text primary key check (account ~ '^acct_[A-Za-z0-9]+$'),
    livemode boolean,
    api_key text check (api_key ~ '^(file:/|vault:.)'),
    webhook_secret text check (webhook_secret ~ '^(file:/|vault:.)'),
    since timestamptz not null default now()
);

comment on table stripe_account is
    'The Stripe accounts that invoices belong to, beside that of the key (invoice_sync.stripe_api_key), which needs no row here: see settings.invoice_account_column';
comment on column stripe_account.account is 'Stripe''s id of the account (acct_…)';
comment on column stripe_account.livemode is
    'Whether its payments are those of live mode; false: of test mode; null: those of the mode of the key';
comment on column stripe_account.api_key is
    'Reference to a key of its own, file:/absolute/path or vault:name; null: it is a connected account of the key''s platform (Stripe Connect)';
comment on column stripe_account.webhook_secret is
    'Reference to the secrets of a webhook endpoint of its own, file:/absolute/path or vault:name: what they sign is about this account, whatever it says; null: its events come by the endpoint of the platform';
comment on column stripe_account.since is 'When it was added';

-- Columns of eight bytes first: nothing is lost to alignment.
create table event (
    created timestamptz not null,
    received_at timestamptz not null,
    webhook_at timestamptz,
    processed_at timestamptz,
    next_attempt_at timestamptz default '-infinity',
    attempts integer not null default 0,
    livemode boolean not null,
    id text primary key,
    type text not null,
    state text not null,
    account text,
    stripe_invoice_id text,
    session_id text,
    intent_id text,
    charge_id text,
    result text,
    snapshot jsonb
);
create index on event (next_attempt_at) where state = 'pending';
-- Of few events: what is done does not contain them, unless nobody claimed the money.
create index on event (session_id) where session_id is not null;
create index on event (intent_id) where intent_id is not null;
create index on event (charge_id) where charge_id is not null;
create index on event (stripe_invoice_id) where stripe_invoice_id is not null;
-- By the hour: an entry for many events, which takes a few bytes of each.
create index event_received on event (date_trunc('hour', received_at at time zone 'UTC'));
create index event_by_webhook on event (date_trunc('hour', webhook_at at time zone 'UTC'))
    where webhook_at is not null;
create index on event (account, webhook_at) where account is not null;

comment on table event is
    'The inbox of Stripe''s events, from webhooks, the feed and backfills; each is processed once, and retried if processing failed';
comment on column event.id is
    'Stripe''s id of the event, after its account and a slash if that is not the key''s; for an entry of a backfill, the number of the backfill and the id of the object';
comment on column event.type is
    'Type of the event, such as checkout.session.completed; backfill: an object that a backfill could not process';
comment on column event.created is
    'When the event happened, by Stripe''s clock; for an entry of a backfill, when the entry was created';
comment on column event.livemode is 'Whether the event is of live mode; false: test mode';
comment on column event.account is
    'The account of the event, if it named one or a secret of that account signed it; null: the account of the key';
comment on column event.session_id is
    'The checkout session that it is about; null: none, or the event is done and this is not needed any more';
comment on column event.intent_id is
    'The payment intent that it is about; null: none, or the event is done and this is not needed any more';
comment on column event.charge_id is
    'The charge that it is about; null: none, or the event is done and this is not needed any more';
comment on column event.snapshot is
    'Id and time of creation of the object in the event; null: the event is done and this is not needed any more';
comment on column event.received_at is 'When it was first received';
comment on column event.webhook_at is 'When it was first received by webhook; null: never';
comment on column event.state is 'pending, done, or ignored (other type, mode or account)';
comment on column event.attempts is 'Number of failed attempts to process it';
comment on column event.next_attempt_at is 'When it is retried; null: it is done';
comment on column event.processed_at is
    'When it was processed; null: when it was received, or not yet';
comment on column event.result is
    'Why nothing was to be done, or the reason for the retry; null: what it led to is in the view changes';
comment on column event.stripe_invoice_id is 'The Stripe Invoice that it is about';

create table feed (
    whose text primary key,
    place jsonb not null,
    read_at timestamptz,
    looked_back_to timestamptz,
    account text,
    news_at timestamptz,
    back_off interval,
    next_read_at timestamptz
);

comment on table feed is 'Position in Stripe''s feed of events, for each account and mode';
comment on column feed.whose is 'Mode of the key (live or test), and the account if one is set, or if it is another one than that of the key';
comment on column feed.place is
    'Position: read_at, as in that column; anchor, the event from which reading continues; backlog, the range of older events that are still to be read';
comment on column feed.read_at is 'When the feed was last read up to its newest event, by Stripe''s clock';
comment on column feed.looked_back_to is
    'Time back to which the first runs search Stripe''s lists for payments (see the view progress); null: not started';
comment on column feed.account is
    'The account, if it is one of the table stripe_account; null: that of the key, whose feed each sweep reads';
comment on column feed.news_at is
    'Of one of these accounts, when its feed last brought an event that no webhook had delivered';
comment on column feed.back_off is
    'Of one of these accounts, the interval at which its feed is read, which doubles from 15 minutes up to a day; null: it brought news within an hour, and each sweep reads it';
comment on column feed.next_read_at is
    'Of one of these accounts, when its feed is read again; sooner if one of its invoices is due for a check';

create table round (
    singleton boolean primary key default true check (singleton),
    place text,
    began_at timestamptz not null,
    moved_at timestamptz not null,
    rows bigint not null check (rows >= 0),
    last_rows bigint check (last_rows >= 0),
    ended_at timestamptz,
    xid xid8 not null,
    basis xid8,
    conditions jsonb not null,
    thorough_at timestamptz
);

comment on table round is
    'Progress of the scan of all invoices, a part of them with each sweep, round after round';
comment on column round.singleton is 'Always true, so that there is at most one row';
comment on column round.place is
    'Position: a block of the tables'' files, or the last scanned invoice; null: a new round starts';
comment on column round.began_at is 'When this round started';
comment on column round.moved_at is 'When the last part was scanned';
comment on column round.rows is 'Number of rows scanned in this round';
comment on column round.last_rows is 'Number of rows scanned in the last complete round';
comment on column round.ended_at is 'When the last complete round ended';
comment on column round.xid is 'All transactions before this one had ended when this round started';
comment on column round.basis is
    'Rows not written by this transaction or a later one are skipped, because the previous round scanned them in their present state; null: no rows are skipped';
comment on column round.conditions is
    'What must be unchanged for rows to be skipped: server, version, settings, files of the tables, and the number of deleted payments';
comment on column round.thorough_at is
    'When the last round started that skipped no rows: once a week, and whenever the conditions change';

-- Not dumped, because it is valid on this server only.
create sequence limiter_segment as bigint minvalue -9223372036854775808 start 0;

comment on sequence limiter_segment is
    'Location of the shared memory in which the sessions of this database share the request rate limit: a handle and an identifier of the server start, in one number';

-- Each nextval counts a request, also if the transaction is rolled back.
create sequence stripe_read as bigint;

comment on sequence stripe_read is 'Number of requests to Stripe, for the monthly budget';

create table stripe_month (
    began date primary key,
    reads_before bigint not null check (reads_before >= 0)
);

comment on table stripe_month is 'Value of the request counter at the start of each month';
comment on column stripe_month.began is 'First day of the month, UTC';
comment on column stripe_month.reads_before is 'Number of requests counted before that day';

create table backfill (
    id bigint generated always as identity primary key,
    since timestamptz not null,
    until timestamptz not null,
    list text not null check (
        list in ('checkout_sessions', 'payment_intents', 'charges', 'refunds', 'disputes', 'invoices')
    ),
    gap_since timestamptz,
    after_id text,
    reached timestamptz,
    pages bigint not null default 0 check (pages >= 0),
    objects bigint not null default 0 check (objects >= 0),
    payments bigint not null default 0 check (payments >= 0),
    repaired bigint not null default 0 check (repaired >= 0),
    worked interval not null default '0',
    requested_at timestamptz not null default now(),
    moved_at timestamptz,
    finished_at timestamptz,
    first_look boolean not null default false,
    account text,
    refused_at timestamptz
);
create index on backfill (id) where finished_at is null;

comment on table backfill is 'Backfills and their progress, one row for each of an account''s lists';
comment on column backfill.id is 'Id of the row';
comment on sequence backfill_id_seq is 'Generates backfill.id';
comment on column backfill.since is 'Start of the period: the oldest objects to read';
comment on column backfill.until is 'End of the period: reading starts here and goes back in time';
comment on column backfill.list is
    'checkout_sessions, payment_intents, charges or invoices (of Stripe); for a gap in the feed of events also refunds or disputes';
comment on column backfill.gap_since is
    'Start of a gap in the feed, for a backfill that was started automatically because Stripe no longer has the events; null: it was requested';
comment on column backfill.after_id is 'The object that was read last; the next page starts after it';
comment on column backfill.reached is 'When that object was created';
comment on column backfill.pages is 'Number of pages read';
comment on column backfill.objects is 'Number of objects read';
comment on column backfill.payments is 'Number of objects for which Stripe received money';
comment on column backfill.repaired is 'Number of invoices changed';
comment on column backfill.worked is 'Time spent working';
comment on column backfill.requested_at is 'When it was requested';
comment on column backfill.moved_at is 'When the last page was completed';
comment on column backfill.finished_at is 'When it finished; null: it is not finished';
comment on column backfill.first_look is
    'Whether it was started automatically by the first runs, which search back by themselves';
comment on column backfill.account is
    'The account whose list it is, if it is one of the table stripe_account; null: that of the key';
comment on column backfill.refused_at is
    'When this account last could not be asked for it; it is asked again later, at intervals that grow up to a day; null: it answers';

-- The payments of an application that has no table of payments.
create table payment (
    id bigint generated by default as identity primary key,
    invoice_id text not null,
    status text not null default 'paid' check (status in ('paid', 'refunded', 'disputed')),
    amount numeric not null,
    gratuity numeric not null default 0,
    refunded_amount numeric not null default 0,
    currency text not null,
    paid_at timestamptz,
    stripe_session_id text,
    stripe_payment_intent_id text,
    recorded_at timestamptz not null default now()
);
create index on payment (invoice_id);
create index on payment (stripe_session_id);
create index on payment (stripe_payment_intent_id);

comment on table payment is
    'Payments of invoices whose application has no table of payments: used if it is settings.payments_table, which adopt_mapping proposes then';
comment on column payment.id is 'Id of the payment';
comment on sequence payment_id_seq is 'Generates payment.id';
comment on column payment.invoice_id is 'Primary key of the invoice, as text';
comment on column payment.status is 'paid, refunded (in full) or disputed';
comment on column payment.amount is 'Amount without gratuity, in major units (12.50)';
comment on column payment.gratuity is 'Gratuity, in major units';
comment on column payment.refunded_amount is 'Amount refunded, in major units';
comment on column payment.currency is 'ISO 4217 code';
comment on column payment.paid_at is 'When Stripe received the money';
comment on column payment.stripe_session_id is 'Checkout session, if there is one';
comment on column payment.stripe_payment_intent_id is 'Payment intent; without one, the charge';
comment on column payment.recorded_at is 'When the row was written';

-- What no column of the application's payments says.
create table payment_ids (
    invoice_id text not null,
    row_id text not null,
    session_id text,
    intent_id text,
    charge_id text,
    primary key (invoice_id, row_id)
);
create index on payment_ids (session_id);
create index on payment_ids (intent_id);
create index on payment_ids (charge_id);

comment on table payment_ids is
    'Stripe''s ids of payments whose table has no column for them: written if settings.payment_session_column and payment_intent_column are null';
comment on column payment_ids.invoice_id is 'Primary key of the invoice, as text';
comment on column payment_ids.row_id is 'Primary key of the payment, as text';
comment on column payment_ids.session_id is 'Checkout session, if known';
comment on column payment_ids.intent_id is 'Payment intent, if there is one';
comment on column payment_ids.charge_id is 'Charge, if known';

-- Included in pg_dump. The row of settings that CREATE EXTENSION inserts is replaced by the
-- one from the dump (see the trigger settings_replace).
select pg_catalog.pg_extension_config_dump('settings', '');
select pg_catalog.pg_extension_config_dump('run', '');
select pg_catalog.pg_extension_config_dump('run_id_seq', '');
select pg_catalog.pg_extension_config_dump('run_to_count', '');
select pg_catalog.pg_extension_config_dump('change_form', '');
select pg_catalog.pg_extension_config_dump('change', '');
select pg_catalog.pg_extension_config_dump('change_id_seq', '');
select pg_catalog.pg_extension_config_dump('issue', '');
select pg_catalog.pg_extension_config_dump('issue_id_seq', '');
select pg_catalog.pg_extension_config_dump('invoice_check', '');
select pg_catalog.pg_extension_config_dump('stripe_payment', '');
select pg_catalog.pg_extension_config_dump('unwritten_answer', '');
select pg_catalog.pg_extension_config_dump('stripe_account', '');
select pg_catalog.pg_extension_config_dump('event', '');
select pg_catalog.pg_extension_config_dump('feed', '');
select pg_catalog.pg_extension_config_dump('round', '');
select pg_catalog.pg_extension_config_dump('stripe_read', '');
select pg_catalog.pg_extension_config_dump('stripe_month', '');
select pg_catalog.pg_extension_config_dump('payment', '');
select pg_catalog.pg_extension_config_dump('payment_ids', '');
select pg_catalog.pg_extension_config_dump('payment_id_seq', '');
select pg_catalog.pg_extension_config_dump('backfill', '');
select pg_catalog.pg_extension_config_dump('backfill_id_seq', '');

insert into settings default values;

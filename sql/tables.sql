-- The extension's own tables: its settings and its ledger.
-- None has a foreign key to a table of the application's: rows there may go,
-- what was done to them stays known. Ids of the application's rows are text.

-- Made here and not by CREATE EXTENSION, so that the schema belongs to the
-- extension and goes with it. Nobody can have prepared it with traps.
create schema invoice_sync;
set local search_path = invoice_sync, pg_catalog, pg_temp;

comment on schema invoice_sync is
    'invoice_sync: payments that Stripe took and a lost webhook kept from the books, found and written';

create table settings (
    singleton boolean primary key default true check (singleton),

    invoices_table text not null default 'public.invoices',
    invoice_id_column text not null default 'id',
    invoice_number_column text default 'invoice_number',
    invoice_status_column text not null default 'invoice_status',
    invoice_total_column text not null default 'total_amount',
    invoice_amount_paid_column text default 'amount_paid',
    invoice_balance_column text default 'balance_due',
    invoice_paid_at_column text default 'paid_date',
    invoice_currency_column text default 'currency',
    invoice_session_column text default 'stripe_session_id',
    invoice_intent_column text default 'stripe_payment_intent',

    payments_table text not null default 'public.payments',
    payment_id_column text not null default 'id',
    payment_invoice_column text not null default 'invoice_id',
    payment_status_column text default 'payment_status',
    payment_amount_column text not null default 'total_amount',
    payment_gratuity_column text default 'gratuity',
    payment_refunded_column text default null,
    payment_date_column text default 'transaction_date',
    payment_session_column text default 'stripe_session_id',
    payment_intent_column text default 'stripe_payment_intent',
    payment_values jsonb not null default '{
        "payment_name": [{"metadata": "payment_name"}, {"stripe": "payment_intent.description"}, {"value": "Stripe payment"}],
        "payment_method": {"value": "Stripe"},
        "payment_notes": {"value": "Recorded by invoice_sync"}
    }' check (jsonb_typeof(payment_values) = 'object'),

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

    rpc_admin_check text not null default 'invoice_sync.is_admin',

    check (invoice_session_column is not null or invoice_intent_column is not null),
    check (payment_session_column is not null or payment_intent_column is not null)
);

comment on table settings is
    'The one row of choices: your tables, columns and words. Edit it with UPDATE; every change is checked against the database at once';
comment on column settings.singleton is 'There is one row';
comment on column settings.invoices_table is 'The table of invoices, with its schema';
comment on column settings.invoice_id_column is 'Primary key: uuid, bigint, integer, smallint or text';
comment on column settings.invoice_number_column is 'What people call an invoice; null: the id';
comment on column settings.invoice_status_column is 'The status: text, an enum or a domain over text';
comment on column settings.invoice_total_column is 'What is to be paid, in amount_unit';
comment on column settings.invoice_amount_paid_column is 'What has been paid, in amount_unit; null: there is no such column';
comment on column settings.invoice_balance_column is 'What is still to be paid, in amount_unit; null: there is no such column';
comment on column settings.invoice_paid_at_column is 'When it was paid: date or timestamp; null: there is no such column';
comment on column settings.invoice_currency_column is 'ISO 4217 code; null: all invoices are in default_currency. A null in the column means default_currency too';
comment on column settings.invoice_session_column is 'Stripe checkout session id; null: there is no such column';
comment on column settings.invoice_intent_column is 'Stripe payment intent id; null: there is no such column';
comment on column settings.payments_table is 'The table of payments, with its schema';
comment on column settings.payment_id_column is 'Primary key, with a default of its own';
comment on column settings.payment_invoice_column is 'The invoice''s id';
comment on column settings.payment_status_column is 'The status; null: every row counts as paid';
comment on column settings.payment_amount_column is 'The amount without the gratuity, in amount_unit';
comment on column settings.payment_gratuity_column is 'The gratuity, in amount_unit; null: there is no such column';
comment on column settings.payment_refunded_column is 'How much of it went back, in amount_unit; null: there is no such column';
comment on column settings.payment_date_column is 'When the money came: date or timestamp; null: there is no such column';
comment on column settings.payment_session_column is 'Stripe checkout session id; null: there is no such column';
comment on column settings.payment_intent_column is 'Stripe payment intent id; null: there is no such column';
comment on column settings.payment_values is
    'How each further column of a new payment gets its value: {"column": source}, where a source is {"invoice": "column"}, {"stripe": "payment_intent.description"}, {"metadata": "key"}, {"value": constant}, or an array of those of which the first that is not null counts';
comment on column settings.invoice_paid_word is 'The status of a paid invoice';
comment on column settings.invoice_partial_word is 'The status of an invoice paid in part; null: the status stays as it is';
comment on column settings.invoice_closed_words is 'Statuses of invoices that are never changed: cancelled, void, written off';
comment on column settings.invoice_open_words is
    'Statuses of invoices that are not paid yet, and become paid when the money comes. Words that are usual for it (draft, sent, open, unpaid, due, overdue, awaiting payment …) need not be named, however they are spelled, unless another setting names them. A word that is neither named nor usual is never changed';
comment on column settings.invoice_after_paid_words is
    'Statuses that an invoice has after it was paid: they are never changed. Usual ones (shipped, delivered, fulfilled …) need not be named';
comment on column settings.invoice_refunded_words is
    'Statuses of invoices whose money went back or is claimed back: they are never changed. Usual ones (refunded, credited, charged back …) need not be named';
comment on column settings.payment_failed_words is
    'Statuses of payments that failed: such a row becomes paid only if Stripe has received the money of this very payment. Usual words (failed, declined, rejected …) need not be named';
comment on column settings.payment_partly_refunded_words is
    'Statuses of payments that went back in part: they count with the rest. Usual words (partially refunded …) need not be named';
comment on column settings.payment_paid_word is 'The status of a payment that counts';
comment on column settings.payment_pending_words is 'Statuses of payments that are expected: they become paid when Stripe has the money';
comment on column settings.payment_refunded_word is 'The status of a payment that went back in whole; null: there is no such word';
comment on column settings.payment_disputed_word is 'The status of a payment under dispute; null: there is no such word';
comment on column settings.default_currency is 'The currency of invoices that name none: ISO 4217';
comment on column settings.amount_unit is
    'What the amount columns count: major (12.50), minor (ISO 4217: 1250 cents) or stripe (as Stripe''s API sends it)';
comment on column settings.gratuity_key is 'The metadata key of the gratuity on session or payment intent; null: none is split off';
comment on column settings.gratuity_unit is 'What that metadata counts: major, minor or stripe';
comment on column settings.invoice_reference_key is
    'The metadata key that names the invoice, by id or number, on session or payment intent; null: not looked at';
comment on column settings.client_reference_names_invoice is
    'Whether the client_reference_id of a checkout session names the invoice, too, by id or number. Not by itself, for many put a customer''s number there';
comment on column settings.time_zone is 'Where a day begins, for columns of type date and timestamp';
comment on column settings.host_search_path is
    'search_path while your tables are written, for your triggers; null: the schemas of both tables, then public';

comment on column settings.stripe_fetch_on_webhook is
    'Whether a webhook asks Stripe for the present state of what it is about; false: what the event itself says is acted on, and no request is made';
comment on column settings.webhook_budget_ms is
    'How long a webhook may be acted on before Stripe gets its answer, in milliseconds; what is not done then, the next sweep does';
comment on column settings.local_check_budget_ms is
    'How long a sweep looks through invoices that nothing brought up, by their own rows and without a request, in milliseconds';
comment on column settings.monthly_read_budget is
    'How many requests a calendar month (UTC) may have; null: not counted. Stripe gives about 500 reads for each payment, and 10000 at least. What is left of it near its end goes to the feed and to the button; due checks wait';
comment on column settings.full_round is
    'In this time every invoice is looked through once, by a stretch with each sweep, even where that takes longer than the budget';
comment on column settings.event_retention is
    'How long events are kept that were acted on; at least the 30 days for which Stripe keeps them';
comment on column settings.alert_sender is
    'From whom alerts are mailed, as Resend allows your account: books@example.com or Books <books@example.com>; null: none is mailed';
comment on column settings.alert_recipients is
    'To whom alerts are mailed: addresses, at the most 50; none: none is mailed';
comment on column settings.alert_minimum_severity is
    'Issues below this severity are not told of: notice, warning or critical';
comment on column settings.alert_reminder_after is
    'An issue that is still open so long after it was told of is told of again, and again after that; at least an hour; null: never';
comment on column settings.alert_when_resolved is 'Whether an alert says, too, that what was told of is resolved';
comment on column settings.alert_notify is
    'What the channel invoice_sync_issues says, on which every role that may connect to this database can LISTEN: full (with invoice numbers, ids and sentences), ids (number, kind and severity of each issue) or off';
comment on column settings.admin_page_url is
    'Where a person can look at an issue: an https or http URL in which {issue_id} and {invoice_id} are filled in; without either, #issue-{issue_id} is added, unless it has a fragment; null: alerts have no links';
comment on column settings.rpc_admin_check is
    'Which RPC callers are admins: a function, with its schema, without arguments, that answers with a boolean; it runs with its owner''s rights. Others are refused (42501), whatever their role was granted';
comment on column settings.run_retention is
    'How long runs are kept, and with each the changes that it made: what is gone cannot be undone. At least 31 days; kept longer: what an issue or an alert that is kept refers to';
comment on column settings.issue_retention is
    'How long resolved issues are kept; at least 31 days. Those that a person decided for good are kept';
comment on column settings.alert_retention is 'How long alerts are kept that were sent; at least 31 days';

create table run (
    id bigint generated always as identity primary key,
    kind text not null check (
        kind in ('sweep', 'sync_invoice', 'webhook', 'backfill', 'resolve_issue', 'undo')
    ),
    cause text not null check (cause in ('cron', 'sql', 'rpc', 'webhook')),
    role text not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    success boolean not null,
    error jsonb,
    invoices_checked integer not null check (invoices_checked >= 0),
    invoices_fixed integer not null check (invoices_fixed >= 0),
    issues_found integer not null check (issues_found >= 0),
    stripe_errors integer not null check (stripe_errors >= 0),
    stripe_requests bigint not null check (stripe_requests >= 0),
    stripe_retries bigint not null check (stripe_retries >= 0),
    waited interval not null check (waited >= interval '0'),
    list_pages bigint not null default 0 check (list_pages >= 0),
    objects_from_lists bigint not null default 0 check (objects_from_lists >= 0),
    objects_one_by_one bigint not null default 0 check (objects_one_by_one >= 0),
    counted boolean not null default false,
    monthly_reads jsonb,
    remark text
);
create index on run (started_at);
create index on run (id) where kind = 'sweep';
create index on run (id) where not counted;
create index on run (finished_at) where finished_at is null;

comment on table run is 'A row for each sweep and each button press that was carried out, for each webhook that was about an invoice, and for each backfill, resolve_issue and undo';
comment on column run.kind is 'sweep, sync_invoice, webhook, backfill, resolve_issue or undo';
comment on column run.cause is 'What started it: cron, sql, rpc or webhook';
comment on column run.role is 'The role that called';
comment on column run.started_at is 'When it began';
comment on column run.finished_at is 'When its work was done; null: it is under way, or was ended from outside';
comment on column run.success is 'Whether the settings fit the database and Stripe could be asked; single questions that failed are in stripe_errors';
comment on column run.error is 'Why not: sqlstate, message, hint';
comment on column run.invoices_checked is 'Invoices that were looked at';
comment on column run.invoices_fixed is 'Invoices of which something was changed';
comment on column run.issues_found is 'Issues that stand after the run, of the invoices it looked at, found now or before';
comment on column run.stripe_errors is 'Questions that Stripe did not answer, about invoices or for its events';
comment on column run.monthly_reads is 'Where settings.monthly_read_budget is set: the budget, what the month had used when it began, and the forecast for the whole month';
comment on column run.remark is 'What else there is to say; null: nothing';
comment on column run.stripe_requests is 'Requests sent, retries included';
comment on column run.stripe_retries is 'Requests that were sent again';
comment on column run.waited is 'How much of its time was spent waiting for Stripe''s answers; the rest is its own work';
comment on column run.list_pages is 'Pages of Stripe''s lists that were asked for, because that was expected to be fewer requests';
comment on column run.objects_from_lists is 'Objects asked about that were found on those pages';
comment on column run.objects_one_by_one is 'Objects asked about by a request of their own';
comment on column run.counted is 'Whether it is in tally, from which counters that never go back are made';

create table change (
    id bigint generated always as identity primary key,
    run_id bigint not null references run,
    invoice_id text not null,
    table_name text not null,
    row_id text not null,
    action text not null check (action in ('insert', 'update', 'delete')),
    before jsonb,
    after jsonb,
    evidence jsonb not null,
    undone_by bigint references run,
    check ((action = 'insert') = (before is null)),
    check ((action = 'delete') = (after is null))
);
create index on change (run_id);
create index on change (invoice_id);
create index on change (undone_by) where undone_by is not null;

comment on table change is 'Every change to a row of the application''s: what it was, what it became, and why';
comment on column change.run_id is 'The run that made it';
comment on column change.invoice_id is 'The invoice, as text';
comment on column change.table_name is 'The changed table, quoted, with its schema';
comment on column change.row_id is 'The changed row''s primary key, as text';
comment on column change.action is 'insert, update or delete; of its own accord only undo removes rows, and only those that were inserted. What your triggers did on the occasion is recorded as well';
comment on column change.before is 'The changed columns before, or the whole row that was removed; null for a new row';
comment on column change.after is 'The changed columns after, or the whole new row; null for a row that was removed';
comment on column change.evidence is 'What Stripe said: object ids, amounts in Stripe''s smallest unit, Request-Id; or what a person decided: issue, action and note, or what was undone';
comment on column change.undone_by is 'The run that put it back; null: it stands';

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

comment on table issue is 'What a person has to look at: opened once, refreshed while it lasts, resolved by itself when the facts agree';
comment on column issue.invoice_id is 'The invoice, as text; null where it concerns them all';
comment on column issue.invoice_number is 'What people call the invoice';
comment on column issue.kind is 'What it is: paid_without_payment, amount_mismatch, currency_mismatch, overpaid, duplicate_payment, possible_duplicate, stripe_object_missing, livemode_mismatch, unknown_status, refunded, partially_refunded, disputed, unlinked_payment, apply_failed, overridden_by_trigger, repair_undone, stripe_unreachable, misconfigured, webhooks_failing, event_failing';
comment on column issue.severity is 'notice, warning or critical';
comment on column issue.object is 'The Stripe object it is about; null where it is the invoice itself';
comment on column issue.summary is 'A sentence for people';
comment on column issue.evidence is 'The facts for machines';
comment on column issue.state is 'open, acknowledged or resolved';
comment on column issue.first_seen is 'When it was opened';
comment on column issue.last_seen is 'When it was last found to stand';
comment on column issue.times_seen is 'In how many runs it was found';
comment on column issue.first_run is 'The run that opened it';
comment on column issue.last_run is 'The run that saw it last, or that found it gone';
comment on column issue.acknowledged_at is 'When somebody said that they know of it';
comment on column issue.acknowledged_by is 'The role that said so';
comment on column issue.snoozed_until is 'Until when nobody wants to be reminded of it; it is open all the same';
comment on column issue.note is 'What the person who acknowledged, snoozed or resolved it last had to say';
comment on column issue.resolved_at is 'When the facts agreed again, or somebody decided';
comment on column issue.resolved_by is 'The role that decided; null: the facts agreed by themselves';
comment on column issue.resolution is 'The action that was decided on; null: the facts agreed by themselves';
comment on column issue.settled is 'The facts that were decided on: while they are the same, the issue is not opened again; null: whatever comes is told';

create table invoice_check (
    invoice_id text primary key,
    stored_ids text[] not null,
    checked_at timestamptz,
    next_check_at timestamptz,
    back_off interval
);
create index on invoice_check (next_check_at) where next_check_at is not null;

comment on table invoice_check is 'When Stripe was last asked about an invoice, and when it is to be asked again';
comment on column invoice_check.invoice_id is 'The invoice, as text';
comment on column invoice_check.stored_ids is 'The Stripe ids that the invoice stored then; other ids are asked about at once';
comment on column invoice_check.checked_at is 'When Stripe was asked and answered; null: not yet';
comment on column invoice_check.next_check_at is 'When it is due again; null: never, all is final or in the books';
comment on column invoice_check.back_off is 'How long it was left alone the last time, where that grows; null: it does not';

create table stripe_payment (
    invoice_id text not null,
    id text not null,
    session_id text,
    intent_id text,
    charge_id text,
    currency text not null,
    received bigint not null check (received >= 0),
    refunded bigint not null check (refunded between 0 and received),
    dispute text,
    received_at timestamptz,
    request_id text,
    seen_at timestamptz not null,
    as_of timestamptz not null check (as_of > '-infinity'),
    sessionless boolean not null default false,
    withheld bigint check (withheld >= 0),
    primary key (invoice_id, id)
);
create index on stripe_payment (id);
create index on stripe_payment (session_id);
create index on stripe_payment (charge_id);

comment on table stripe_payment is 'What Stripe last said of each payment that it received for an invoice';
comment on column stripe_payment.id is 'The payment intent, or the session or charge where there is none';
comment on column stripe_payment.invoice_id is 'The invoice it was looked at for, as text';
comment on column stripe_payment.session_id is 'Checkout session, where known';
comment on column stripe_payment.intent_id is 'Payment intent, where there is one';
comment on column stripe_payment.charge_id is 'The latest charge, where known';
comment on column stripe_payment.currency is 'ISO 4217, lower case';
comment on column stripe_payment.received is 'Amount received, in Stripe''s smallest unit';
comment on column stripe_payment.refunded is 'How much of it went back, in Stripe''s smallest unit';
comment on column stripe_payment.dispute is 'The status of its dispute; null: none';
comment on column stripe_payment.received_at is 'When Stripe received it';
comment on column stripe_payment.request_id is 'Stripe''s Request-Id of that answer';
comment on column stripe_payment.as_of is
    'When the answer was asked for: an answer that was asked for before that is not acted on';
comment on column stripe_payment.seen_at is 'When Stripe said so';
comment on column stripe_payment.withheld is
    'How much its disputes withhold, in Stripe''s smallest unit; null: by the dispute''s status all or nothing';
comment on column stripe_payment.sessionless is 'Whether Stripe says that its intent came by no checkout session';

create table unwritten_answer (
    invoice_id text not null,
    id text not null,
    ids text[] not null,
    as_of timestamptz not null,
    answer jsonb not null,
    primary key (invoice_id, id)
);

comment on table unwritten_answer is
    'What Stripe said of payments that your tables refused (apply_failed): every sweep tries again with it, and asks Stripe nothing';
comment on column unwritten_answer.invoice_id is 'The invoice, as text';
comment on column unwritten_answer.id is 'The payment intent, or the session or charge where there is none';
comment on column unwritten_answer.ids is 'All ids of the payment';
comment on column unwritten_answer.as_of is 'When Stripe was asked';
comment on column unwritten_answer.answer is 'What it said';

create table event (
    id text primary key,
    type text not null,
    created timestamptz not null,
    livemode boolean not null,
    account text,
    session_id text,
    intent_id text,
    charge_id text,
    snapshot jsonb not null,
    received_at timestamptz not null,
    webhook_at timestamptz,
    feed_at timestamptz,
    state text not null check (state in ('pending', 'done', 'ignored')),
    attempts integer not null default 0 check (attempts >= 0),
    next_attempt_at timestamptz not null default '-infinity',
    processed_at timestamptz,
    result text,
    check (webhook_at is not null or feed_at is not null or type = 'backfill'),
    check ((state = 'done') = (processed_at is not null))
);
create index on event (next_attempt_at) where state = 'pending';
create index event_failed on event (id) where state = 'pending' and attempts > 0;
create index on event (received_at);
create index on event (created);
create index on event (webhook_at) where webhook_at is not null;

comment on table event is 'The inbox: Stripe''s events, whatever way they came; acted on once, and again only where that failed';
comment on column event.id is 'Stripe''s id of the event; of a backfill''s entry, the backfill''s number and the object''s id';
comment on column event.type is 'What happened, such as checkout.session.completed; backfill: a backfill came upon it and could not finish it';
comment on column event.created is 'When it happened, by Stripe''s clock; of a backfill''s entry, when that was made';
comment on column event.livemode is 'Live or test';
comment on column event.account is 'The connected account it happened in; null: the key''s own';
comment on column event.session_id is 'The checkout session it is about';
comment on column event.intent_id is 'The payment intent it is about';
comment on column event.charge_id is 'The charge it is about';
comment on column event.snapshot is 'The object as it was then (data.object)';
comment on column event.received_at is 'When it first came';
comment on column event.webhook_at is 'When it first came by webhook; null: it did not';
comment on column event.feed_at is 'When it was first read from the feed; null: it was not';
comment on column event.state is 'pending, done or ignored (of another type, mode or account)';
comment on column event.attempts is 'How often acting on it failed';
comment on column event.next_attempt_at is 'When it is to be tried again';
comment on column event.processed_at is 'When it was acted on';
comment on column event.result is 'What came of it, or why it is to be tried again';

create table feed (
    whose text primary key,
    place jsonb not null,
    read_at timestamptz,
    looked_back_to timestamptz
);

comment on table feed is 'How far Stripe''s feed of events has been read, for each account and mode';
comment on column feed.whose is 'Mode of the key (live, test), and the connected account where one is set';
comment on column feed.place is
    'read_at: see there. anchor: the event from which reading goes on. backlog: what older events are still to be read, back to when';
comment on column feed.read_at is 'When it was last read up to its newest event, by Stripe''s clock';
comment on column feed.looked_back_to is
    'How far back the first runs look for payments, in Stripe''s lists (see the view progress); null: not begun';

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

comment on table round is 'The way through all invoices, a stretch with each sweep, round after round';
comment on column round.singleton is 'There is one row at the most';
comment on column round.place is 'How far it has come: a place in the files of the tables, or the last invoice that was looked at; null: a new round begins';
comment on column round.began_at is 'When this round began';
comment on column round.moved_at is 'When the last stretch was looked through';
comment on column round.rows is 'Rows looked through in this round';
comment on column round.last_rows is 'Rows that the last whole round went through';
comment on column round.ended_at is 'When the last whole round ended';
comment on column round.xid is 'Every transaction before this one had ended when this round began';
comment on column round.basis is
    'Rows that no transaction from this one on has written are passed over, because the round before saw them as they are; null: nothing is passed over';
comment on column round.conditions is
    'What has to be as it was for that: server, version and settings, and the number of payments that were deleted';
comment on column round.thorough_at is 'When the last round began that passed nothing over: one a week, and one wherever the conditions changed';

-- Not dumped: it means nothing to another server.
create sequence limiter_segment as bigint minvalue -9223372036854775808 start 0;

comment on sequence limiter_segment is
    'Where in this server''s memory the sessions of this database share the limit of requests per second; a handle and a mark of the server''s start in one number';

-- Every nextval is a request: it stays counted where the transaction is rolled back.
create sequence stripe_read as bigint;

comment on sequence stripe_read is 'Counts the requests to Stripe, for the monthly budget';

create table stripe_month (
    began date primary key,
    reads_before bigint not null check (reads_before >= 0)
);

comment on table stripe_month is 'Where the count of requests to Stripe stood when a month began';
comment on column stripe_month.began is 'The first day of the month, UTC';
comment on column stripe_month.reads_before is 'Requests counted until then';

create table backfill (
    id bigint generated always as identity primary key,
    since timestamptz not null,
    until timestamptz not null,
    list text not null check (
        list in ('checkout_sessions', 'payment_intents', 'charges', 'refunds', 'disputes')
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
    first_look boolean not null default false
);

comment on table backfill is 'What was asked for by the procedure backfill, a row for each of Stripe''s lists, and how far it has come';
comment on column backfill.id is 'Number';
comment on sequence backfill_id_seq is 'Numbers of backfills';
comment on column backfill.since is 'The time that it goes back to';
comment on column backfill.until is 'The time that it begins with';
comment on column backfill.list is 'checkout_sessions, payment_intents or charges; for time of which Stripe has no events any more, also refunds and disputes';
comment on column backfill.gap_since is 'Where nobody asked for it, because Stripe''s events are gone: since when; null: somebody did';
comment on column backfill.after_id is 'The object that was read last; the next page begins after it';
comment on column backfill.reached is 'When that object was made';
comment on column backfill.pages is 'Pages read';
comment on column backfill.objects is 'Objects read';
comment on column backfill.payments is 'Objects for which Stripe had received money';
comment on column backfill.repaired is 'Invoices of which something was changed';
comment on column backfill.worked is 'How long it was at work';
comment on column backfill.requested_at is 'When it was asked for';
comment on column backfill.moved_at is 'When a page was last done';
comment on column backfill.finished_at is 'When it was done; null: it is not';
comment on column backfill.first_look is 'Whether nobody asked for it, because the first runs look back by themselves';

-- Survives pg_dump. The row of settings that CREATE EXTENSION makes gives way
-- to the one that a dump brings (see the trigger settings_replace).
select pg_catalog.pg_extension_config_dump('settings', '');
select pg_catalog.pg_extension_config_dump('run', '');
select pg_catalog.pg_extension_config_dump('run_id_seq', '');
select pg_catalog.pg_extension_config_dump('change', '');
select pg_catalog.pg_extension_config_dump('change_id_seq', '');
select pg_catalog.pg_extension_config_dump('issue', '');
select pg_catalog.pg_extension_config_dump('issue_id_seq', '');
select pg_catalog.pg_extension_config_dump('invoice_check', '');
select pg_catalog.pg_extension_config_dump('stripe_payment', '');
select pg_catalog.pg_extension_config_dump('unwritten_answer', '');
select pg_catalog.pg_extension_config_dump('event', '');
select pg_catalog.pg_extension_config_dump('feed', '');
select pg_catalog.pg_extension_config_dump('round', '');
select pg_catalog.pg_extension_config_dump('stripe_read', '');
select pg_catalog.pg_extension_config_dump('stripe_month', '');
select pg_catalog.pg_extension_config_dump('backfill', '');
select pg_catalog.pg_extension_config_dump('backfill_id_seq', '');

insert into settings default values;

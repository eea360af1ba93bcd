-- What a good engineer would write by hand for the default tables: verifies, deduplicates, locks and books.
-- With a ledger, it also writes as many rows of the same content as this extension keeps.

create table handled (id text primary key);

create function book_by_hand(body text, signature text, ledger boolean) returns text
language plpgsql
as $$
declare
    at text := substring(signature from 't=(\d+)');
    event jsonb := body;
    session jsonb := event -> 'data' -> 'object';
    invoice invoices;
    payment payments;
    run_id bigint;
begin
    if signature not like '%v1=' || encode(hmac(at || '.' || body, 'whsec_bench', 'sha256'), 'hex') || '%'
        or abs(extract(epoch from now()) - at::bigint) > 300
    then
        raise exception 'the signature was not accepted';
    end if;
    insert into handled (id) values (event ->> 'id') on conflict do nothing;
    if not found then
        return 'seen before';
    end if;
    if ledger then
        run_id := keep_event(event);
    end if;
    if event ->> 'type' <> 'checkout.session.completed' or session ->> 'payment_status' <> 'paid' then
        return 'ignored';
    end if;
    select * into invoice from invoices where stripe_session_id = session ->> 'id' for update;
    if not found or invoice.invoice_status = 'Paid' then
        return 'nothing to do';
    end if;
    insert into payments (
        invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date,
        stripe_session_id, stripe_payment_intent
    )
    values (
        invoice.id, 'Stripe payment', 'Paid', 'Stripe', (session ->> 'amount_total')::numeric / 100,
        to_timestamp((event ->> 'created')::bigint)::date, session ->> 'id', session ->> 'payment_intent'
    )
    returning * into payment;
    update invoices set invoice_status = 'Paid', amount_paid = payment.total_amount, balance_due = 0, paid_date = now()
    where id = invoice.id;
    if ledger then
        perform keep_booking(run_id, event, invoice, payment);
    end if;
    return 'booked';
end
$$;

-- The tables of the extension, with their indexes and without its rows.
create schema by_hand;
create table by_hand.run (like invoice_sync.run including all);
create table by_hand.event (like invoice_sync.event including all);
create table by_hand.change (like invoice_sync.change including all);
create table by_hand.stripe_payment (like invoice_sync.stripe_payment including all);
alter table by_hand.change add foreign key (run_id) references by_hand.run;

create function keep_event(event jsonb) returns bigint
language plpgsql
as $$
declare
    run_id bigint;
begin
    insert into by_hand.event (
        id, type, created, livemode, received_at, webhook_at, state, next_attempt_at
    )
    values (
        event ->> 'id', event ->> 'type', to_timestamp((event ->> 'created')::bigint), (event ->> 'livemode')::boolean,
        now(), now(), 'done', null
    );
    insert into by_hand.run (
        kind, cause, role, started_at, finished_at, success, invoices_checked, invoices_fixed, issues_found,
        stripe_errors
    )
    values (
        'webhook', 'webhook', current_user, now(), clock_timestamp(), true, 1, 1, 0, 0
    )
    returning id into run_id;
    return run_id;
end
$$;

create function keep_booking(run_id bigint, event jsonb, invoice invoices, payment payments) returns void
language plpgsql
as $$
declare
    session jsonb := event #> '{data,object}';
begin
    -- In short, as the extension stores it: what differs from the other payments.
    insert into by_hand.change (run_id, form_id, invoice_id, content)
    values (
        run_id, 1, invoice.id, concat_ws(
            e'\n', payment.id, payment.created_at, payment.total_amount, payment.transaction_date, session ->> 'id',
            session ->> 'payment_intent', session ->> 'amount_total', now()
        )
    );
    insert into by_hand.stripe_payment (
        invoice_id, id, session_id, currency, received, refunded, seen_at, as_of
    )
    values (
        invoice.id, session ->> 'payment_intent', session ->> 'id',
        session ->> 'currency', (session ->> 'amount_total')::bigint, 0, now(), now()
    );
end
$$;

-- People's decisions about issues: the facts that they are about, and the actions.

create function facts_that_matter(evidence jsonb) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(nullif(evidence, 'null'), '{}')
           - array['message', 'detail', 'hint', 'stripe_says', 'why', 'type', 'events', 'undone_run', 'undo_run', 'attempted']
$$;

create function is_settled(invoice_id text, kind text, object text, evidence jsonb) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from invoice_sync.issue as x
        where coalesce(x.invoice_id, '') = coalesce($1, '')
            and x.kind = $2
            and coalesce(x.object, '') = coalesce($3, '')
            and x.settled = invoice_sync.facts_that_matter($4)
    )
$$;

create function with_earlier_attempts(evidence jsonb, earlier jsonb) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select case
        when evidence ? 'attempted' and earlier ? 'attempted' then jsonb_set(
            evidence, '{attempted}', (evidence -> 'attempted') || coalesce((
                select jsonb_agg(e.ids order by e.place)
                from jsonb_array_elements(earlier -> 'attempted') with ordinality as e (ids, place)
                where not exists (
                    select from jsonb_array_elements(evidence -> 'attempted') as n (ids)
                    where n.ids ?| array(select jsonb_array_elements_text(e.ids))
                )
            ), '[]')
        )
        else evidence
    end
$$;

create function issue_actions(id bigint)
returns table (action text, description text, argument text, argument_required boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select k.action, k.description, k.argument, k.argument_required
    from invoice_sync.issue as x
    join invoice_sync.issue_kinds() as k on k.kind = x.kind
    where x.id = $1 and x.state <> 'resolved' and k.action is not null and (select invoice_sync.require_admin())
$$;

comment on function facts_that_matter(jsonb) is
    'An issue''s evidence without the parts that differ from run to run, such as error messages and counts of events';
comment on function with_earlier_attempts(jsonb, jsonb) is
    'An issue''s evidence, extended by the payments in its earlier evidence that were not attempted again and therefore are still not written';
comment on function is_settled(text, text, text, jsonb) is
    'Whether a person already decided about an issue of this kind with the same facts; such an issue is not opened again';
comment on function issue_kinds() is
    'Kinds of issues and the actions that resolve_issue accepts for each, one row per action; action is null if a kind has none. argument: the argument of the action (status or invoice_id), optional if argument_required is false';
comment on function issue_actions(bigint) is
    'Actions that resolve_issue accepts for an unresolved issue, with a description and the argument';
comment on function resolve_issue(bigint, text, text, jsonb, boolean) is
    'Takes an action on an issue, as listed by issue_actions. arguments: {"status": …} or {"invoice_id": …}, as the action requires. With dry_run, returns what would change and writes nothing. Fails with P0002 if there is no such issue, 22023 if the action is not allowed, 55000 if the issue is resolved or its facts have changed, and with Stripe''s errors as sync_invoice';
comment on function acknowledge_issue(bigint, text) is
    'Marks an issue as acknowledged; it stays open, and no reminders are sent. Fails with P0002 if there is no such issue, and 55000 if it is resolved';
comment on function snooze_issue(bigint, timestamptz, text) is
    'Suppresses reminders of an issue until the given time (null: ends this); it stays open. Fails with P0002 if there is no such issue, and 55000 if it is resolved';
comment on function undo(bigint, boolean) is
    'Reverses the changes of a run, for each invoice completely or not at all, unless its rows were changed since. Returns what was not reversed and why. The repairs are not made again until a person decides so (issue repair_undone). With dry_run, writes nothing. Fails with P0002 if there is no such run';
comment on function undo_change(bigint, boolean) is
    'Reverses a single change, as undo does. Fails with P0002 if there is no such change';

-- What people decide: which facts are settled, and what can be done about an issue.

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
    'An issue''s evidence without what changes from run to run: the words of an error, a count of events';
comment on function with_earlier_attempts(jsonb, jsonb) is
    'An issue''s evidence with the payments that it named before and that were not tried again: they are still not written';
comment on function is_settled(text, text, text, jsonb) is
    'Whether somebody decided about an issue of this kind with these very facts: it is not opened again then';
comment on function issue_kinds() is
    'Every kind of issue with the actions that resolve_issue takes for it, a row each; the action is null where a kind has none. argument: what has to be told (status, invoice_id), or may be where argument_required is false';
comment on function issue_actions(bigint) is
    'What resolve_issue can do about an open issue, with a sentence for people, and the argument that it takes';
comment on function resolve_issue(bigint, text, text, jsonb, boolean) is
    'Carries out what a person decides about an issue; issue_actions tells the actions, arguments are {"status": …} or {"invoice_id": …}, as the action wants. dry_run: tells what would change, and writes nothing. P0002: no such issue; 22023: the action does not fit; 55000: the issue is resolved, or the facts have moved; and sync_invoice''s errors where Stripe has to be asked';
comment on function acknowledge_issue(bigint, text) is
    'Notes that the caller knows of an issue; it stays open. P0002: no such issue; 55000: it is resolved';
comment on function snooze_issue(bigint, timestamptz, text) is
    'Nobody is reminded of the issue until then (null: ends that); it stays open. P0002: no such issue; 55000: it is resolved';
comment on function undo(bigint, boolean) is
    'Puts back what a run changed, each invoice as a whole, where nobody changed it since; says what it left and why. The repairs are not made again until somebody says so (issue repair_undone). dry_run: writes nothing. P0002: no such run';
comment on function undo_change(bigint, boolean) is
    'Puts a single change back, as undo does. P0002: no such change';

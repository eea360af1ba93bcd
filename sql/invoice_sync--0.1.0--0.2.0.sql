-- Issues end by the facts that they rest on.
set local search_path = invoice_sync, pg_catalog, pg_temp;

create or replace function facts_that_matter(evidence jsonb) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(nullif(evidence, 'null'), '{}')
           - array['message', 'detail', 'hint', 'stripe_says', 'why', 'type', 'events', 'undone_run', 'undo_run', 'attempted']
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

comment on function with_earlier_attempts(jsonb, jsonb) is
    'An issue''s evidence with the payments that it named before and that were not tried again: they are still not written';
revoke all on function with_earlier_attempts(jsonb, jsonb) from public;

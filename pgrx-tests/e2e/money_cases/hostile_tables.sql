-- A plain role owns all of it. Roles belong to the whole server, so another
-- test may have made it.
do $$
begin
    create role "shop keeper";
exception
    when duplicate_object or unique_violation then null;
end
$$;

create schema "Billing Data" authorization "shop keeper";
create schema "Odds & Ends" authorization "shop keeper";
set role "shop keeper";

create type "Billing Data"."State of an Order" as enum (
    'draft', 'awaiting money', 'customer''s query', 'partly paid', 'settled', 'late', 'void', 'written off'
);
create type "Billing Data"."State" as enum (
    'expected', 'late', 'done', 'gone back', 'fought over', 'bounced'
);

-- Its keys are larger than what a double holds exactly.
create table "Billing Data"."order" (
    dropped text,
    "Key" bigint generated always as identity (start with 9007199254740993) primary key,
    "No." integer not null unique,
    "user" text not null,
    "Org ""1""" bigint not null,
    "State" "Billing Data"."State of an Order" not null default 'draft',
    "total" bigint not null,
    "Paid So Far" bigint,
    "left" bigint,
    "when" date,
    "Currency" character(3),
    "session" text,
    "select" text,
    "touched" timestamptz
);
alter table "Billing Data"."order" drop column dropped;

create table "Billing Data"."group" (
    dropped integer,
    "from" bigint generated always as identity primary key,
    "for" bigint not null references "Billing Data"."order",
    "State" "Billing Data"."State" not null default 'expected',
    "amount" bigint not null,
    "Tip" bigint,
    "Back" bigint,
    "when" date,
    "Session Id" text,
    "Intent" text unique,
    "Org ""1""" bigint not null,
    "how" text not null,
    "remark" text not null,
    "made by" jsonb,
    "gross" bigint generated always as ("amount" + coalesce("Tip", 0)) stored
);
alter table "Billing Data"."group" drop column dropped;

-- Row level security for the owner too, and no policy for anybody.
alter table "Billing Data"."order" enable row level security;
alter table "Billing Data"."order" force row level security;
alter table "Billing Data"."group" enable row level security;
alter table "Billing Data"."group" force row level security;

create function "Odds & Ends".what_is_left(total bigint, paid bigint) returns bigint
language sql
as 'select greatest(total - coalesce(paid, 0), 0)';

-- None of the names in the triggers has a schema.
create function "Billing Data".recompute() returns trigger
language plpgsql
as $$
begin
    new."left" := what_is_left(new."total", new."Paid So Far");
    new."touched" := clock_timestamp();
    if new."State" not in ('void', 'written off', 'customer''s query') and new."total" > 0 then
        if new."Paid So Far" >= new."total" then
            new."State" := 'settled';
        elsif new."Paid So Far" > 0 and new."State" <> 'settled' then
            new."State" := 'partly paid';
        end if;
    end if;
    return new;
end
$$;
create trigger recompute before update on "Billing Data"."order"
    for each row execute function "Billing Data".recompute();

create function "Billing Data".tell_the_order() returns trigger
language plpgsql
as $$
begin
    update "order" o
    set "Paid So Far" = p.paid
    from (
        select coalesce(sum(g."amount" - coalesce(g."Back", 0)), 0) as paid
        from "group" g
        where g."for" = new."for" and g."State" = 'done'
    ) p
    where o."Key" = new."for"
      and o."Paid So Far" is distinct from p.paid
      and o."total" > 0
      and o."State" not in ('void', 'written off');
    return null;
end
$$;
create trigger tell_the_order after insert on "Billing Data"."group"
    for each row execute function "Billing Data".tell_the_order();

reset role;

-- CPU seconds that the session's process has used, without the threads that ask Stripe.

create function cpu_seconds() returns numeric
language sql
as $$
    select split_part(pg_read_file(format('/proc/%1$s/task/%1$s/schedstat', pg_backend_pid())), ' ', 1)::numeric
           / 1e9
$$;

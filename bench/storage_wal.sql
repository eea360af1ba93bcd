-- The write-ahead log since the position :before, for each of :sales payments.

select
    :'who',
    'write-ahead log',
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'before') / :sales;

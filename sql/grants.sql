-- Nothing is anybody's but the owner's until grant_access says so.

comment on column run.id is 'Number';
comment on column change.id is 'Number';
comment on column issue.id is 'Number';
comment on sequence run_id_seq is 'Numbers of runs';
comment on sequence change_id_seq is 'Numbers of changes';
comment on sequence issue_id_seq is 'Numbers of issues';

select invoice_sync.revoke_from_others(true);

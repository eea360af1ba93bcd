-- Revokes all rights of roles other than the owner; grant_access grants them.

comment on column run.id is 'Id of the run';
comment on column change.id is 'Id of the first of the changes; the others have the ids that follow';
comment on column issue.id is 'Id of the issue';
comment on sequence run_id_seq is 'Generates run.id';
comment on sequence change_id_seq is 'Generates change.id';
comment on sequence issue_id_seq is 'Generates issue.id';

select invoice_sync.revoke_from_others(true);

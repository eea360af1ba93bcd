-- Views in place of the hostile tables, of the same names.
create schema "Kept" authorization "shop keeper";
set role "shop keeper";
alter table "Billing Data"."order" set schema "Kept";
alter table "Billing Data"."group" set schema "Kept";
-- Its view is read with the rights of its owner, whom the policies would hide all rows from.
alter table "Kept"."order" no force row level security;
create view "Billing Data"."order" as select * from "Kept"."order" where "user" is not null;
create view "Billing Data"."group" with (security_invoker) as select * from "Kept"."group";
reset role;

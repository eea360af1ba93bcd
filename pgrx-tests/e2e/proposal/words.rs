//! Proposed status words, and settings that already have a value.

use super::proposals;
use crate::harness::{DEFAULT_TABLES, Shop};

#[test]
fn words_are_learnt_from_the_rows_that_there_are() {
    let mut shop = Shop::with_tables(
        "create table invoices (id serial primary key, status text, total numeric, stripe_session_id text);
         create table payments (id serial primary key, invoice_id integer references invoices,
             status varchar(20), amount numeric, stripe_session_id text);
         insert into invoices (status)
             select (array['sent', 'canceled', 'partially paid', 'written-off'])[1 + n % 4]
             from generate_series(1, 400) n;
         insert into payments (status) values ('completed'), ('awaiting payment');",
    );

    assert_eq!(
        proposals(&mut shop, "setting like '%\\_word%'"),
        [
            // Not seen, so the default, in the letters of the others.
            "invoice_paid_word=paid",
            "invoice_partial_word=partially paid",
            "invoice_closed_words={canceled,written-off}",
            "invoice_open_words={sent,draft,overdue}",
            "invoice_after_paid_words={}",
            "invoice_refunded_words={refunded}",
            "payment_paid_word=completed",
            r#"payment_pending_words={"awaiting payment",pending,overdue}"#,
            "payment_failed_words={failed}",
            "payment_refunded_word=refunded",
            r#"payment_partly_refunded_words={"partially refunded"}"#,
            "payment_disputed_word=disputed",
        ]
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    assert_eq!(
        shop.text("select payment_pending_words[1] from invoice_sync.settings")
            .as_deref(),
        Some("awaiting payment")
    );
}

#[test]
fn a_check_constraint_shows_which_words_may_be_written() {
    let mut shop = Shop::with_tables(
        "create table invoices (id integer primary key, total integer, stripe_session_id text,
             status text check (status in ('new', 'paid', 'won''t pay')));
         create table payments (id serial primary key, invoice integer references invoices, amount integer,
             paid_at date, stripe_session_id text);",
    );
    shop.not_at_rest("the settings do not fit the tables");

    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoice_paid_word', 'invoice_partial_word', 'invoice_closed_words',
                         'payment_status_column', 'payment_paid_word', 'amount_unit')"
        ),
        [
            "payment_status_column=",
            "invoice_paid_word=paid",
            "invoice_partial_word=",
            "invoice_closed_words={}",
            "payment_paid_word=Paid",
            "amount_unit=minor",
        ]
    );
}

#[test]
fn what_is_set_and_fits_stays() {
    let mut shop = Shop::with_tables(&format!(
        "{DEFAULT_TABLES}
         alter table invoices add gross numeric, add stripe_checkout_session_id text;"
    ));
    shop.execute(
        "update invoice_sync.settings set
             invoice_total_column = 'gross',
             invoice_session_column = 'stripe_checkout_session_id',
             invoice_closed_words = '{Cancelled,Lost}',
             payment_values = '{\"payment_method\": {\"value\": \"Online\"}, \"payment_name\": {\"invoice\": \"customer\"}}'",
    );

    let differing = proposals(&mut shop, "current is distinct from proposed");

    assert_eq!(differing, [] as [&str; 0]);
}

#[test]
fn the_words_of_a_table_are_read_as_its_owner() {
    // A cast to text is anybody's code; run as the extension's owner, it could do anything.
    let mut shop = Shop::with_tables(DEFAULT_TABLES);
    shop.not_at_rest("the settings do not fit the tables");
    shop.execute(
        "drop table payments, invoices;
         create role proposal_tenant;
         create schema proposal_tenant authorization proposal_tenant;
         set role proposal_tenant;
         create type proposal_tenant.citext as (word text);
         create table proposal_tenant.seen (as_whom text);
         create function proposal_tenant.tell(proposal_tenant.citext) returns text language plpgsql as $$
         begin
             insert into proposal_tenant.seen values (current_user);
             return 'paid';
         end $$;
         create cast (proposal_tenant.citext as text) with function proposal_tenant.tell(proposal_tenant.citext);
         create table proposal_tenant.invoices (id uuid primary key, status proposal_tenant.citext, total numeric, stripe_session_id text);
         create table proposal_tenant.payments (id uuid primary key, invoice_id uuid references proposal_tenant.invoices,
             amount numeric, stripe_session_id text);
         insert into proposal_tenant.invoices values (gen_random_uuid(), row('x'));
         reset role;
         select * from invoice_sync.propose_mapping();",
    );

    let seen = shop.texts("select distinct as_whom from proposal_tenant.seen");

    shop.execute("drop owned by proposal_tenant cascade; drop role proposal_tenant");
    assert_eq!(seen, [Some("proposal_tenant".to_owned())]);
}

#[test]
fn every_word_is_sorted_or_said_to_be_unsorted() {
    let mut shop = Shop::with_tables(
        "create domain state as text check (value in ('pending', 'succeeded', 'failed', 'partially_refunded', 'bounced'));
         create table invoices (id serial primary key, total numeric, stripe_session_id text,
             status text not null default 'new');
         create table payments (id serial primary key, invoice_id integer references invoices,
             status state, amount numeric, stripe_session_id text);
         insert into invoices (status)
         select unnest(array['sent', 'past_due', 'paid', 'completed', 'shipped', 'chargeback', 'credited', 'void', 'picking']);",
    );

    assert_eq!(
        proposals(
            &mut shop,
            "setting like '%\\_word%' or setting like '%\\_status\\_column.%'"
        ),
        [
            "invoice_paid_word=paid",
            "invoice_partial_word=partial",
            "invoice_closed_words={void,cancelled}",
            "invoice_open_words={sent,past_due,new,draft,overdue}",
            "invoice_after_paid_words={shipped,completed}",
            "invoice_refunded_words={credited,chargeback,refunded}",
            "invoice_status_column.picking=",
            "payment_paid_word=succeeded",
            "payment_pending_words={pending}",
            "payment_failed_words={failed}",
            "payment_refunded_word=",
            "payment_partly_refunded_words={partially_refunded}",
            "payment_disputed_word=",
            "payment_status_column.bounced=",
        ]
    );
    assert_eq!(
        shop.text("select reason from invoice_sync.propose_mapping() where setting = 'invoice_status_column.picking'")
            .as_deref(),
        Some(
            "no meaning is recognized: invoices with this status keep it. Add it to one of invoice_open_words, invoice_after_paid_words, invoice_refunded_words, invoice_closed_words"
        )
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    let differing = proposals(
        &mut shop,
        "current is distinct from proposed and setting not like '%.%'",
    );
    assert_eq!(
        differing,
        [] as [&str; 0],
        "what was adopted is proposed again"
    );
}

#[test]
fn a_payment_that_settled_a_part_needs_a_meaning_only_where_payments_wait() {
    for (words, expected) in [
        ("'paid', 'partially_paid', 'failed'", &[][..]),
        (
            "'paid', 'partially_paid', 'pending'",
            &["payment_status_column.partially_paid="],
        ),
    ] {
        let mut shop = Shop::with_tables(&format!(
            "create table invoices (
                id integer primary key, total integer, stripe_session_id text,
                status text check (status in ('sent', 'paid')));
            create table payments (
                id serial primary key, invoice_id integer references invoices, amount integer, stripe_session_id text,
                status text check (status in ({words})))"
        ));
        shop.not_at_rest("the settings do not fit the tables");
        let found = proposals(&mut shop, "setting like 'payment_status_column.%'");
        assert_eq!(found, expected, "{words}");
    }
}

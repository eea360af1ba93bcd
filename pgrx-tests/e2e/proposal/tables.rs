//! Which tables are taken for those of invoices and payments, and which column for the link.

use super::proposals;
use crate::harness::Shop;

#[test]
fn payouts_of_invoices_are_no_invoices_and_invoices_no_payments() {
    let mut shop = Shop::with_tables(
        "create table invoice_payouts (id bigserial primary key, amount bigint, currency text, status text);
        create table invoices (
            id bigserial primary key, state varchar not null default 'open', amount_due bigint, amount_paid bigint,
            amount_remaining bigint, payout_id bigint references invoice_payouts, status text, total bigint,
            stripe_charge_id text);
        insert into invoices (state, status, amount_due, amount_paid, amount_remaining, total) values
            ('paid', 'paid', 12500, 12500, 0, 12500)",
    );
    shop.execute("select invoice_sync.adopt_mapping()");
    assert_eq!(
        proposals(
            &mut shop,
            "setting in ('invoices_table', 'payments_table', 'invoice_balance_column')"
        ),
        [
            "invoices_table=public.invoices",
            // What is due at first is not what remains.
            "invoice_balance_column=amount_remaining",
            "payments_table=invoice_sync.payment",
        ]
    );
}

#[test]
fn of_several_links_the_one_with_a_usual_name_is_taken_or_none() {
    let tables = |link: &str| {
        format!(
            "create table invoices (id serial primary key, total numeric, status text, stripe_session_id text);
            create table payments (
                id serial primary key, credited_invoice integer references invoices, {link} integer references invoices,
                amount numeric, stripe_session_id text)"
        )
    };
    for (link, expected) in [
        ("invoice_id", "payment_invoice_column=invoice_id"),
        ("settled_invoice", "payment_invoice_column="),
    ] {
        let mut shop = Shop::with_tables(&tables(link));
        shop.not_at_rest("the settings do not fit the tables");
        let proposed = proposals_of(&mut shop);
        assert_eq!(proposed, [expected]);
    }
}

fn proposals_of(shop: &mut Shop) -> Vec<String> {
    let rows = shop.texts(
        "select format('%s=%s', setting, proposed)
        from invoice_sync.propose_mapping('invoices', 'payments') where setting = 'payment_invoice_column'",
    );
    rows.into_iter().flatten().collect()
}

#[test]
fn it_is_said_what_payments_refer_to_where_no_table_has_a_name_of_invoices() {
    let mut shop = Shop::with_tables(
        "create table reservations (id serial primary key, status text, price_cents integer);
        create table payments (
            id serial primary key, reservation_id integer references reservations, amount_cents integer,
            stripe_payment_intent_id text)",
    );
    shop.not_at_rest("the settings name tables that there are not");
    let asked = shop.error("select invoice_sync.adopt_mapping()");
    assert_eq!(
        asked.detail,
        "No table appears to contain invoices, by its name or by its columns. What may contain payments: public.payments refers to public.reservations."
    );
}

//! Which invoices are worth a look, told by SQL alone.

use serde::Deserialize;

use super::mapping::{Mapped, Mapping};
use super::read::stored_ids;
use crate::pg::sql;

/// An invoice about which Stripe is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// The invoice's id, as text.
    pub(crate) invoice: String,
    /// The Stripe ids to ask about: the invoice's own, then those of payments
    /// that still wait for their money or that name a session without its
    /// intent (it might be the invoice's), then those that issues are about.
    pub(crate) ids: Vec<String>,
}

#[derive(Deserialize)]
struct RawDue {
    id: String,
    session: Option<String>,
    intent: Option<String>,
    others: Vec<String>,
}

/// Invoices whose Stripe ids have no money in the books yet, or that have an
/// open issue about something of Stripe's, and that are due: the one that was
/// asked about longest ago first.
pub(crate) fn due(mapping: &Mapping, limit: usize) -> Vec<Due> {
    let sql_text = due_statement(mapping);
    sql::fetch(&sql_text, &[Some(&limit.to_string())])
        .into_iter()
        .filter_map(|row| serde_json::from_value::<RawDue>(row).ok())
        .map(|raw| {
            let mut ids = stored_ids(&raw.session, &raw.intent);
            ids.extend(raw.others);
            let mut seen = std::collections::BTreeSet::new();
            ids.retain(|id| seen.insert(id.clone()));
            Due {
                invoice: raw.id,
                ids,
            }
        })
        .collect()
}

/// Invoices whose own rows do not agree with each other, or that have an open
/// issue: decided without a request. New ones first, then the issue that was
/// looked at longest ago.
pub(crate) fn suspects(mapping: &Mapping, limit: usize) -> Vec<String> {
    sql::fetch(&suspects_statement(mapping), &[Some(&limit.to_string())])
        .into_iter()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect()
}

fn due_statement(mapping: &Mapping) -> String {
    let invoices = &mapping.invoices;
    let payments = &mapping.payments;
    let id = &invoices.id.quoted;
    let session = trimmed("i", invoices.session.as_ref());
    let intent = trimmed("i", invoices.intent.as_ref());
    let row_ids = [&payments.session, &payments.intent]
        .into_iter()
        .flatten()
        .map(|column| format!("p.{}", column.quoted))
        .collect::<Vec<_>>()
        .join(", ");
    let pending_words = literals(&mapping.payment_words.pending);
    let (is_pending, is_received) = match &payments.status {
        Some(status) => (
            format!("p.{}::text = any ({pending_words})", status.quoted),
            format!(
                "p.{}::text = any ({})",
                status.quoted,
                literals(&received_words(mapping))
            ),
        ),
        None => ("false".to_owned(), "true".to_owned()),
    };
    let lone_session = match (&payments.session, &payments.intent) {
        (Some(session), Some(intent)) => format!(
            "x.id = p.{} and coalesce(p.{}, '') = ''",
            session.quoted, intent.quoted
        ),
        _ => "true".to_owned(),
    };
    format!(
        "with candidate as (
            select i.{id}::text as id, {session} as session, {intent} as intent,
                   array_remove(array[{session}, {intent}], null) as stored,
                   coalesce(p.received, '{{}}') as received,
                   coalesce(p.pending, '{{}}') as pending,
                   coalesce(p.lone, '{{}}') as lone,
                   coalesce(x.objects, '{{}}') as objects
            from {invoices_table} i
            left join lateral (
                select array_agg(distinct x.id) filter (where {is_received}) as received,
                       array_agg(distinct x.id) filter (where {is_pending}) as pending,
                       array_agg(distinct x.id) filter (where {lone_session}) as lone
                from {payments_table} p
                cross join lateral unnest(array[{row_ids}]::text[]) x (id)
                where p.{payment_invoice} = i.{id} and x.id <> ''
            ) p on true
            left join (
                select invoice_id, array_agg(distinct object) as objects
                from invoice_sync.issue
                where state <> 'resolved' and object ~ '^(cs|pi|ch|py)_'
                group by 1
            ) x on x.invoice_id = i.{id}::text
        )
        select jsonb_build_object('id', c.id, 'session', c.session, 'intent', c.intent,
                                  'others', to_jsonb(c.pending || c.lone || c.objects))
        from candidate c
        left join invoice_sync.invoice_check k on k.invoice_id = c.id
        where (not c.stored <@ c.received or c.pending <> '{{}}' or c.objects <> '{{}}')
          and (k.invoice_id is null
               or k.stored_ids is distinct from c.stored
               or k.next_check_at <= now())
        order by k.checked_at nulls first, c.id
        limit $1::bigint",
        invoices_table = invoices.table,
        payments_table = payments.table,
        payment_invoice = payments.invoice.quoted,
    )
}

/// What is compared here is only a sieve: `reconcile` decides. Amounts are
/// compared in the host's own unit, whatever that is.
fn suspects_statement(mapping: &Mapping) -> String {
    let invoices = &mapping.invoices;
    let payments = &mapping.payments;
    let id = &invoices.id.quoted;
    let amount = format!("p.{}::numeric", payments.amount.quoted);
    let refunded = payments.refunded.as_ref().map_or_else(
        || "0".to_owned(),
        |column| format!("coalesce(p.{}::numeric, 0)", column.quoted),
    );
    let (counts, was_received) = match &payments.status {
        Some(status) => (
            format!(
                "p.{}::text = {}",
                status.quoted,
                pgrx::spi::quote_literal(&mapping.payment_words.paid)
            ),
            format!(
                "p.{}::text = any ({})",
                status.quoted,
                literals(&received_words(mapping))
            ),
        ),
        None => ("true".to_owned(), "true".to_owned()),
    };
    let status = format!("i.{}::text", invoices.status.quoted);
    let paid_word = pgrx::spi::quote_literal(&mapping.invoice_words.paid);
    let closed_words = literals(&mapping.invoice_words.closed);
    let stated = invoices.amount_paid.as_ref().map_or_else(
        || "null::numeric".to_owned(),
        |column| format!("coalesce(i.{}::numeric, 0)", column.quoted),
    );
    let balance = invoices.balance.as_ref().map_or_else(
        || "0::numeric".to_owned(),
        |column| format!("i.{}::numeric", column.quoted),
    );
    let first_id = [&payments.intent, &payments.session]
        .into_iter()
        .flatten()
        .map(|column| format!("nullif(p.{}, '')", column.quoted))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "with book as (
            select i.{id} as key, {status} as status, i.{total}::numeric as total,
                   {stated} as stated, {balance} as balance,
                   coalesce(p.secured, 0) as secured, coalesce(p.received, 0) as received,
                   coalesce(p.receipts, 0) as receipts, coalesce(p.doubled, false) as doubled
            from {invoices_table} i
            left join (
                select p.{payment_invoice} as invoice_key,
                       sum({amount} - {refunded}) filter (where {counts}) as secured,
                       sum({amount}) filter (where {was_received}) as received,
                       count(*) filter (where {was_received}) as receipts,
                       count(coalesce({first_id})) > count(distinct coalesce({first_id})) as doubled
                from {payments_table} p
                group by 1
            ) p on p.invoice_key = i.{id}
        )
        select to_jsonb(b.key::text)
        from book b
        left join (
            select invoice_id, max(last_seen) as last_seen
            from invoice_sync.issue
            where state <> 'resolved'
            group by 1
        ) x on x.invoice_id = b.key::text
        where (b.status <> all ({closed_words})
               and ((b.status = {paid_word} and b.receipts = 0 and b.total > 0)
                    or (b.status = {paid_word} and b.received < b.total)
                    or b.stated <> b.secured and (b.stated > b.received or b.stated < b.secured)
                    or (b.secured >= b.total and b.total > 0
                        and (b.status <> {paid_word} or b.balance is distinct from 0))
                    or b.secured > b.total
                    or b.total is null
                    or b.doubled))
           or x.invoice_id is not null
        order by x.last_seen nulls first, b.key
        limit $1::bigint",
        total = invoices.total.quoted,
        invoices_table = invoices.table,
        payments_table = payments.table,
        payment_invoice = payments.invoice.quoted,
    )
}

/// The words of rows by which money came in once.
fn received_words(mapping: &Mapping) -> Vec<String> {
    let words = &mapping.payment_words;
    [
        Some(&words.paid),
        words.refunded.as_ref(),
        words.disputed.as_ref(),
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect()
}

fn trimmed(alias: &str, column: Option<&Mapped>) -> String {
    column.map_or_else(
        || "null::text".to_owned(),
        |column| format!("nullif(btrim({alias}.{}::text), '')", column.quoted),
    )
}

fn literals(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(pgrx::spi::quote_literal).collect();
    format!("array[{}]::text[]", quoted.join(", "))
}

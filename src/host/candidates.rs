//! Which invoices are worth a look, told by SQL alone.

use serde::Deserialize;
use serde_json::json;

use super::mapping::{Mapped, Mapping};
use super::read::stored_ids;
use crate::pg::sql;

/// An invoice to look at.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The invoice's id, as text.
    pub(crate) invoice: String,
    /// What Stripe is to be asked about: the ids that the invoice stores, then
    /// those of payments that still wait for their money or that name a session
    /// without its intent (it might be the invoice's), then those that issues are
    /// about. Empty where its own rows do not agree, and Stripe is not to be asked.
    pub(crate) ids: Vec<String>,
}

/// What was found in a part of the host's tables.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each with its place, in the order of these.
    pub(super) candidates: Vec<(String, Candidate)>,
    /// How many rows were looked through.
    pub(super) rows: usize,
    /// The last place; `None` where there was none.
    pub(super) last: Option<String>,
}

#[derive(Deserialize)]
struct RawFound {
    rows: usize,
    last: Option<String>,
    found: Vec<RawCandidate>,
}

#[derive(Deserialize)]
struct RawCandidate {
    id: String,
    place: String,
    asks: bool,
    session: Option<String>,
    intent: Option<String>,
    others: Vec<String>,
}

/// A part of the host's tables.
pub(super) struct Part {
    /// Where an invoice `i` stands in it.
    pub(super) place: String,
    /// The order of places, of what was judged, `j`.
    pub(super) order: &'static str,
    /// Which invoices `i` belong to it: what follows FROM. `$1` is a text.
    pub(super) invoices: String,
    /// Which payments `p` do: a condition, where the chosen invoices are `part`.
    pub(super) payments: String,
    /// How many rows are looked through.
    pub(super) rows: String,
}

/// Which of these invoices are worth a look: Stripe is to be asked about those whose
/// ids have no money in the books yet, or that have an open issue about something of
/// Stripe's, and that were never asked about, or with other ids, or are due at `now`
/// (seconds since 1970).
pub(crate) fn among(mapping: &Mapping, invoices: &[String], now: f64) -> Vec<Candidate> {
    let key = &mapping.invoices.id;
    let part = Part {
        place: format!("i.{}::text", key.quoted),
        order: "j.key",
        rows: "0".to_owned(),
        invoices: format!(
            "where i.{id} = any (array(
                select {wanted} from jsonb_array_elements_text($1::jsonb) t))",
            id = key.quoted,
            wanted = key.key_or_null("t.value"),
        ),
        payments: format!(
            "p.{} = any (array(select key from part))",
            mapping.payments.invoice.quoted
        ),
    };
    let wanted = json!(invoices).to_string();
    let found = look(mapping, &part, Some(&wanted), now).candidates;
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Looks through a part. `param` is its parameter.
pub(super) fn look(mapping: &Mapping, part: &Part, param: Option<&str>, now: f64) -> Found {
    let statement = statement(mapping, part);
    sql::fetch_one(&statement, &[param, Some(&now.to_string())])
        .and_then(|row| serde_json::from_value::<RawFound>(row).ok())
        .map(|raw| Found {
            candidates: raw.found.into_iter().map(candidate).collect(),
            rows: raw.rows,
            last: raw.last,
        })
        .unwrap_or_default()
}

fn candidate(raw: RawCandidate) -> (String, Candidate) {
    let mut ids = Vec::new();
    if raw.asks {
        ids = stored_ids(&raw.session, &raw.intent);
        ids.extend(raw.others);
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
    }
    let invoice = raw.id;
    (raw.place, Candidate { invoice, ids })
}

/// What is compared here is only a sieve: `reconcile` decides. Amounts are
/// compared in the host's own unit, whatever that is.
fn statement(mapping: &Mapping, part: &Part) -> String {
    let (invoices, payments) = (&mapping.invoices, &mapping.payments);
    format!(
        "with part as materialized (
            select i.{id} as key, {place} as place, i.{id}::text as id, {session} as session, {intent} as intent,
                   i.{status}::text as status, i.{total}::numeric as total,
                   {stated} as stated, {balance} as balance
            from {invoices_table} i
            {chosen}
        ),
        paid as (
            select p.{payment_invoice} as invoice_key, {said}
            from {payments_table} p
            where {payments_chosen}
            group by 1
        ),
        disputed as (
            select invoice_id, array_agg(distinct object) as objects
            from invoice_sync.issue
            where state <> 'resolved' and object ~ '^(cs|pi|ch|py)_'
            group by 1
        ),
        book as (
            select t.*, array_remove(array[t.session, t.intent], null) as stored,
                   coalesce(p.secured, 0) as secured, coalesce(p.received, 0) as received,
                   coalesce(p.receipts, 0) as receipts, coalesce(p.doubled, false) as doubled,
                   array_remove(p.pending_ids || p.lone_ids, '') as open_ids,
                   x.objects,
                   not array_remove(array[t.session, t.intent], null) <@ coalesce(p.received_ids, '{{}}')
                   or coalesce(p.pending, 0) > 0 or x.objects is not null as is_unsettled
            from part t
            left join paid p on p.invoice_key = t.key
            left join disputed x on x.invoice_id = t.id
        ),
        judged as (
            select b.*,
                   b.is_unsettled
                   and (k.invoice_id is null
                        or k.stored_ids is distinct from b.stored
                        or k.next_check_at <= to_timestamp($2::float8)) as asks,
                   coalesce(b.status <> all ({closed_words})
                       and ((b.status = {paid_word} and b.receipts = 0 and b.total > 0)
                            or (b.status = {paid_word} and b.received < b.total)
                            or b.stated <> b.secured and (b.stated > b.received or b.stated < b.secured)
                            or (b.secured >= b.total and b.total > 0
                                and (b.status <> {paid_word} or b.balance is distinct from 0))
                            or b.secured > b.total
                            or b.total is null
                            or b.doubled), false) as suspect
            from book b
            -- Kept apart, so that it is looked up for the unsettled alone.
            left join lateral (
                select * from invoice_sync.invoice_check k
                where b.is_unsettled and k.invoice_id = b.id
                offset 0
            ) k on true
        )
        select jsonb_build_object(
            'rows', {rows},
            'last', (select place from part order by key desc limit 1),
            'found', coalesce(
                jsonb_agg(jsonb_build_object(
                    'id', j.id, 'place', j.place, 'asks', j.asks, 'session', j.session, 'intent', j.intent,
                    'others', to_jsonb(coalesce(j.open_ids, '{{}}') || coalesce(j.objects, '{{}}'))
                ) order by {order}),
                '[]'))
        from judged j
        where j.asks or j.suspect",
        id = invoices.id.quoted,
        session = trimmed("i", invoices.session.as_ref()),
        intent = trimmed("i", invoices.intent.as_ref()),
        status = invoices.status.quoted,
        total = invoices.total.quoted,
        stated = invoices.amount_paid.as_ref().map_or_else(
            || "null::numeric".to_owned(),
            |column| format!("coalesce(i.{}::numeric, 0)", column.quoted),
        ),
        balance = invoices.balance.as_ref().map_or_else(
            || "0::numeric".to_owned(),
            |column| format!("i.{}::numeric", column.quoted),
        ),
        invoices_table = invoices.table,
        chosen = part.invoices,
        place = part.place,
        order = part.order,
        rows = part.rows,
        payments_chosen = part.payments,
        payment_invoice = payments.invoice.quoted,
        payments_table = payments.table,
        said = payments_said(mapping),
        closed_words = literals(&mapping.invoice_words.closed),
        paid_word = pgrx::spi::quote_literal(&mapping.invoice_words.paid),
    )
}

/// Aggregates over the payments `p` of one invoice.
fn payments_said(mapping: &Mapping) -> String {
    let payments = &mapping.payments;
    let amount = format!("p.{}::numeric", payments.amount.quoted);
    let refunded = payments.refunded.as_ref().map_or_else(
        || "0".to_owned(),
        |column| format!("coalesce(p.{}::numeric, 0)", column.quoted),
    );
    let is_one_of = |words: &[String]| match &payments.status {
        Some(status) => format!("p.{}::text = any ({})", status.quoted, literals(words)),
        None => "true".to_owned(),
    };
    let counts = is_one_of(std::slice::from_ref(&mapping.payment_words.paid));
    let was_received = is_one_of(&received_words(mapping));
    let is_pending = match &payments.status {
        Some(_) => is_one_of(&mapping.payment_words.pending),
        None => "false".to_owned(),
    };
    let columns: Vec<&Mapped> = [&payments.session, &payments.intent]
        .into_iter()
        .flatten()
        .collect();
    // Every id of the rows that fulfil a condition.
    let ids_where = |condition: &str| {
        columns
            .iter()
            .map(|column| {
                format!(
                    "array_remove(array_agg(p.{}::text) filter (where {condition}), null)",
                    column.quoted
                )
            })
            .collect::<Vec<_>>()
            .join(" || ")
    };
    let lone_ids = match (&payments.session, &payments.intent) {
        (Some(session), Some(intent)) => format!(
            "array_remove(array_agg(p.{}::text) filter (where coalesce(p.{}, '') = ''), null)",
            session.quoted, intent.quoted
        ),
        _ => ids_where("true"),
    };
    let first_id = [&payments.intent, &payments.session]
        .into_iter()
        .flatten()
        .map(|column| format!("nullif(p.{}, '')", column.quoted))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "sum({amount} - {refunded}) filter (where {counts}) as secured,
        sum({amount}) filter (where {was_received}) as received,
        count(*) filter (where {was_received}) as receipts,
        count(*) filter (where {is_pending} and coalesce({first_id}) is not null) as pending,
        count(coalesce({first_id})) > count(distinct coalesce({first_id})) as doubled,
        {received_ids} as received_ids, {pending_ids} as pending_ids, {lone_ids} as lone_ids",
        received_ids = ids_where(&was_received),
        pending_ids = ids_where(&is_pending),
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

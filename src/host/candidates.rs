//! Preselects invoices in SQL, by their rows and those of their payments; `reconcile` decides.
//!
//! Each table is read as its owner. If both tables have the same owner, one statement reads both. Otherwise the
//! invoices are read first, and compared with their payments in the statement that reads the payments.

use serde_json::json;

use crate::domain::account::qualified;
use crate::domain::identity::without_secret;
use crate::domain::words::invoice::{AFTER_PAID, CLOSED, PAID, REFUNDED};
use crate::host::account::accounts;
use crate::host::amounts::{
    currency_of_invoice, in_payment_unit, numeric, payable_in_payment_unit,
};
use crate::host::both::{have_one_owner, reading_both};
use crate::host::mapping::{Mapped, Mapping};
use crate::host::owner::reading_as;
use crate::host::received::{are_pending_or_partly_refunded, count, have_failed, were_received};
use crate::host::scan::range::{NO_EXTENT, Range, ScannedTable, has_no_payment};
use crate::host::shared_payment::booked_in;
use crate::host::word_sql::{has_word, literals};
use crate::pg::sql;

/// A preselected invoice.
#[derive(Clone, Debug)]
pub(crate) struct CandidateRow {
    /// The invoice's id, as text.
    pub(crate) invoice: String,
    /// Its position in the scanned range.
    pub(crate) place: String,
    pub(crate) session: Option<String>,
    pub(crate) intent: Option<String>,
    /// The ids of payments that are pending, that failed while the invoice is not paid, of which a part went back, or that have a session id and no intent id; the missing intent may be
    /// the invoice's.
    pub(crate) open_ids: Vec<String>,
    /// True if one of the invoice's ids has no received payment, a payment is pending, or the caller named the
    /// invoice as unsettled: a request to Stripe may be necessary.
    pub(crate) is_unsettled: bool,
    /// True if the invoice's own rows contradict each other.
    pub(crate) is_suspect: bool,
}

/// The result of scanning one range of the application's tables.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of their positions.
    pub(super) candidates: Vec<CandidateRow>,
    /// The number of rows scanned.
    pub(super) rows: usize,
    /// The last position; `None` if the range is empty or its end is known otherwise.
    pub(super) last: Option<String>,
    /// The ids of payments that other invoices may have booked, too.
    pub(super) booked: Vec<String>,
}

/// Preselects among these invoices. The invoices in `in_question`, a JSON array of ids, are unsettled whatever
/// their rows say.
pub(crate) fn among(
    mapping: &Mapping,
    invoices: &[String],
    in_question: &str,
) -> Vec<CandidateRow> {
    let wanted = json!(invoices).to_string();
    scan_range(mapping, &Range::Named(&wanted), in_question).candidates
}

/// Scans a range.
pub(super) fn scan_range(mapping: &Mapping, range: &Range, in_question: &str) -> Found {
    let mut found = if have_one_owner(mapping) {
        in_one_statement(mapping, range, in_question)
    } else {
        in_two_statements(mapping, range, in_question)
    };
    if let Range::Blocks { blocks, .. } = range {
        let statement = blocks.rows(mapping);
        let rows: Vec<[Text; 1]> = reading_as(blocks.of.relation(mapping), || {
            sql::fetch_texts(&statement, &[])
        });
        found.rows = rows.first().map_or(0, |[rows]| number(rows));
    }
    if !tells_booked(mapping, range) {
        found.booked = booked_in(mapping, range, found.last.as_deref());
    }
    range.sort(&mut found.candidates, |row| &row.place);
    qualify(mapping, &mut found.candidates);
    found
}

/// Whether the statement that compares both tables tells the ids of received payments, too: it reads the payments of all
/// invoices of the range, and whose ids they are need not be asked.
fn tells_booked(mapping: &Mapping, range: &Range) -> bool {
    let is_of_all = matches!(range, Range::Blocks { blocks, basis: None } if blocks.of == ScannedTable::Invoices);
    is_of_all && have_one_owner(mapping) && mapping.invoices.account.is_none()
}

/// Gives the ids of each invoice and its payments their account.
fn qualify(mapping: &Mapping, candidates: &mut [CandidateRow]) {
    let invoices = candidates.iter().map(|it| it.invoice.as_str()).collect();
    let accounts = accounts(mapping, &invoices);
    for row in candidates {
        let account = accounts.get(&row.invoice).map(String::as_str);
        let ids = row.open_ids.iter_mut();
        for id in ids.chain(&mut row.session).chain(&mut row.intent) {
            *id = qualified(account, without_secret(id.trim()));
        }
    }
}

type Text = Option<String>;

/// The columns of [`comparison_statement`], in order.
type ComparedRow = [Text; 8];

/// The columns of [`invoices_statement`], in order.
type Facts = [Text; 10];

/// Reads both tables in one statement, as the owner of both.
fn in_one_statement(mapping: &Mapping, range: &Range, in_question: &str) -> Found {
    let facts = format!(
        "select {} {}",
        facts(mapping, range),
        range.invoices(mapping)
    );
    let mut statement =
        comparison_statement(mapping, range, &facts, range.extent(), &range.order("j"));
    if tells_booked(mapping, range) {
        statement.push_str(&format!(
            " union all
            select distinct null, null, r.id, null, null, null, null, '{BOOKED}'
            from paid p
            cross join unnest(p.received_ids) r (id)
            where r.id <> ''"
        ));
    }
    let compared: Vec<ComparedRow> = reading_both(mapping, || {
        sql::fetch_texts(&statement, &[Some(in_question), range.param()])
    });
    let (rows, last) = match compared.first() {
        Some([rows, last, ..]) => (number(rows), last.clone()),
        None => (0, None),
    };
    let is_booked = |row: &ComparedRow| row[7].as_deref() == Some(BOOKED);
    let (booked, compared): (Vec<ComparedRow>, Vec<ComparedRow>) =
        compared.into_iter().partition(is_booked);
    Found {
        candidates: compared.into_iter().filter_map(candidate).collect(),
        rows,
        last,
        booked: booked.into_iter().filter_map(|[_, _, id, ..]| id).collect(),
    }
}

/// Reads the invoices as their owner, then the payments as theirs.
fn in_two_statements(mapping: &Mapping, range: &Range, in_question: &str) -> Found {
    let (invoices, payments) = (&mapping.invoices.relation, &mapping.payments.relation);
    let statement = invoices_statement(mapping, range);
    let facts: Vec<Facts> = match range {
        Range::Blocks { blocks, basis } if blocks.of == ScannedTable::Payments => {
            let written = format!(
                "select w.key::text, w.place::text from ({}) w where w.key is not null",
                blocks.written_payments(mapping, *basis)
            );
            let written: Vec<[Text; 2]> = reading_as(payments, || sql::fetch_texts(&written, &[]));
            reading_as(invoices, || {
                sql::fetch_for_rows(
                    &statement,
                    &[in_question],
                    written.iter().map(sql::borrowed),
                )
            })
        }
        _ => reading_as(invoices, || {
            sql::fetch_texts(&statement, &[Some(in_question), range.param()])
        }),
    };
    let rows = facts.len();
    let last = facts.last().and_then(|[_, place, ..]| place.clone());
    let given_facts = facts_from_parameters(mapping);
    let statement =
        comparison_statement(mapping, range, &given_facts, NO_EXTENT, "order by j.number");
    let compared: Vec<ComparedRow> = reading_as(payments, || {
        sql::fetch_for_rows(&statement, &[in_question], facts.iter().map(sql::borrowed))
    });
    Found {
        candidates: compared.into_iter().filter_map(candidate).collect(),
        rows,
        last,
        booked: Vec::new(),
    }
}

/// Returns `None` for the row that only contains the extent of the range.
fn candidate(compared: ComparedRow) -> Option<CandidateRow> {
    let [
        _rows,
        _last,
        invoice,
        place,
        session,
        intent,
        open_ids,
        verdict,
    ] = compared;
    let verdict = verdict?;
    Some(CandidateRow {
        invoice: invoice?,
        place: place?,
        session,
        intent,
        open_ids: open_ids
            .and_then(|ids| serde_json::from_str(&ids).ok())
            .unwrap_or_default(),
        is_unsettled: verdict != SUSPECT,
        is_suspect: verdict != UNSETTLED,
    })
}

/// Two of the three verdicts; the third, for an invoice that is both, has another word.
const UNSETTLED: &str = "unsettled";
const SUSPECT: &str = "suspect";

/// Not one of them: the row contains the id of a payment that was received.
const BOOKED: &str = "booked";

fn number(text: &Text) -> usize {
    let text = text.as_deref().unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// The columns of an invoice `i` that are compared with its payments.
fn facts(mapping: &Mapping, range: &Range) -> String {
    let invoices = &mapping.invoices;
    format!(
        "i.{id} as key, i.{id}::text as id, {place} as place, {session} as session, {intent} as intent,
         {status} as status, {total} as total, {stated} as stated, {balance} as balance,
         {currency} as currency",
        id = invoices.id.quoted,
        place = range.place(mapping),
        session = trimmed("i", invoices.session.as_ref()),
        intent = trimmed("i", invoices.intent.as_ref()),
        status = invoices.status.word("i"),
        currency = match mapping.payments.currency {
            None => "null::text".to_owned(),
            Some(_) => currency_of_invoice(mapping),
        },
        total = payable_in_payment_unit(mapping, &invoices.total),
        stated = invoices.amount_paid.as_ref().map_or_else(
            || "null::numeric".to_owned(),
            |column| format!("coalesce({}, 0)", in_payment_unit(mapping, column)),
        ),
        balance = invoices.balance.as_ref().map_or_else(
            || "0::numeric".to_owned(),
            |column| in_payment_unit(mapping, column),
        ),
    )
}

/// Reads the facts of a range's invoices, for a role that can read the invoices only.
fn invoices_statement(mapping: &Mapping, range: &Range) -> String {
    format!(
        "select f.id, f.place::text, f.session, f.intent, f.status, f.total::text, f.stated::text,
                f.balance::text, f.currency, f.is_certain::text
        from (select {facts}, {is_certain} as is_certain {invoices}) f
        {order}",
        facts = facts(mapping, range),
        is_certain = range.is_certain(),
        invoices = range.invoices_alone(mapping),
        order = range.order("f"),
    )
}

/// The facts that [`invoices_statement`] read, for a role that can read the payments only.
fn facts_from_parameters(mapping: &Mapping) -> String {
    let key = mapping.payments.invoice.key_or_null("f.id");
    format!(
        "select {key} as key, f.id, f.place, f.session, f.intent, f.status, f.total::numeric as total,
                f.stated::numeric as stated, f.balance::numeric as balance, f.currency, f.number
        from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                    $9::text[], $10::text[], $11::text[])
             with ordinality f (id, place, session, intent, status, total, stated, balance, currency, is_certain,
                                number)
        where f.is_certain::boolean or {unpaid}",
        unpaid = has_no_payment(mapping, &key),
    )
}

/// Compares the facts of invoices with their payments. Amounts are compared in the unit of the payments.
fn comparison_statement(
    mapping: &Mapping,
    range: &Range,
    facts: &str,
    extent: &str,
    order: &str,
) -> String {
    let payments = &mapping.payments;
    // An attempt that failed matters as long as the invoice is not paid.
    let is_unpaid = format!(
        "t.status <> {} and t.status <> all ({})",
        pgrx::spi::quote_literal(&mapping.invoice_words.paid),
        literals(&mapping.invoice_words.closed),
    );
    format!(
        "with range as materialized (
            {facts}
        ),
        paid as (
            select p.{payment_invoice} as invoice_key, {aggregates}
            from {payments_table} p
            where {payments_chosen}
            group by 1
        ),
        book as (
            select t.*, coalesce(p.secured, 0) as secured, coalesce(p.received, 0) as received,
                   coalesce(p.receipts, 0) as receipts, coalesce(p.doubled, false) as doubled,
                   p.currencies,
                   array_remove(p.pending_ids || p.lone_ids
                       || case when {is_unpaid} then p.failed_ids end, '') as open_ids,
                   {lacks_ids}
                   or coalesce(p.pending, 0) > 0
                   or coalesce(p.is_tie_unknown, false)
                   or {is_unpaid} and coalesce(p.failed, 0) > 0
                   or t.id in (select jsonb_array_elements_text($1::jsonb)) as is_unsettled
            from range t
            left join paid p on p.invoice_key = t.key
        ),
        judged as (
            select b.*,
                   coalesce(b.status <> all ({closed_words})
                       and ({states_otherwise}
                            or (b.secured >= b.total and b.total > 0
                                and (b.balance is distinct from 0 or b.status <> {paid_word} and not ({is_past})))
                            or b.secured > b.total
                            or b.total is null
                            or not coalesce(b.currencies <@ array[b.currency], true)
                            or b.doubled), false) as suspect
            from book b
            -- Kept apart, so that each is judged once.
            offset 0
        )
        (select a.rows, a.last, j.id, j.place::text, j.session, j.intent,
               nullif(to_json(j.open_ids)::text, '[]'),
               case when not j.suspect then '{UNSETTLED}' when not j.is_unsettled then '{SUSPECT}' else 'both' end
        from (select {extent}) a
        left join judged j on j.is_unsettled or j.suspect
        {order})",
        payments_chosen = range.payments(mapping),
        payment_invoice = payments.invoice.quoted,
        payments_table = payments.counting.rows(),
        aggregates = payment_aggregates(mapping),
        is_unpaid = is_unpaid,
        lacks_ids = lacks_ids(mapping),
        states_otherwise = states_otherwise(mapping),
        closed_words = literals(&mapping.invoice_words.closed),
        is_past = is_past_paid(mapping, "b.status"),
        paid_word = pgrx::spi::quote_literal(&mapping.invoice_words.paid),
    )
}

/// Returns the condition that an id which the invoice `t` stores is that of no payment in `p` that was received. Where the
/// application records no payments, its word for paid is enough.
fn lacks_ids(mapping: &Mapping) -> String {
    let lacks =
        "not array_remove(array[t.session, t.intent], null) <@ coalesce(p.received_ids, '{}')";
    if mapping.payments.are_own() {
        format!("{lacks} and not {}", says_paid(mapping, "t.status"))
    } else {
        lacks.to_owned()
    }
}

/// Returns the condition that the invoice `b` states another sum than its payments come to. Where the application records
/// no payments, it may have received more than they say.
fn states_otherwise(mapping: &Mapping) -> String {
    if mapping.payments.are_own() {
        return "b.stated < b.secured".to_owned();
    }
    let paid = pgrx::spi::quote_literal(&mapping.invoice_words.paid);
    format!(
        "(b.status = {paid} and b.receipts = 0 and b.total > 0)
        or (b.status = {paid} and b.received < b.total)
        or b.stated <> b.secured and (b.stated > b.received or b.stated < b.secured)"
    )
}

/// Returns the condition that the text `status` of an invoice says that it is paid, or what comes after that.
pub(super) fn says_paid(mapping: &Mapping, status: &str) -> String {
    let paid = pgrx::spi::quote_literal(&mapping.invoice_words.paid);
    let is_past = is_past_paid(mapping, status);
    format!("({status} = {paid} or {is_past})")
}

/// Returns the condition that the text `status` of an invoice is never changed to paid, and is known.
pub(super) fn is_past_paid(mapping: &Mapping, status: &str) -> String {
    let words = &mapping.invoice_words;
    let named = [&words.closed, &words.refunded, &words.after_paid];
    let named: Vec<String> = named.into_iter().flatten().cloned().collect();
    let usual = [CLOSED, REFUNDED, AFTER_PAID, PAID].concat();
    has_word(status, &named, &words.all(), &usual)
}

/// The aggregates over the payments `p` of one invoice.
fn payment_aggregates(mapping: &Mapping) -> String {
    let payments = &mapping.payments;
    let amount = numeric("p", &payments.amount);
    let refunded = payments.refunded.as_ref().map_or_else(
        || "0".to_owned(),
        |column| format!("coalesce({}, 0)", numeric("p", column)),
    );
    let counts = count(mapping);
    let was_received = were_received(mapping);
    // How much of a payment went back in part, only Stripe says.
    let is_pending = are_pending_or_partly_refunded(mapping);
    let has_failed = have_failed(mapping);
    let columns: Vec<&Mapped> = [&payments.session, &payments.intent]
        .into_iter()
        .flatten()
        .collect();
    // Aggregates all ids of the rows that meet a condition.
    let ids_where = |condition: &str| {
        if columns.is_empty() {
            return "'{}'::text[]".to_owned();
        }
        columns
            .iter()
            .map(|column| {
                let id = column.plain_text("p");
                format!("array_remove(array_agg({id}) filter (where {condition}), null)")
            })
            .collect::<Vec<_>>()
            .join(" || ")
    };
    let lone_ids = match (&payments.session, &payments.intent) {
        (Some(session), Some(intent)) => format!(
            "array_remove(array_agg({}) filter (where coalesce(p.{}, '') = ''), null)",
            session.plain_text("p"),
            intent.quoted
        ),
        _ => ids_where("true"),
    };
    // A row with only a session and one with only an intent may be of one payment: Stripe ties them.
    let is_tie_unknown = match (&payments.session, &payments.intent) {
        (Some(session), Some(intent)) => {
            let names_only = |this: &Mapped, other: &Mapped| {
                format!(
                    "coalesce(bool_or(coalesce(p.{}, '') <> '' and coalesce(p.{}, '') = '') filter (where {was_received}), false)",
                    this.quoted, other.quoted
                )
            };
            format!(
                "{} and {}",
                names_only(session, intent),
                names_only(intent, session)
            )
        }
        _ => "false".to_owned(),
    };
    let first_id = [&payments.intent, &payments.session]
        .into_iter()
        .flatten()
        .map(|column| format!("nullif({}, '')", column.plain_text("p")))
        .chain(["null::text".to_owned()])
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "sum({amount} - {refunded}) filter (where {counts}) as secured,
        sum({amount}) filter (where {was_received}) as received,
        count(*) filter (where {was_received}) as receipts,
        count(*) filter (where {is_pending} and coalesce({first_id}) is not null) as pending,
        count(*) filter (where {has_failed} and coalesce({first_id}) is not null) as failed,
        count(coalesce({first_id})) filter (where not ({has_failed}))
        > count(distinct coalesce({first_id})) filter (where not ({has_failed})) as doubled,
        {currencies} as currencies, {received_ids} as received_ids, {pending_ids} as pending_ids, {failed_ids} as failed_ids,
        {lone_ids} as lone_ids, {is_tie_unknown} as is_tie_unknown",
        currencies = currencies_of_payments(mapping, &counts),
        received_ids = ids_where(&was_received),
        pending_ids = ids_where(&is_pending),
        failed_ids = ids_where(&has_failed),
    )
}

/// Aggregates the codes of the currencies of the payments that count.
fn currencies_of_payments(mapping: &Mapping, counts: &str) -> String {
    let Some(column) = &mapping.payments.currency else {
        return "null::text[]".to_owned();
    };
    let code = format!("lower(btrim({}))", column.plain_text("p"));
    format!("array_agg({code}) filter (where {counts} and {code} ~ '^[a-z]{{3}}$')")
}

/// Returns an id without the white space around it, as `stored_ids` does.
fn trimmed(alias: &str, column: Option<&Mapped>) -> String {
    column.map_or_else(
        || "null::text".to_owned(),
        |column| {
            let blanks = r"E' \t\n\r\x0b\x0c'";
            format!("nullif(btrim({}, {blanks}), '')", column.plain_text(alias))
        },
    )
}

//! Stripe's answers about payments that the application's tables refused (`invoice_sync.unwritten_answer`): the repair
//! is tried again with them, without another request.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::evidence::{Evidence, StripePayment, merge_payments};
use crate::pg::sql;

/// What became of an invoice's payments.
pub(crate) struct Written<'a> {
    pub(crate) invoice: &'a str,
    pub(crate) evidence: &'a [Evidence],
    /// Whether the tables refused the write.
    pub(crate) was_refused: bool,
}

/// Stores the answers about invoices whose write was refused, and deletes those about payments that are settled.
pub(crate) fn note(outcomes: &[Written]) {
    let (mut refused, mut settled) = (Vec::new(), Vec::new());
    for of in outcomes {
        for payment in merge_payments(of.evidence) {
            let Some(key) = payment.ids.key() else {
                continue;
            };
            let row = [of.invoice.to_owned(), key.to_owned()];
            if of.was_refused {
                refused.push(json!({
                    "invoice_id": of.invoice,
                    "id": key,
                    "ids": payment.ids.each().collect::<Vec<_>>(),
                    "as_of": payment.as_of,
                    "answer": payment,
                }));
            } else {
                settled.push(row.map(Some));
            }
        }
    }
    if !refused.is_empty() {
        sql::execute(
            "insert into invoice_sync.unwritten_answer as u (invoice_id, id, ids, as_of, answer)
            select n.invoice_id, n.id, n.ids, timestamptz 'epoch' + n.as_of * interval '1 microsecond', n.answer
            from jsonb_to_recordset($1::jsonb) n (
                invoice_id text, id text, ids text[], as_of bigint, answer jsonb)
            order by n.invoice_id, n.id
            on conflict (invoice_id, id) do update
            set ids = excluded.ids, as_of = excluded.as_of, answer = excluded.answer
            where u.as_of <= excluded.as_of",
            &[Some(&Value::from(refused).to_string())],
        );
    }
    if !settled.is_empty() && exist() {
        sql::execute_rows(
            "delete from invoice_sync.unwritten_answer u
            using unnest($1, $2) s (invoice_id, id)
            where u.invoice_id = s.invoice_id and s.id = any (u.ids)",
            &[],
            settled.iter().map(sql::borrowed),
        );
    }
}

/// Returns whether there is any such answer; mostly there is none.
fn exist() -> bool {
    sql::fetch_one(
        "select to_jsonb(true) from invoice_sync.unwritten_answer limit 1",
        &[],
    )
    .is_some()
}

/// Returns the answers about the payments of these invoices, while the issue about the refusal is open.
pub(crate) fn of_invoices(invoices: &BTreeSet<&str>) -> BTreeMap<String, Vec<Evidence>> {
    let mut found: BTreeMap<String, Vec<Evidence>> = BTreeMap::new();
    if invoices.is_empty() || !exist() {
        return found;
    }
    let rows = sql::fetch(
        "select jsonb_build_object('invoice', u.invoice_id, 'answer', u.answer)
        from invoice_sync.unwritten_answer u
        where u.invoice_id in (select jsonb_array_elements_text($1::jsonb))
          and exists (
              select from invoice_sync.issue i
              where i.invoice_id = u.invoice_id and i.kind = 'apply_failed' and i.state <> 'resolved')
        order by u.invoice_id, u.id",
        &[Some(&json!(invoices).to_string())],
    );
    for row in rows {
        if let (Some(invoice), Some(payment)) = (row["invoice"].as_str(), payment(&row["answer"])) {
            let answers = found.entry(invoice.to_owned()).or_default();
            answers.push(Evidence::Payment(payment));
        }
    }
    found
}

/// Returns the answers that contain all that these events can contain: those that were requested after the events
/// came. Takes for each group of events the id of their payment; the result has the index of the group.
pub(crate) fn about_events(groups: &[(&str, &[String])]) -> BTreeMap<usize, Evidence> {
    if groups.is_empty() || !exist() {
        return BTreeMap::new();
    }
    let documents: Vec<Value> = groups
        .iter()
        .enumerate()
        .map(|(number, (money, events))| json!({ "number": number, "money": money, "events": events }))
        .collect();
    let rows = sql::fetch(
        "select jsonb_build_object('number', g.number, 'answer', u.answer)
        from jsonb_to_recordset($1::jsonb) g (number integer, money text, events text[])
        cross join lateral (
            select u.answer
            from invoice_sync.unwritten_answer u
            where g.money = any (u.ids)
              and u.as_of > (select max(e.received_at) from invoice_sync.event e where e.id = any (g.events))
            order by u.as_of desc
            limit 1
        ) u",
        &[Some(&Value::from(documents).to_string())],
    );
    rows.into_iter()
        .filter_map(|row| {
            let number = usize::try_from(row["number"].as_u64()?).ok()?;
            Some((number, Evidence::Payment(payment(&row["answer"])?)))
        })
        .collect()
}

/// Returns `None` if another version wrote it in another form: then Stripe is asked again.
fn payment(answer: &Value) -> Option<StripePayment> {
    serde_json::from_value(answer.clone()).ok()
}

//! Changes to the application's rows (`invoice_sync.change`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::change_forms::{self, Divided, Document, Style};
use crate::pg::sql;

/// The change of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The quoted name, with its schema.
    pub(crate) table: String,
    pub(crate) row: String,
    /// The old values of the changed columns, or the whole deleted row, as a JSON object; `None` for a new row.
    pub(crate) before: Option<String>,
    /// The new values of the changed columns, or the whole new row; `None` for a deleted row.
    pub(crate) after: Option<String>,
}

impl Change {
    fn action(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "insert",
            (Some(_), None) => "delete",
            (Some(_), Some(_)) => "update",
        }
    }

    /// Returns the change for the result of `sweep` and `sync_invoice`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "table": self.table,
            "row": self.row,
            "action": self.action(),
            "before": self.before.as_deref().map(as_value),
            "after": self.after.as_deref().map(as_value),
        })
    }
}

/// Returns the columns as JSON, or as text if they are nested too deeply to be parsed.
fn as_value(columns: &str) -> Value {
    serde_json::from_str(columns).unwrap_or_else(|_| Value::from(columns))
}

/// The changes of one invoice.
pub(crate) struct Entry<'a> {
    pub(crate) invoice: &'a str,
    pub(crate) changes: &'a [Change],
    /// Stripe's data, or a person's decision.
    pub(crate) evidence: Value,
}

/// The most forms that contain more than names of columns: applications whose words are always others get the bare ones.
const MOST_SHARED_FORMS: Option<&str> = Some("100");

/// Records changes. The evidence is stored with the first one of each entry.
pub(crate) fn record(run: i64, entries: &[Entry]) {
    let evidence: Vec<String> = entries.iter().map(|it| it.evidence.to_string()).collect();
    let mut rows = Vec::new();
    for (entry, evidence) in entries.iter().zip(&evidence) {
        for (n, change) in entry.changes.iter().enumerate() {
            let evidence = (n == 0).then_some(evidence.as_str());
            rows.push(Row::new(entry.invoice, change, evidence, Style::Shared));
        }
    }
    // The text is stored as it is, and read as jsonb.
    let columns = rows
        .iter()
        .flat_map(|row| [&row.change.before, &row.change.after]);
    for columns in columns.flatten() {
        if change_forms::may_be_refused(columns) {
            sql::execute("select $1::jsonb", &[Some(columns)]);
        }
    }
    if insert(run, &rows) {
        return;
    }
    let usable = add_forms(&rows, MOST_SHARED_FORMS);
    for row in &mut rows {
        if !usable.contains(&row.form) {
            *row = Row::new(row.invoice, row.change, row.evidence, Style::Bare);
        }
    }
    add_forms(&rows, None);
    insert(run, &rows);
}

/// Inserts the rows, if all of their forms are stored. Returns whether they are.
fn insert(run: i64, rows: &[Row]) -> bool {
    let forms: BTreeSet<&str> = rows.iter().map(|row| row.form.as_str()).collect();
    let inserted = sql::execute_rows(
        "insert into invoice_sync.change (run_id, form_id, invoice_id, row_id, content)
        select $1::bigint, c.form::bigint, c.invoice_id, nullif(c.row_id, c.invoice_id), c.content
        from unnest($3, $4, $5, $6) with ordinality c (invoice_id, row_id, form, content, place)
        where not exists (
            select from unnest($2::bigint[]) u (id)
            where not exists (select from invoice_sync.change_form f where f.id = u.id))
        order by c.place",
        &[&run.to_string(), &sql::array(forms.into_iter())],
        rows.iter().map(|row| {
            let texts = [row.invoice, &row.change.row, &row.form, &row.divided.values];
            texts.map(Some)
        }),
    );
    inserted == rows.len()
}

/// Stores the forms of these rows, no more than so many in all. Returns the ids of those that are stored.
fn add_forms(rows: &[Row], most: Option<&str>) -> BTreeSet<String> {
    let forms: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.form.as_str(), row)).collect();
    let forms = forms.into_values().map(|row| {
        json!({
            "id": row.form, "table_name": row.change.table, "action": row.change.action(),
            "has_evidence": row.evidence.is_some(), "document": row.divided.form,
        })
    });
    let stored: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "with offered as materialized (
            select o.*, f.id is not null as is_known
            from jsonb_to_recordset($1::jsonb) o (
                id bigint, table_name text, action text, has_evidence boolean, document text)
            left join invoice_sync.change_form f using (id)
        ),
        added as (
            insert into invoice_sync.change_form (id, table_name, action, has_evidence, document)
            select o.id, o.table_name, o.action, o.has_evidence, o.document
            from (
                select *, row_number() over (order by id) as place from offered where not is_known
            ) o
            where $2 is null
               or o.place + (select count(*) from (select from invoice_sync.change_form limit $2::integer) f)
                   <= $2::integer
            on conflict do nothing
            returning id
        )
        select id::text from offered where is_known
        union all select id::text from added",
        &[Some(&Value::from_iter(forms).to_string()), most],
    );
    stored.into_iter().flatten().flatten().collect()
}

/// A row of `invoice_sync.change`.
struct Row<'a> {
    invoice: &'a str,
    change: &'a Change,
    evidence: Option<&'a str>,
    /// The id of the form, as text.
    form: String,
    divided: Divided,
}

impl<'a> Row<'a> {
    fn new(invoice: &'a str, change: &'a Change, evidence: Option<&'a str>, style: Style) -> Self {
        let [before, after] = [&change.before, &change.after].map(|it| it.as_deref().map(one_line));
        let document = Document {
            row: &change.row,
            invoice,
            before: before.as_deref(),
            after: after.as_deref(),
            evidence,
        };
        let divided = document.divide(style);
        let form = change_forms::id(&change.table, change.action(), &divided.form);
        Self {
            form: form.to_string(),
            invoice,
            change,
            evidence,
            divided,
        }
    }
}

/// Returns JSON without line breaks, which mean nothing in it.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains('\n') {
        Cow::Owned(json.replace('\n', " "))
    } else {
        Cow::Borrowed(json)
    }
}

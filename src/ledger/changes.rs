//! Changes to the application's rows (`invoice_sync.change`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::change_forms::{self, Divided, Style};
use crate::pg::{sequence, sql};

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

/// Records changes.
pub(crate) fn record<'a>(run: i64, entries: &[Entry<'a>]) {
    let texts: Vec<Texts> = entries.iter().map(Texts::of).collect();
    // The text is stored as it is, and read as jsonb.
    let columns = entries.iter().flat_map(|entry| entry.changes);
    for columns in columns.flat_map(|change| [&change.before, &change.after]) {
        let refusable = columns
            .as_ref()
            .filter(|it| change_forms::may_be_refused(it));
        if let Some(columns) = refusable {
            sql::execute("select $1::jsonb", &[Some(columns)]);
        }
    }
    let row = |(entry, texts): (&Entry<'a>, &Texts)| {
        let id = sequence::next_values(c"change_id_seq", entry.changes.len());
        Row::new(
            id.to_string(),
            entry.invoice,
            texts.divide(entry, Style::Shared),
        )
    };
    let mut rows: Vec<Row> = entries.iter().zip(&texts).map(row).collect();
    if insert(run, &rows) {
        return;
    }
    let usable = add_forms(&rows, MOST_SHARED_FORMS);
    for (row, (entry, texts)) in rows.iter_mut().zip(entries.iter().zip(&texts)) {
        if !usable.contains(&row.form) {
            *row = Row::new(
                std::mem::take(&mut row.id),
                entry.invoice,
                texts.divide(entry, Style::Bare),
            );
        }
    }
    add_forms(&rows, None);
    insert(run, &rows);
}

/// Inserts the rows, if all of their forms are stored. Returns whether they are.
fn insert(run: i64, rows: &[Row]) -> bool {
    let forms: BTreeSet<&str> = rows.iter().map(|row| row.form.as_str()).collect();
    let inserted = sql::execute_rows(
        "insert into invoice_sync.change (id, run_id, form_id, invoice_id, content)
        overriding system value
        select c.id::bigint, $1::bigint, c.form::bigint, c.invoice_id, c.content
        from $rows c (id, invoice_id, form, content)
        where not exists (
            select from unnest($2::bigint[]) u (id)
            where not exists (select from invoice_sync.change_form f where f.id = u.id))",
        &[&run.to_string(), &sql::array(forms.into_iter())],
        rows.iter().map(|row| {
            let texts = [&row.id, row.invoice, &row.form, &row.divided.values];
            texts.map(Some)
        }),
    );
    inserted == rows.len()
}

/// Stores the forms of these rows, no more than so many in all. Returns the ids of those that are stored.
fn add_forms(rows: &[Row], most: Option<&str>) -> BTreeSet<String> {
    let forms: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.form.as_str(), row)).collect();
    let forms = forms
        .into_values()
        .map(|row| json!({ "id": row.form, "document": row.divided.form }));
    let stored: Vec<[Option<String>; 1]> = sql::fetch_texts(
        "with offered as materialized (
            select o.*, f.id is not null as is_known
            from jsonb_to_recordset($1::jsonb) o (id bigint, document text)
            left join invoice_sync.change_form f using (id)
        ),
        added as (
            insert into invoice_sync.change_form (id, document)
            select o.id, o.document
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

/// A row of `invoice_sync.change`: the changes of one invoice.
struct Row<'a> {
    /// Of the first change, as text; the others follow.
    id: String,
    invoice: &'a str,
    /// The id of the form, as text.
    form: String,
    divided: Divided,
}

impl<'a> Row<'a> {
    fn new(id: String, invoice: &'a str, divided: Divided) -> Self {
        Self {
            id,
            invoice,
            form: change_forms::id(&divided.form).to_string(),
            divided,
        }
    }
}

/// The parts of an entry as JSON, without line breaks, which mean nothing in it.
struct Texts {
    /// Table, row, before and after of each change.
    changes: Vec<[Option<String>; 4]>,
    evidence: String,
}

impl Texts {
    fn of(entry: &Entry) -> Self {
        let one_line = |json: &String| json.replace('\n', " ");
        let of_change = |change: &Change| {
            [
                Some(Value::from(change.table.as_str()).to_string()),
                Some(Value::from(change.row.as_str()).to_string()),
                change.before.as_ref().map(one_line),
                change.after.as_ref().map(one_line),
            ]
        };
        Self {
            changes: entry.changes.iter().map(of_change).collect(),
            evidence: entry.evidence.to_string(),
        }
    }

    fn divide(&self, entry: &Entry, style: Style) -> Divided {
        let changes: Vec<[Option<&str>; 4]> = self.changes.iter().map(sql::borrowed).collect();
        change_forms::divide(entry.invoice, &changes, &self.evidence, style)
    }
}

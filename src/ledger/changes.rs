//! Changes to the application's rows (`invoice_sync.change`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::change_forms::{self, Document, Style};
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
const MOST_SHARED_FORMS: &str = "100";

/// Records changes. The evidence is stored with the first one of each entry.
pub(crate) fn record(run: i64, entries: &[Entry]) {
    let mut forms = BTreeMap::new();
    let mut rows = Vec::new();
    for entry in entries {
        let evidence = entry.evidence.to_string();
        for (n, change) in entry.changes.iter().enumerate() {
            let evidence = (n == 0).then_some(evidence.as_str());
            rows.push(divided(entry.invoice, change, evidence, &mut forms));
        }
    }
    let forms = Value::from_iter(forms.into_values());
    sql::execute_rows(
        "with offered as materialized (
            select o.*, k.is_known, row_number() over (partition by k.is_known order by o.id) as place
            from jsonb_to_recordset($2::jsonb) o (
                id bigint, table_name text, action text, has_evidence boolean, document text,
                is_shared boolean, is_bare boolean)
            cross join lateral (
                select exists (select from invoice_sync.change_form f where f.id = o.id)
            ) k (is_known)
        ),
        usable as materialized (
            select o.* from offered o
            where o.is_bare or o.is_known
               or o.place + (select count(*) from (select from invoice_sync.change_form limit $3::integer) f)
                   <= $3::integer
        ),
        added as (
            insert into invoice_sync.change_form (id, table_name, action, has_evidence, document)
            select u.id, u.table_name, u.action, u.has_evidence, u.document
            from usable u
            where not u.is_known
              and (u.is_shared or exists (select from offered o where o.id not in (select id from usable)))
            on conflict do nothing
        )
        insert into invoice_sync.change (run_id, form_id, invoice_id, row_id, content)
        select $1::bigint, coalesce(u.id, c.bare::bigint), c.invoice_id, nullif(c.row_id, c.invoice_id),
               case when u.id is null then c.bare_content else c.content end
        from unnest($4, $5, $6, $7, $8, $9) with ordinality
            c (invoice_id, row_id, form, content, bare, bare_content, place)
        left join usable u on u.id = c.form::bigint
        order by c.place",
        &[&run.to_string(), &forms.to_string(), MOST_SHARED_FORMS],
        rows.iter().map(sql::borrowed),
    );
}

/// Returns a row of [`record`], and adds its forms: one that may be shared, and a bare one.
fn divided(
    invoice: &str,
    change: &Change,
    evidence: Option<&str>,
    forms: &mut BTreeMap<i64, Value>,
) -> [Option<String>; 6] {
    let [before, after] = [&change.before, &change.after].map(|it| it.as_deref().map(one_line));
    for columns in [&before, &after].into_iter().flatten() {
        if change_forms::may_be_refused(columns) {
            sql::execute("select $1::jsonb", &[Some(columns)]);
        }
    }
    let document = Document {
        row: &change.row,
        invoice,
        before: before.as_deref(),
        after: after.as_deref(),
        evidence,
    };
    let [(form, content), (bare, bare_content)] = [Style::Shared, Style::Bare].map(|style| {
        let divided = document.divide(style);
        let id = change_forms::id(&change.table, change.action(), &divided.form);
        let form = forms.entry(id).or_insert_with(|| {
            json!({
                "id": id, "table_name": change.table, "action": change.action(),
                "has_evidence": evidence.is_some(), "document": divided.form,
            })
        });
        // It may be both.
        let as_what = match style {
            Style::Shared => "is_shared",
            Style::Bare => "is_bare",
        };
        form[as_what] = true.into();
        (id.to_string(), divided.values)
    });
    let row = change.row.clone();
    [invoice.to_owned(), row, form, content, bare, bare_content].map(Some)
}

/// Returns JSON without line breaks, which mean nothing in it.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains('\n') {
        Cow::Owned(json.replace('\n', " "))
    } else {
        Cow::Borrowed(json)
    }
}

//! Replays the ledger: the original rows with every recorded change equal the present rows.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::Shop;

/// The application's rows, by table and primary key.
pub type Rows = BTreeMap<(String, String), Value>;

pub fn rows(shop: &mut Shop) -> Rows {
    let rows = shop.rows(
        "select 'public.invoices', id::text, to_jsonb(i) from invoices i
        union all
        select 'public.payments', id::text, to_jsonb(p) from payments p",
    );
    let rows = rows.iter();
    rows.map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect()
}

/// What the ledger and the inbox tell, for people.
pub fn reported(shop: &mut Shop) -> Vec<String> {
    let reported = shop.texts(
        "select format('%s %s: %s %s %s -> %s by %s', c.id, r.kind, c.action, c.table_name, c.before, c.after,
                       c.evidence)
        from invoice_sync.full_change c join invoice_sync.run r on r.id = c.run_id
        union all
        (select format('%s %s: %s', e.type, e.state, e.result)
         from invoice_sync.event e order by e.received_at desc limit 8)",
    );
    reported.into_iter().flatten().collect()
}

/// Replays the ledger from `before` on.
pub fn assert_explains(shop: &mut Shop, before: Rows, how: &str) {
    let changes = shop
        .rows("select table_name, row_id, before, after from invoice_sync.full_change order by id");
    let mut replayed = before;
    for change in changes {
        let place: (String, String) = (change.get(0), change.get(1));
        let (before, after): (Option<Value>, Option<Value>) = (change.get(2), change.get(3));
        let row = replayed.remove(&place);
        if let Some(Value::Object(before)) = &before {
            for (column, value) in before {
                let was = row.as_ref().and_then(|row| row.get(column));
                assert_eq!(was, Some(value), "{how}: {place:?}: {column} before");
            }
        } else {
            assert_eq!(row, None, "{how}: {place:?} is inserted once");
        }
        if let Some(Value::Object(after)) = after {
            let mut row = row.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            let columns = row.as_object_mut().expect("rows are objects");
            columns.extend(after);
            replayed.insert(place, row);
        }
    }
    assert_eq!(rows(shop), replayed, "{how}: the ledger explains the books");
}

//! What a life that failed tells of the invoices and payments that its failure names.

use std::collections::BTreeSet;

use super::world::World;

/// No failure is about more than that.
const MOST: usize = 6;

impl World<'_> {
    /// Tells, in lines, what is in the tables about whatever `failure` names.
    pub fn history(&mut self, failure: &str) -> String {
        let named = |id: &str| failure.contains(id);
        let numbers = 0..self.bills.len();
        let about: Vec<usize> = numbers
            .filter(|bill| {
                named(&self.bills[*bill].id)
                    || named(&format!("INV-{bill} "))
                    || named(&format!("invoice {bill}"))
            })
            .take(MOST)
            .collect();
        let mut lines = Vec::new();
        let mut ids: BTreeSet<String> = about
            .iter()
            .map(|bill| self.bills[*bill].id.clone())
            .collect();
        for (number, purchase) in &self.sales {
            let intent = self.intent(purchase).unwrap_or_default();
            let is_named = named(&purchase.handle) || (!intent.is_empty() && named(&intent));
            if !is_named && !about.contains(&purchase.bill) {
                continue;
            }
            lines.push(format!(
                "sale {number} of bill {}: {} {intent}",
                purchase.bill, purchase.handle
            ));
            if is_named {
                ids.insert(purchase.handle.clone());
                ids.insert(intent);
            }
        }
        lines.extend(
            about
                .iter()
                .map(|bill| format!("bill {bill}: {:?}", self.bills[*bill])),
        );
        let ids: Vec<String> = ids
            .iter()
            .filter(|id| !id.is_empty())
            .map(|id| format!("'%{id}%'"))
            .collect();
        let patterns = format!("array[{}]::text[]", ids.join(", "));
        lines.extend(self.texts(&format!(
            "select concat_ws(' ', d.what, d.line) from (
                select 'invoice' as what, i::text as line, 0::bigint as place from invoices i
                union all select 'payment', p::text, 0 from payments p
                union all select 'said', s::text, 0 from invoice_sync.stripe_payment s
                union all select 'check', c::text, 0 from invoice_sync.invoice_check c
                union all select 'issue', x::text, x.id from invoice_sync.issue x
                union all
                select 'event', concat_ws(' ', e.created, e.type, e.session_id, e.intent_id, e.state, e.attempts, e.result), 0
                from invoice_sync.event e
                union all
                select 'change', concat_ws(' ', r.id, r.kind, r.started_at, c.table_name, c.row_id, c.action, c.before, c.after,
                                           'undone by', c.undone_by, 'for', c.invoice_id, c.evidence), c.id
                from invoice_sync.full_change c join invoice_sync.run r on r.id = c.run_id
            ) d
            where d.line like any ({patterns})
            order by d.what, d.place, d.line"
        )));
        lines.join("\n    ")
    }
}

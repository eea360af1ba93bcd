//! The books of a shop with the default tables, for comparison with another shop's.

use postgres::Client;

/// Returns invoices, payments and open issues, without values that differ between databases: row numbers and times of
/// writing.
pub fn books(db: &mut Client) -> Vec<String> {
    db.query(
        "select concat_ws(' ', 'invoice', invoice_number, invoice_status, total_amount, amount_paid,
                          coalesce(balance_due::text, '-'), coalesce(paid_date::text, '-'))
        from invoices
        union all
        select concat_ws(' ', 'payment for', i.invoice_number, p.payment_name, p.payment_status,
                         p.payment_method, p.total_amount, p.gratuity,
                         coalesce(p.transaction_date::text, '-'), coalesce(p.payment_notes, '-'),
                         coalesce(p.stripe_session_id, '-'), coalesce(p.stripe_payment_intent, '-'))
        from payments p join invoices i on i.id = p.invoice_id
        union all
        select concat_ws(' ', 'issue', kind, severity, coalesce(invoice_number, '-'),
                         coalesce(object, '-'), summary)
        from invoice_sync.open_issues
        order by 1",
        &[],
    )
    .unwrap_or_else(|error| panic!("{}", super::tell(&error)))
    .iter()
    .map(|row| row.get(0))
    .collect()
}

/// Returns the lines that only one side has; empty if both are the same.
pub fn differences(found: &[String], wanted: &[String]) -> Vec<String> {
    let only = |sign: &str, these: &[String], those: &[String]| -> Vec<String> {
        let lines = these.iter().filter(|line| !those.contains(line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    let mut lines = only("found", found, wanted);
    lines.extend(only("wanted", wanted, found));
    if lines.is_empty() && found.len() != wanted.len() {
        lines.push(format!("{} lines instead of {}", found.len(), wanted.len()));
    }
    lines
}

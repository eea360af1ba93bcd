//! Finds the invoices that Stripe payments are for.

use std::collections::{BTreeMap, BTreeSet};

use super::account::accounts;
use super::both::{have_one_owner, reading_both};
use super::indexes::looked_up;
use super::mapping::{Mapped, Mapping};
use super::owner::reading_as;
use super::read::text_of;
use crate::domain::account::unqualified;
use crate::domain::identity::{PaymentIds, StripeId, is_payment_link};
use crate::pg::{Relation, sql};

/// What the invoices of a payment are looked up by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvoiceKeys<'a> {
    pub(crate) ids: &'a PaymentIds,
    /// The ids of what the payment replaced, and of the payment link that it came by.
    pub(crate) former_ids: &'a [String],
    /// The ids or numbers of invoices that the payment refers to, or a payment link.
    pub(crate) references: &'a [String],
    /// A deleted invoice to leave out; rows or the ledger may still refer to it.
    pub(crate) but_for: Option<&'a str>,
}

impl InvoiceKeys<'_> {
    /// Returns the ids as rows of the application have them.
    fn stored_ids(&self) -> Vec<String> {
        let former = self.former_ids.iter().map(String::as_str);
        let former = former.filter(|id| !is_payment_link(id));
        // Some applications name the Stripe Invoice, whose id they store.
        let named = self.references.iter().map(String::as_str);
        let named = named.filter(|name| StripeId::parse(name).is_some());
        let ids = self.ids.each().chain(former).chain(named);
        ids.map(|id| unqualified(id).to_owned()).collect()
    }

    /// Returns the payment link, as invoices have it.
    fn links(&self) -> Vec<String> {
        let links = self.former_ids.iter().chain(self.references);
        let links = links.filter(|id| is_payment_link(id));
        links.map(|id| unqualified(id).to_owned()).collect()
    }
}

/// The invoices of a payment, by their ids as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PaymentInvoices {
    /// Those that the payment is for.
    pub(crate) invoices: BTreeSet<String>,
    /// Several invoices that the payment only refers to: which of them it is for is not known.
    pub(crate) ambiguous: BTreeSet<String>,
    /// The payment link that they store, if they were found by it.
    pub(crate) by_link: Option<String>,
    /// If there are none of the others: invoices that the payment would be for if they counted.
    pub(crate) uncounted: BTreeSet<String>,
    /// Invoices that store an id of the payment or have its name, and belong to another Stripe account: the payment is
    /// for none of them.
    pub(crate) of_other_account: BTreeSet<String>,
    /// Whether the ledger has seen the payment for one of them.
    pub(crate) is_recorded: bool,
}

impl PaymentInvoices {
    /// Adds the invoices of another payment that is dealt with together with this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.invoices.extend(other.invoices);
        self.ambiguous.extend(other.ambiguous);
        self.by_link = self.by_link.take().or(other.by_link);
        self.uncounted.extend(other.uncounted);
        self.of_other_account.extend(other.of_other_account);
        self.is_recorded |= other.is_recorded;
    }

    /// Whether one invoice was found, whatever the others' accounts are, and whether or not they count.
    pub(crate) fn is_of_one_invoice(&self) -> bool {
        self.invoices.len() == 1
            && [&self.ambiguous, &self.uncounted, &self.of_other_account].map(BTreeSet::is_empty)
                == [true; 3]
    }

    fn is_empty(&self) -> bool {
        self.invoices.is_empty() && self.of_other_account.is_empty()
    }

    fn each_mut(&mut self) -> [&mut BTreeSet<String>; 3] {
        [&mut self.invoices, &mut self.ambiguous, &mut self.uncounted]
    }
}

/// Returns for each payment the invoices that store one of its ids, in their own row or in their payments, or for
/// which the ledger has seen it. If there is none, returns the invoice that the payment refers to, unless several
/// have that id or number; and if there is none either, the one that stores the payment link.
pub(crate) fn invoices_of(mapping: &Mapping, payments: &[InvoiceKeys]) -> Vec<PaymentInvoices> {
    let known: Vec<Vec<String>> = payments
        .iter()
        .map(|keys| keys.ids.each().map(str::to_owned).collect())
        .collect();
    let stored: Vec<Vec<String>> = payments.iter().map(InvoiceKeys::stored_ids).collect();
    let mut found = vec![PaymentInvoices::default(); payments.len()];
    for (source, statement) in linked_statements(mapping) {
        let groups = match source {
            Source::Ledger => &known,
            Source::Table(_) | Source::Both => &stored,
        };
        for (all, linked) in found
            .iter_mut()
            .zip(run(mapping, &statement, source, groups))
        {
            all.is_recorded |= matches!(source, Source::Ledger) && !linked.is_empty();
            all.invoices.extend(linked);
        }
    }
    set_aside_other_accounts(mapping, payments, &mut found);
    set_aside_uncounted(mapping, &mut found);
    for (found, keys) in found.iter_mut().zip(payments) {
        found
            .invoices
            .retain(|invoice| keys.but_for != Some(invoice.as_str()));
    }
    let is_named: Vec<bool> = found
        .iter()
        .map(|found| found.invoices.is_empty())
        .collect();
    let unlinked: Vec<_> = found
        .iter_mut()
        .zip(payments)
        .filter(|(found, keys)| found.invoices.is_empty() && !keys.references.is_empty())
        .collect();
    let names: Vec<Vec<String>> = unlinked
        .iter()
        .map(|(_, keys)| keys.references.to_vec())
        .collect();
    let source = Source::Table(&mapping.invoices.relation);
    let statement = named_statement(mapping, &mapping.invoices.counting.rows());
    let named = run(mapping, &statement, source, &names);
    for ((found, _), named) in unlinked.into_iter().zip(named) {
        found.invoices = named;
    }
    set_aside_other_accounts(mapping, payments, &mut found);
    find_by_links(mapping, payments, &mut found);
    for (found, is_named) in found.iter_mut().zip(is_named) {
        if is_named && found.invoices.len() > 1 {
            found.ambiguous = std::mem::take(&mut found.invoices);
        }
    }
    find_uncounted(mapping, payments, &mut found);
    set_aside_other_accounts(mapping, payments, &mut found);
    found
}

/// Moves invoices of another account than the payment's to `of_other_account`.
fn set_aside_other_accounts(
    mapping: &Mapping,
    payments: &[InvoiceKeys],
    found: &mut [PaymentInvoices],
) {
    // Without such a column, all invoices are of the key's own account.
    let needs_look = |keys: &InvoiceKeys| keys.ids.account().is_some();
    if mapping.invoices.account.is_none() && !payments.iter().any(needs_look) {
        return;
    }
    let all = found
        .iter_mut()
        .flat_map(PaymentInvoices::each_mut)
        .flat_map(|set| &*set);
    let accounts = accounts(mapping, &all.map(String::as_str).collect());
    for (found, keys) in found.iter_mut().zip(payments) {
        let is_others =
            |invoice: &String| accounts.get(invoice).map(String::as_str) != keys.ids.account();
        let mut others = BTreeSet::new();
        for set in found.each_mut() {
            let (out, rest): (BTreeSet<String>, _) =
                std::mem::take(set).into_iter().partition(is_others);
            others.extend(out);
            *set = rest;
        }
        found.of_other_account.extend(others);
    }
}

/// Moves invoices that do not count to `uncounted`.
fn set_aside_uncounted(mapping: &Mapping, found: &mut [PaymentInvoices]) {
    let all = found.iter().flat_map(|found| &found.invoices);
    let uncounted = uncounted(mapping, &all.map(String::as_str).collect());
    for found in found.iter_mut().filter(|_| !uncounted.is_empty()) {
        let (out, rest) = std::mem::take(&mut found.invoices)
            .into_iter()
            .partition(|invoice| uncounted.contains(invoice));
        (found.uncounted, found.invoices) = (out, rest);
    }
}

/// Looks up the invoices that store the payment links of payments that no other is found for. A link may be opened by
/// many customers: it only refers to its invoice.
fn find_by_links(mapping: &Mapping, payments: &[InvoiceKeys], found: &mut [PaymentInvoices]) {
    let links: Vec<Vec<String>> = payments
        .iter()
        .zip(&*found)
        .map(|(keys, found)| match found.is_empty() {
            true => keys.links(),
            false => Vec::new(),
        })
        .collect();
    if links.iter().all(Vec::is_empty) {
        return;
    }
    let invoices = &mapping.invoices;
    let columns = [&invoices.session, &invoices.intent];
    let stored = by_column(columns, &invoices.counting.rows(), &invoices.id);
    if stored.is_empty() {
        return;
    }
    let source = Source::Table(&invoices.relation);
    let linked = run(mapping, &stored, source, &links);
    for ((found, links), linked) in found.iter_mut().zip(links).zip(linked) {
        if !linked.is_empty() {
            found.invoices = linked;
            found.by_link = links.into_iter().next();
        }
    }
    set_aside_other_accounts(mapping, payments, found);
}

/// Looks up the invoices that do not count for the payments that no other is found for, as those that count were.
fn find_uncounted(mapping: &Mapping, payments: &[InvoiceKeys], found: &mut [PaymentInvoices]) {
    let Some(rows) = mapping.invoices.counting.other_rows() else {
        return;
    };
    let mut nobodys = Vec::new();
    for (found, keys) in found.iter_mut().zip(payments) {
        if found.invoices.is_empty() && found.ambiguous.is_empty() {
            nobodys.push((found, keys));
        } else {
            found.uncounted.clear();
        }
    }
    let invoices = &mapping.invoices;
    let ids: Vec<Vec<String>> = nobodys.iter().map(|(_, keys)| keys.stored_ids()).collect();
    let names: Vec<Vec<String>> = nobodys
        .iter()
        .map(|(_, keys)| keys.references.to_vec())
        .collect();
    let columns = [&invoices.session, &invoices.intent];
    let stored = by_column(columns, &rows, &invoices.id);
    let stored = Some((stored, ids)).filter(|(it, _)| !it.is_empty());
    let named = (named_statement(mapping, &rows), names);
    for (statement, groups) in stored.into_iter().chain([named]) {
        let source = Source::Table(&invoices.relation);
        let all = run(mapping, &statement, source, &groups);
        for ((found, keys), invoices) in nobodys.iter_mut().zip(all) {
            found.uncounted.extend(invoices);
            found
                .uncounted
                .retain(|invoice| keys.but_for != Some(invoice.as_str()));
        }
    }
}

/// Returns which of these invoices (ids as text) exist and do not count.
pub(crate) fn uncounted(mapping: &Mapping, invoices: &BTreeSet<&str>) -> BTreeSet<String> {
    match mapping.invoices.counting.other_rows() {
        Some(rows) => present(mapping, &rows, invoices),
        None => BTreeSet::new(),
    }
}

/// Returns which of these invoices (ids as text) exist and count.
pub(crate) fn those_there(mapping: &Mapping, invoices: &BTreeSet<&str>) -> BTreeSet<String> {
    present(mapping, &mapping.invoices.counting.rows(), invoices)
}

/// Returns which of these invoices (ids as text) are among `rows`.
fn present(mapping: &Mapping, rows: &str, invoices: &BTreeSet<&str>) -> BTreeSet<String> {
    if invoices.is_empty() {
        return BTreeSet::new();
    }
    let id = &mapping.invoices.id;
    let statement = format!(
        "select i.{column}::text
        from unnest($1) r (value)
        join {rows} i on i.{column} = {key}",
        column = id.quoted,
        key = id.key_or_null("r.value"),
    );
    let rows: Vec<[Option<String>; 1]> = reading_as(&mapping.invoices.relation, || {
        let count = looked_up(mapping, invoices.len());
        sql::look_up_texts(
            count,
            &statement,
            &[invoices.iter().copied().collect::<Vec<_>>()],
        )
    });
    rows.into_iter().filter_map(|[id]| id).collect()
}

/// Returns the numbers by which people know these invoices (ids as text), of those that exist, whether or not they
/// count.
pub(crate) fn labels(mapping: &Mapping, ids: &BTreeSet<String>) -> BTreeMap<String, String> {
    if ids.is_empty() {
        return BTreeMap::new();
    }
    let invoices = &mapping.invoices;
    let statement = format!(
        "select i.{key}::text, coalesce({number}, i.{key}::text)
        from {table} i
        where i.{key} = any (array(select {wanted} from unnest($1) w (id)))",
        key = invoices.id.quoted,
        wanted = invoices.id.key_or_null("w.id"),
        number = text_of("i", invoices.number.as_ref()),
        table = invoices.table,
    );
    let found: Vec<[Option<String>; 2]> = reading_as(&invoices.relation, || {
        let count = looked_up(mapping, ids.len());
        sql::look_up_texts(
            count,
            &statement,
            &[ids.iter().map(String::as_str).collect::<Vec<_>>()],
        )
    });
    found
        .into_iter()
        .filter_map(|[id, label]| Some((id?, label?)))
        .collect()
}

/// What a statement reads.
#[derive(Clone, Copy)]
enum Source<'a> {
    Table(&'a Relation),
    /// Both tables, which have one owner.
    Both,
    Ledger,
}

/// Looks up all values in one statement, as the owner of what it reads. Each group gets the invoices found for its own
/// values.
fn run(
    mapping: &Mapping,
    statement: &str,
    source: Source,
    groups: &[Vec<String>],
) -> Vec<BTreeSet<String>> {
    let values: Vec<&str> = groups.iter().flatten().map(String::as_str).collect();
    if values.is_empty() {
        return vec![BTreeSet::new(); groups.len()];
    }
    let statement = statement.replace(IS_WANTED, sql::is_one_of(values.len()));
    let values = [values];
    let count = looked_up(mapping, groups.len());
    let fetch = || sql::look_up_texts(count, &statement, &values);
    // One of the values each, and the id of an invoice. Whether it is null is not asked in SQL: for a small table, an index
    // on it would be read as a whole, and the plan is kept while the table grows.
    let rows: Vec<[Option<String>; 2]> = match source {
        Source::Table(table) => reading_as(table, fetch),
        Source::Both => reading_both(mapping, fetch),
        Source::Ledger => sql::look_up_texts(groups.len(), &statement, &values),
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        if let [Some(value), Some(invoice)] = row {
            found.entry(value).or_default().insert(invoice);
        }
    }
    groups
        .iter()
        .map(|group| {
            let invoices = group.iter().filter_map(|value| found.get(value));
            invoices.flatten().cloned().collect()
        })
        .collect()
}

/// The values as a set, for which [`run`] puts in what their number needs.
const IS_WANTED: &str = "is one of $1";

/// Returns the statements for the invoices, if they store ids, the payments and the ledger, each with what it reads. Two
/// tables of one owner are read by one.
fn linked_statements(mapping: &Mapping) -> Vec<(Source<'_>, String)> {
    let invoices = &mapping.invoices;
    let payments = &mapping.payments;
    let of_invoices = by_column(
        [&invoices.session, &invoices.intent],
        &invoices.counting.rows(),
        &invoices.id,
    );
    let of_payments = by_column(
        [&payments.session, &payments.intent],
        &payments.counting.rows(),
        &payments.invoice,
    );
    // One by one: of a table that was small when the plan was made, an index would be read as a whole.
    let of_ledger = "select m.* from unnest($1) w (id) cross join lateral (
            select m.id, m.invoice_id from invoice_sync.stripe_payment m where m.id = w.id offset 0
        ) m"
    .to_owned();
    let of_tables = if have_one_owner(mapping) && !of_invoices.is_empty() && !of_payments.is_empty()
    {
        vec![(
            Source::Both,
            format!("{of_invoices} union all {of_payments}"),
        )]
    } else {
        vec![
            (Source::Table(&invoices.relation), of_invoices),
            (Source::Table(&payments.relation), of_payments),
        ]
    };
    of_tables
        .into_iter()
        .chain([(Source::Ledger, of_ledger)])
        .filter(|(_, found)| !found.is_empty())
        .collect()
}

/// Returns the query for values in these columns, each with the row's key.
fn by_column(columns: [&Option<Mapped>; 2], rows: &str, key: &Mapped) -> String {
    columns
        .into_iter()
        .flatten()
        .map(|column| {
            format!(
                "select t.{column}::text, t.{key}::text from {rows} t where t.{column} {IS_WANTED}",
                key = key.quoted,
                column = column.quoted,
            )
        })
        .collect::<Vec<_>>()
        .join(" union all ")
}

/// Returns the statement that looks up references among these rows of invoices. A reference that the key's type cannot
/// hold matches nothing.
fn named_statement(mapping: &Mapping, rows: &str) -> String {
    let invoices = &mapping.invoices;
    let id = &invoices.id.quoted;
    let by_number = invoices.number.as_ref().map_or_else(String::new, |number| {
        format!(
            " union all select i.{number}::text, i.{id}::text from {rows} i where i.{number}::text {IS_WANTED}",
            number = number.quoted,
        )
    });
    format!(
        "select f.* from (
            select r.value, i.{id}::text
            from unnest($1) r (value)
            join {rows} i on i.{id} = {key}
            {by_number}
        ) f (value, invoice)",
        key = invoices.id.key_or_null("r.value"),
    )
}

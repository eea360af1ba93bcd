//! What the books must be when all has come and nothing is left to do, by the table of what
//! happens to money: from what Stripe received and from what the application wrote, and from
//! nothing that the extension has noted, but for the issues that say why money is not booked.

use std::collections::BTreeMap;

use super::step::Bill;
use super::world::{Purchase, World};
use crate::harness::tell;

/// An invoice, in cents.
#[derive(Debug)]
struct Invoice {
    status: String,
    total: i64,
    paid: i64,
    balance: Option<i64>,
    ids: Vec<String>,
}

/// A payment row, in cents.
#[derive(Debug, Clone)]
struct Row {
    id: String,
    invoice: String,
    name: String,
    status: String,
    amount: i64,
    gratuity: i64,
    session: Option<String>,
    intent: Option<String>,
}

impl Row {
    fn is_of(&self, intent: &str, session: Option<&str>) -> bool {
        match &self.intent {
            Some(own) => own == intent,
            None => self.session.is_some() && self.session.as_deref() == session,
        }
    }

    fn is_waiting(&self) -> bool {
        self.status == "Pending"
    }

    fn is_of_the_machine(&self) -> bool {
        !["Expected", "Handled", "Over the counter"].contains(&&*self.name)
    }
}

/// An issue that was ever opened.
#[derive(Debug)]
struct Issue {
    kind: String,
    invoice: Option<String>,
    object: Option<String>,
    open: bool,
    settled: bool,
}

struct Books {
    invoices: BTreeMap<String, Invoice>,
    rows: Vec<Row>,
    issues: Vec<Issue>,
}

impl World<'_> {
    fn books(&mut self) -> Books {
        let unit = self.host.per_cent;
        let query = format!(
            "select id::text, invoice_status, (total_amount / {unit})::bigint, (amount_paid / {unit})::bigint,
                    (balance_due / {unit})::bigint, array_remove(array[stripe_session_id, stripe_payment_intent], null)
            from invoices"
        );
        let rows = self.db.query(&query, &[]);
        let invoices = rows.unwrap_or_else(|error| panic!("{}", tell(&error)));
        let invoices = invoices.iter().map(|row| {
            let invoice = Invoice {
                status: row.get(1),
                total: row.get(2),
                paid: row.get(3),
                balance: row.get(4),
                ids: row.get(5),
            };
            (row.get(0), invoice)
        });
        let query = format!(
            "select id::text, invoice_id::text, payment_name, payment_status, (total_amount / {unit})::bigint,
                    (gratuity / {unit})::bigint, stripe_session_id, stripe_payment_intent
            from payments"
        );
        let rows = self.db.query(&query, &[]);
        let rows = rows.unwrap_or_else(|error| panic!("{}", tell(&error)));
        let rows = rows.iter().map(|row| Row {
            id: row.get(0),
            invoice: row.get(1),
            name: row.get(2),
            status: row.get(3),
            amount: row.get(4),
            gratuity: row.get(5),
            session: row.get(6),
            intent: row.get(7),
        });
        let query = "select kind, invoice_id, object, state <> 'resolved', settled is not null from invoice_sync.issue";
        let issues = self.db.query(query, &[]);
        let issues = issues.unwrap_or_else(|error| panic!("{}", tell(&error)));
        let issues = issues.iter().map(|row| Issue {
            kind: row.get(0),
            invoice: row.get(1),
            object: row.get(2),
            open: row.get(3),
            settled: row.get(4),
        });
        Books {
            invoices: invoices.collect(),
            rows: rows.collect(),
            issues: issues.collect(),
        }
    }

    /// What is wrong with the books.
    pub fn judge_books(&mut self) -> Vec<String> {
        let books = self.books();
        let mut wrong = Vec::new();
        for purchase in self.sales.values() {
            wrong.extend(self.judge_purchase(&books, purchase));
        }
        for bill in 0..self.bills.len() {
            wrong.extend(self.judge_invoice(&books, bill));
        }
        for kind in [
            "stripe_unreachable",
            "event_failing",
            "misconfigured",
            "unknown_status",
            "stripe_object_missing",
            "livemode_mismatch",
            "apply_failed",
            "currency_mismatch",
        ] {
            if books
                .issues
                .iter()
                .any(|issue| issue.open && issue.kind == kind)
            {
                wrong.push(format!(
                    "an issue {kind} is open, and there is no reason for it"
                ));
            }
        }
        wrong
    }

    fn judge_purchase(&self, books: &Books, purchase: &Purchase) -> Vec<String> {
        let Some(intent) = self.intent(purchase) else {
            return Vec::new();
        };
        let session = purchase.session.as_deref();
        let of_it: Vec<&Row> = books
            .rows
            .iter()
            .filter(|row| row.is_of(&intent, session) && !row.is_waiting())
            .collect();
        let mut wrong = Vec::new();
        let mut complain = |what: String| {
            wrong.push(format!(
                "{intent} of invoice {} ({session:?}): {what}; rows {of_it:?}",
                purchase.bill
            ));
        };
        if !self.is_paid(purchase) {
            if !of_it.is_empty() {
                complain("nothing was received, and it is booked".to_owned());
            }
            return wrong;
        }
        if of_it.len() > 1 && !purchase.careless {
            complain("one payment, more than one row".to_owned());
        }
        let (received, refunded) = self.received(purchase);
        let owner = self.owner(books, purchase, &intent);
        if let Some(owner) = owner
            && of_it.is_empty()
            && !self.may_be_missing(books, owner, &intent)
            && !self.is_reported_elsewhere(books, purchase, &intent)
        {
            complain("it is not booked, and no issue says why".to_owned());
        }
        for row in of_it.iter().filter(|row| row.is_of_the_machine()) {
            if (row.amount, row.gratuity) != (received - purchase.gratuity, purchase.gratuity) {
                complain(format!(
                    "{received} were received, {} of it gratuity",
                    purchase.gratuity
                ));
            }
            let may_own = |bill: Bill| self.bills[bill].id == row.invoice;
            let stored = [Some(&*intent), session].into_iter().flatten();
            let mut stored = stored.filter_map(|id| self.stored.get(id)).flatten();
            if !(purchase.named && may_own(purchase.bill))
                && (purchase.named || !stored.any(|bill| may_own(*bill)))
            {
                complain("it is booked for an invoice that it is not of".to_owned());
            }
        }
        if let [row] = &of_it[..] {
            let known = self.bills.iter().find(|known| known.id == row.invoice);
            let excused = known.is_none_or(|known| {
                known.decided || known.undone && books.has_issue(&known.id, &["repair_undone"])
            });
            let wanted = self.wanted_status(purchase, received, refunded);
            if !excused && !wanted.contains(&&*row.status) {
                complain(format!("its row should say {wanted:?}"));
            }
            if !excused {
                for kind in ["refunded", "partially_refunded", "disputed"] {
                    let is_so = match kind {
                        "refunded" => refunded >= received,
                        "partially_refunded" => refunded > 0 && refunded < received,
                        _ => wanted.contains(&"Disputed"),
                    };
                    let about = [Some(&*intent), session];
                    let open = books.issues.iter().any(|issue| {
                        issue.kind == kind
                            && (issue.open || issue.settled)
                            && issue.invoice.as_deref() == Some(&*row.invoice)
                            && issue
                                .object
                                .as_deref()
                                .is_some_and(|id| about.contains(&Some(id)))
                    });
                    if is_so && !open {
                        complain(format!("no issue says that it is {kind}"));
                    }
                    let stands = books.issues.iter().any(|issue| {
                        issue.kind == kind
                            && issue.open
                            && issue
                                .object
                                .as_deref()
                                .is_some_and(|id| about.contains(&Some(id)))
                    });
                    if !is_so && stands {
                        complain(format!("an issue says that it is {kind}"));
                    }
                }
            }
        }
        wrong
    }

    fn wanted_status(
        &self,
        purchase: &Purchase,
        received: i64,
        refunded: i64,
    ) -> Vec<&'static str> {
        match (self.is_withheld(purchase), refunded >= received) {
            (true, true) => vec!["Disputed", "Refunded"],
            (true, false) => vec!["Disputed"],
            (false, true) => vec!["Refunded"],
            (false, false) => vec!["Paid"],
        }
    }

    /// Whether a dispute keeps a purchase's money, for a while or for good.
    fn is_withheld(&self, purchase: &Purchase) -> bool {
        let last = purchase.disputes.last();
        let dispute = last
            .and_then(|id| self.stripe.object(id))
            .unwrap_or_default();
        dispute["status"] == "needs_response" || dispute["status"] == "lost"
    }

    /// Whose payment it is, where that is beyond doubt.
    fn owner(&self, books: &Books, purchase: &Purchase, intent: &str) -> Option<Bill> {
        if purchase.named {
            return Some(purchase.bill).filter(|bill| !self.bills[*bill].deleted);
        }
        let is_stored = |invoice: &Invoice| {
            let ids = [Some(intent), purchase.session.as_deref()];
            invoice.ids.iter().any(|id| ids.contains(&Some(&**id)))
        };
        let storing = books
            .invoices
            .iter()
            .filter(|(_, invoice)| is_stored(invoice));
        let storing: Vec<&String> = storing.map(|(id, _)| id).collect();
        match storing[..] {
            [only] => self.bills.iter().position(|known| known.id == *only),
            _ => None,
        }
    }

    fn may_be_missing(&self, books: &Books, owner: Bill, intent: &str) -> bool {
        let known = &self.bills[owner];
        let kinds: &[(&str, bool)] = &[
            ("possible_duplicate", known.cash),
            ("repair_undone", known.undone),
            // The application deleted the invoice of a row, or stores the id elsewhere.
            (
                "unlinked_payment",
                self.stored.get(intent).is_some_and(|bills| bills.len() > 1),
            ),
        ];
        kinds
            .iter()
            .any(|(kind, allowed)| *allowed && books.has_issue(&known.id, &[kind]))
            || known.decided
    }

    /// Whether another invoice stored the id of a purchase that names its own, and an issue says so.
    fn is_reported_elsewhere(&self, books: &Books, purchase: &Purchase, intent: &str) -> bool {
        let ids = [Some(intent), purchase.session.as_deref()];
        let mut storing = ids
            .into_iter()
            .flatten()
            .filter_map(|id| self.stored.get(id))
            .flatten();
        storing.any(|bill| *bill != purchase.bill)
            && books.issues.iter().any(|issue| {
                (issue.open || issue.settled)
                    && issue.kind == "unlinked_payment"
                    && issue.object.is_some()
                    && ids.contains(&issue.object.as_deref())
            })
    }

    fn judge_invoice(&self, books: &Books, bill: Bill) -> Vec<String> {
        let known = &self.bills[bill];
        let Some(invoice) = books.invoices.get(&known.id) else {
            return Vec::new();
        };
        if known.cancelled
            || known.decided
            || known.undone && books.has_issue(&known.id, &["repair_undone"])
        {
            return Vec::new();
        }
        let rows = books.rows.iter().filter(|row| row.invoice == known.id);
        let mut counted = BTreeMap::new();
        for row in rows.filter(|row| row.status == "Paid") {
            let purchase = self.sales.values().find(|purchase| {
                self.intent(purchase)
                    .is_some_and(|intent| row.is_of(&intent, purchase.session.as_deref()))
            });
            let Some(purchase) = purchase else {
                counted.insert(row.id.clone(), row.amount);
                continue;
            };
            let (received, refunded) = self.received(purchase);
            let stays = if self.is_withheld(purchase) {
                0
            } else {
                // A refund takes from the gratuity first.
                row.amount.min(received - refunded)
            };
            counted.insert(purchase.handle.clone(), stays);
        }
        let counted: i64 = counted.values().sum();
        let mut wrong = Vec::new();
        let mut complain = |what: String| {
            wrong.push(format!(
                "invoice {bill}: {what}: {counted} stay of its payments; {invoice:?}"
            ));
        };
        if invoice.paid < counted && counted >= invoice.total {
            complain("less is paid than its payments come to".to_owned());
        }
        if counted >= invoice.total && invoice.status != "Paid" {
            complain("it is paid, and does not say so".to_owned());
        }
        if counted >= invoice.total && invoice.balance.is_some_and(|left| left > 0) {
            complain("it is paid, and something is due".to_owned());
        }
        if counted < invoice.total
            && invoice.status == "Paid"
            && !books.has_issue(
                &known.id,
                &[
                    "amount_mismatch",
                    "paid_without_payment",
                    "refunded",
                    "partially_refunded",
                    "disputed",
                    "possible_duplicate",
                    "unlinked_payment",
                ],
            )
        {
            complain("it is not paid, and no issue says so".to_owned());
        }
        wrong
    }
}

impl Books {
    /// Whether an issue of such a kind is open, or was decided by a person.
    fn has_issue(&self, invoice: &str, kinds: &[&str]) -> bool {
        self.issues.iter().any(|issue| {
            (issue.open || issue.settled)
                && kinds.contains(&&*issue.kind)
                && issue.invoice.as_deref() == Some(invoice)
        })
    }
}

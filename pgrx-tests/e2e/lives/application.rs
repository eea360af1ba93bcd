//! Plays the steps in which the application writes to its own tables.

use super::step::{Bill, Sale, Step};
use super::world::{Known, World};

impl World<'_> {
    pub(super) fn application_writes(&mut self, step: &Step) {
        match *step {
            Step::Handler { sale, careful } => self.handle(sale, careful),
            Step::MarkPaid(bill) => self.set_invoice(bill, |known| {
                known.set_by_hand = true;
                "invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0".to_owned()
            }),
            Step::Cash { bill, amount, told } => self.enter_cash(bill, amount, told),
            Step::Cancel(bill) => self.set_invoice(bill, |known| {
                known.cancelled = true;
                "invoice_status = 'Cancelled'".to_owned()
            }),
            Step::Delete(bill) => {
                let id = self.bills[bill].id.clone();
                self.bills[bill].deleted = true;
                self.execute(&format!(
                    "delete from payments where invoice_id = '{id}'; delete from invoices where id = '{id}'"
                ));
            }
            Step::Total { bill, amount } => {
                let amount = self.money(amount);
                self.set_invoice(bill, |known| {
                    known.total_changed = true;
                    format!("total_amount = {amount}, balance_due = {amount} - amount_paid")
                });
            }
            Step::Store { bill, sale } => {
                let Some(purchase) = self.sales.get(&sale).cloned() else {
                    return;
                };
                let intent = match purchase.session {
                    Some(_) => None,
                    None => Some(&*purchase.handle),
                };
                self.store_ids(bill, purchase.session.as_deref(), intent);
                self.played += 1;
            }
            _ => {}
        }
    }

    fn set_invoice(&mut self, bill: Bill, assignments: impl FnOnce(&mut Known) -> String) {
        let known = &mut self.bills[bill];
        if known.deleted || known.cancelled {
            return;
        }
        let assignments = assignments(known);
        let id = known.id.clone();
        self.execute(&format!(
            "update invoices set {assignments} where id = '{id}'"
        ));
        self.played += 1;
    }

    /// As applications do it: the row, and the invoice's sums.
    fn handle(&mut self, sale: Sale, careful: bool) {
        let Some(purchase) = self.sales.get(&sale).cloned() else {
            return;
        };
        let known = self.bills[purchase.bill].clone();
        if known.deleted || known.cancelled || !self.is_paid(&purchase) {
            return;
        }
        let intent = self.intent(&purchase).unwrap_or_default();
        let (received, _) = self.received(&purchase);
        let session = purchase.session.as_deref();
        let looks = format!(
            "where not exists (select from payments where stripe_payment_intent = '{intent}' or stripe_session_id = '{}')",
            session.unwrap_or_default()
        );
        let booked = self
            .texts("select stripe_payment_intent from payments where payment_status <> 'Pending'");
        if !careful && booked.contains(&intent) {
            self.sales.entry(sale).and_modify(|it| it.careless = true);
        }
        self.execute(&format!(
            "insert into payments (invoice_id, payment_name, payment_status, payment_method, total_amount,
                                   gratuity, transaction_date, stripe_session_id, stripe_payment_intent)
            select '{invoice}', 'Handled', 'Paid', 'card', {amount}, {gratuity}, current_date, {session}, '{intent}'
            {looks}
            on conflict do nothing;
            update invoices i
            set amount_paid = greatest(i.amount_paid, p.paid),
                balance_due = greatest(i.total_amount - greatest(i.amount_paid, p.paid), 0),
                invoice_status = case
                    when greatest(i.amount_paid, p.paid) >= i.total_amount then 'Paid'
                    when i.invoice_status = 'Paid' then 'Paid'
                    when p.paid > 0 then 'Partial'
                    else i.invoice_status
                end
            from (select coalesce(sum(total_amount), 0) as paid from payments
                  where invoice_id = '{invoice}' and payment_status = 'Paid') p
            where i.id = '{invoice}'",
            invoice = known.id,
            amount = self.money(received - purchase.gratuity),
            gratuity = self.money(purchase.gratuity),
            session = session.map_or("null".to_owned(), |id| format!("'{id}'")),
            looks = if careful { &looks } else { "" },
        ));
        self.bills[purchase.bill].set_by_hand = true;
        self.played += 1;
    }

    fn enter_cash(&mut self, bill: Bill, amount: i64, told: bool) {
        let known = &mut self.bills[bill];
        if known.deleted || known.cancelled {
            return;
        }
        known.cash = true;
        let id = known.id.clone();
        let amount = self.money(amount);
        self.execute(&format!(
            "insert into payments (invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date)
            values ('{id}', 'Over the counter', 'Paid', 'cash', {amount}, current_date)"
        ));
        if told {
            self.execute(&format!(
                "update invoices
                set amount_paid = amount_paid + {amount},
                    balance_due = greatest(total_amount - amount_paid - {amount}, 0),
                    invoice_status = case when amount_paid + {amount} >= total_amount or invoice_status = 'Paid'
                        then 'Paid' else 'Partial' end
                where id = '{id}'"
            ));
            self.bills[bill].set_by_hand = true;
        }
        self.played += 1;
    }

    /// An invoice stores the ids of a payment.
    pub(super) fn store_ids(&mut self, bill: Bill, session: Option<&str>, intent: Option<&str>) {
        if self.bills[bill].deleted {
            return;
        }
        let columns = [
            ("stripe_session_id", session),
            ("stripe_payment_intent", intent),
        ];
        for (column, id) in columns {
            if let Some(id) = id {
                self.stored.entry(id.to_owned()).or_default().insert(bill);
                let invoice = self.bills[bill].id.clone();
                self.execute(&format!(
                    "update invoices set {column} = '{id}' where id = '{invoice}'"
                ));
            }
        }
    }
}

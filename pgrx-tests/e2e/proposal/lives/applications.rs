//! The applications: their tables, what is made beside them, and the rows that they write.

/// An application, and what it writes itself.
pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) tables: &'static str,
    /// What is made beside the tables: views, a column, a table of payments.
    pub(super) beside: Beside,
    /// The settings by hand, as a JSON object.
    pub(super) overrides: &'static str,
    /// Rows that invoices need.
    pub(super) seed: &'static str,
    /// Inserts an invoice over 125 with the key `{id}` and the status `{status}`.
    pub(super) invoice: &'static str,
    /// A payment of 125 of the invoice `{id}`, with the ids `{session}` and `{intent}`, that the application awaits.
    pub(super) waiting: Waiting,
    /// Makes the invoice `{id}` one that was paid by its awaited payment before the extension came, if the settings
    /// depend on such rows.
    pub(super) history: &'static str,
    /// Statuses of invoices. Without one, the tables must refuse it.
    pub(super) open: &'static str,
    pub(super) after_paid: Option<&'static str>,
    pub(super) closed: Option<&'static str>,
    /// The columns of payments that the application needs filled, also where its tables accept null.
    pub(super) needs: &'static [&'static str],
    /// The column that a trigger of the application stamps with each update, which an undo is, too.
    pub(super) stamped: &'static str,
    /// Further tables that its triggers write, and do not restore when a payment goes.
    pub(super) follows: &'static [&'static str],
}

/// What the application writes before a payment was made.
pub(super) enum Waiting {
    /// Inserts a row of a payment that waits.
    Row(&'static str),
    /// Stores an id in the invoice, because no payment can wait.
    Invoice(&'static str),
    /// Inserts a payment that counts, after it was made.
    Paid(&'static str),
}

impl Waiting {
    pub(super) fn statement(&self) -> &'static str {
        match self {
            Self::Row(statement) | Self::Invoice(statement) | Self::Paid(statement) => statement,
        }
    }
}

impl Host {
    /// Returns the id of the invoice with this number, and the statement that inserts it.
    pub(super) fn invoice_with(&self, number: usize, status: &str) -> (String, String) {
        let id = if self.invoice.contains("({id}") {
            number.to_string()
        } else {
            format!("00000000-0000-4000-8000-{number:012}")
        };
        let statement = self.invoice.replace("{id}", &id);
        let statement = statement.replace("{status}", status);
        (id, statement)
    }
}

/// What is made beside an application's tables, and how it is called in the list.
pub(super) struct Beside {
    pub(super) what: &'static str,
    pub(super) statements: &'static str,
    /// The tables or views that `adopt_mapping` is given, if it is.
    pub(super) given: &'static str,
}

const NOTHING: Beside = Beside {
    what: "",
    statements: "",
    given: "",
};

pub(super) const HOSTS: [Host; 12] = [
    Host {
        name: "m10dj",
        tables: include_str!("../hosts/m10dj.sql"),
        beside: NOTHING,
        overrides: "{}",
        seed: "insert into contacts default values",
        invoice: "insert into invoices (id, contact_id, invoice_number, invoice_status, total_amount, balance_due, subtotal,
                                    invoice_date, due_date)
            select '{id}', id, '{id}', '{status}', 125, 125, 125, '2026-01-01', '2036-02-01' from contacts",
        waiting: Waiting::Row("insert into payments (invoice_id, contact_id, payment_name, payment_method, payment_status, total_amount,
                stripe_session_id)
            select '{id}', id, 'Deposit', 'Card', 'Pending', 125, '{session}' from contacts"),
        history: "",
        open: "Sent",
        after_paid: Some("Delivered"),
        closed: Some("Cancelled"),
        needs: &["contact_id", "payment_name", "payment_method", "transaction_date", "stripe_payment_intent"],
        stamped: "updated_at",
        follows: &["contacts"],
    },
    Host {
        name: "lamp_shop",
        tables: include_str!("../hosts/lamp_shop.sql"),
        beside: NOTHING,
        overrides: "{}",
        seed: "",
        invoice: "insert into orders (id, order_number, status, currency, subtotal_cents, total_cents,
                                     shipping_address_snapshot, updated_at)
            values ('{id}', right('{id}', 12), '{status}', 'USD', 12500, 12500, '{}', '2026-01-01')",
        waiting: Waiting::Row("insert into payments (id, order_id, stripe_payment_intent_id, status, amount_cents, currency, updated_at)
            values ('{id}', '{id}', '{intent}', 'processing', 12500, 'USD', '2026-01-01')"),
        history: "",
        open: "pending_payment",
        after_paid: Some("delivered"),
        closed: Some("cancelled"),
        needs: &["stripe_payment_intent_id", "currency"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "get_a_motel",
        tables: include_str!("../hosts/get_a_motel.sql"),
        beside: NOTHING,
        overrides: "{}",
        seed: "insert into tenants default values; insert into properties default values;
            insert into room_types default values",
        invoice: "insert into bookings (id, tenant_id, property_id, room_type_id, idempotency_key, confirmation_number,
                guest_email, guest_first_name, guest_last_name, check_in_date, check_out_date, num_nights, num_guests,
                total_price_cents, status, updated_at)
            select '{id}', t.id, p.id, r.id, '{id}', '{id}', 'a@example.com', 'A', 'B', '2026-01-01', '2026-01-02', 1, 1,
                12500, '{status}', '2026-01-01' from tenants t, properties p, room_types r",
        waiting: Waiting::Row("insert into payments (tenant_id, booking_id, stripe_payment_intent_id, amount_cents, status)
            select tenant_id, id, '{intent}', 12500, 'PENDING' from bookings where id = '{id}'"),
        history: "update bookings set status = 'CONFIRMED' where id = '{id}';
            update payments set status = 'SUCCEEDED' where booking_id = '{id}'",
        open: "PENDING",
        after_paid: Some("CHECKED_OUT"),
        closed: Some("CANCELLED"),
        needs: &["tenant_id", "stripe_payment_intent_id", "currency"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "booking_app_api",
        tables: include_str!("../hosts/booking_app_api.sql"),
        beside: NOTHING,
        overrides: "{}",
        seed: "insert into \"User\" default values",
        invoice: r#"insert into "Booking" (id, "userId", "bookingDate", "totalPrice", status, "updatedAt")
            values ({id}, 1, '2026-01-01', 125, '{status}', '2026-01-01')"#,
        waiting: Waiting::Row(r#"insert into "Payment" ("bookingId", amount, currency, status, "stripeSessionId", "updatedAt")
            values ({id}, 12500, 'usd', 'PENDING', '{session}', '2026-01-01')"#),
        history: r#"update "Booking" set status = 'CONFIRMED' where id = {id};
            update "Payment" set status = 'SUCCEEDED', "stripePaymentIntentId" = '{intent}' where "bookingId" = {id}"#,
        open: "PENDING",
        after_paid: Some("COMPLETED"),
        closed: Some("CANCELLED"),
        needs: &["stripeSessionId", "stripePaymentIntentId", "currency"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "solidus",
        tables: include_str!("../hosts/solidus.sql"),
        beside: NOTHING,
        // The application finds payments by their number, and shows their method.
        overrides: r#"{"payment_values": {"number": {"sql": "upper(left(md5(gen_random_uuid()::text), 8))"},
            "payment_method_id": {"value": 1}}}"#,
        seed: "insert into spree_payment_methods (type, name) values ('SolidusStripe::PaymentMethod', 'Stripe')",
        invoice: "insert into spree_orders (id, number, total, payment_state, currency) values ({id}, 'R{id}', 125, '{status}', 'USD')",
        waiting: Waiting::Row(
            "insert into spree_payments (amount, order_id, state, response_code, number, payment_method_id, created_at)
            values (125, {id}, 'pending', '{intent}', 'P{id}', 1, '2026-01-01')",
        ),
        history: "update spree_orders set payment_state = 'paid', payment_total = 125 where id = {id};
            update spree_payments set state = 'completed' where order_id = {id}",
        open: "balance_due",
        after_paid: Some("credit_owed"),
        closed: Some("void"),
        needs: &["response_code", "number", "payment_method_id", "created_at"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "calcom",
        tables: include_str!("../hosts/calcom.sql"),
        beside: Beside {
            what: "a view: totals from another table",
            statements: include_str!("../hosts/calcom.views.sql"),
            given: "'stripe_bookings', '\"Payment\"', ",
        },
        overrides: "{}",
        seed: r#"insert into "EventType" (id, title, price) values (1, 'Lesson', 12500);
            insert into "App" (slug) values ('stripe')"#,
        invoice: r#"insert into "Booking" (id, uid, "eventTypeId", title, "startTime", "endTime", status)
            values ({id}, 'B-{id}', 1, 'Lesson', '2026-01-01', '2026-01-01', '{status}')"#,
        waiting: Waiting::Row(r#"insert into "Payment" (uid, "bookingId", amount, fee, currency, success, refunded, data, "externalId",
                "appId")
            values ('P-{id}', {id}, 12500, 0, 'usd', false, false, '{}', '{intent}', 'stripe')"#),
        history: r#"update "Booking" set paid = true where id = {id};
            update "Payment" set success = true where "bookingId" = {id}"#,
        open: "accepted",
        after_paid: None,
        closed: Some("rejected"),
        needs: &["uid", "externalId", "appId"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "flexile",
        tables: include_str!("../hosts/flexile.sql"),
        beside: Beside {
            what: "a view: amounts from the invoice",
            statements: include_str!("../hosts/flexile.views.sql"),
            given: "'consolidated_invoices', 'stripe_payments', ",
        },
        overrides: "{}",
        seed: "insert into companies default values",
        invoice: "insert into consolidated_invoices (id, period_start_date, period_end_date, invoice_date, company_id, total_cents,
                flexile_fee_cents, transfer_fee_cents, invoice_amount_cents, updated_at, status, invoice_number)
            values ({id}, '2026-01-01', '2026-01-31', '2026-02-01', 1, 12500, 0, 0, 12500, '2026-01-01', '{status}', 'C-{id}')",
        waiting: Waiting::Row("insert into consolidated_payments (consolidated_invoice_id, stripe_payment_intent_id, status, updated_at)
            values ({id}, '{intent}', 'initial', '2026-01-01')"),
        history: "update consolidated_invoices set status = 'paid' where id = {id};
            update consolidated_payments set status = 'succeeded' where consolidated_invoice_id = {id}",
        open: "sent",
        after_paid: Some("refunded"),
        closed: None,
        needs: &["stripe_payment_intent_id", "succeeded_at"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "hifi_registration",
        tables: include_str!("../hosts/hifi_registration.sql"),
        beside: Beside {
            what: "a view: totals and status from several tables",
            statements: include_str!("../hosts/hifi_registration.views.sql"),
            given: "'stripe_invoices', 'registration_payment', ",
        },
        overrides: "{}",
        seed: "insert into registration_event default values",
        invoice: "insert into registration_registration (id, event_id, created, agrees_to_policy)
            values ({id}, 1, '2026-01-01', true);
            insert into registration_order (id, registration_id, original_price, accessible_price, donation, ap_eligible_amount)
            values ({id}, {id}, 12500, 12500, 0, 0);
            insert into registration_invoice (amount, due_date, order_id, pay_at_checkout)
            values (5000, '2026-01-01', {id}, true), (7500, '2026-02-01', {id}, false)",
        // It knows of no payment before it was made.
        waiting: Waiting::Paid("insert into registration_payment (amount, date, registration_id, stripe_session_id)
            values (12500, '2026-01-01', {id}, '{session}')"),
        history: "",
        open: "",
        after_paid: None,
        closed: None,
        needs: &["stripe_session_id"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "miru",
        tables: include_str!("../hosts/miru.sql"),
        beside: Beside {
            what: "a view: an id in JSON; a column for the payments' ids",
            statements: include_str!("../hosts/miru.views.sql"),
            given: "'stripe_invoices', 'payments', ",
        },
        overrides: r#"{"invoice_status_values": {"draft": 0, "sent": 1, "viewed": 2, "paid": 3, "declined": 4, "overdue": 5,
                "sending": 6, "waived": 7},
            "payment_status_values": {"paid": 0, "partially_paid": 1, "failed": 2, "cancelled": 3},
            "payment_values": {"transaction_type": {"value": 10}}}"#,
        seed: "insert into companies default values; insert into clients default values",
        invoice: "insert into invoices (id, client_id, company_id, invoice_number, amount, amount_due, status, created_at, updated_at)
            values ({id}, 1, 1, 'M-{id}', 125, 125, {status}, '2026-01-01', '2026-01-01')",
        // It has no rows of awaited payments: the invoice stores the intent.
        waiting: Waiting::Invoice(r#"update invoices set payment_infos = '{"stripe_payment_intent": "{intent}"}' where id = {id}"#),
        history: "",
        open: "1",
        after_paid: None,
        closed: Some("7"),
        needs: &["transaction_type", "payment_currency"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "saskij_invoices",
        tables: include_str!("../hosts/saskij_invoices.sql"),
        beside: NOTHING,
        overrides: r#"{"payment_intent_column": null}"#,
        seed: "insert into auth.users default values",
        invoice: "insert into invoices (id, user_id, invoice_number, total, status)
            select '{id}', id, '{id}', 125, '{status}' from auth.users",
        // It has no rows of awaited payments: the invoice stores the session.
        waiting: Waiting::Invoice("update invoices set stripe_session_id = '{session}' where id = '{id}'"),
        history: "",
        open: "sent",
        after_paid: None,
        closed: Some("deleted"),
        needs: &["payment_method", "createdAt"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "scalexotics",
        tables: include_str!("../hosts/scalexotics.sql"),
        beside: NOTHING,
        overrides: "{}",
        seed: "",
        invoice: "insert into client_invoices (id, invoice_number, type, base_amount, total_amount, client_name, status)
            values ('{id}', right('{id}', 12), 'retainer', 125, 125, 'Ada', '{status}')",
        waiting: Waiting::Invoice("update client_invoices set stripe_checkout_session_id = '{session}' where id = '{id}'"),
        history: "",
        open: "pending",
        after_paid: None,
        closed: Some("cancelled"),
        needs: &["stripe_session_id", "stripe_payment_intent_id", "paid_at"],
        stamped: "",
        follows: &[],
    },
    Host {
        name: "florist_shop",
        tables: include_str!("../hosts/florist_shop.sql"),
        beside: NOTHING,
        overrides: "{}",
        seed: "",
        invoice: "insert into orders (id, number, subtotal_cents, delivery_fee_cents, total_cents, recipient_name, recipient_phone,
                address_line1, city, zip, delivery_date, sender_name, sender_email, status, updated_at)
            values ('{id}', right('{id}', 12), 12000, 500, 12500, 'Ada', '1', 'Here', 'There', '1', '2026-01-01', 'Eve',
                'eve@example.com', '{status}', '2026-01-01')",
        waiting: Waiting::Invoice("update orders set stripe_checkout_session_id = '{session}' where id = '{id}'"),
        history: "",
        open: "pending_payment",
        after_paid: Some("delivered"),
        closed: Some("cancelled"),
        needs: &["stripe_session_id", "stripe_payment_intent_id", "paid_at"],
        stamped: "",
        follows: &[],
    },
];

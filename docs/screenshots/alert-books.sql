-- What is wrong in the shop of alert.sql, and a sweep in a session that has its key.

insert into invoices (invoice_number, customer, invoice_status, total_amount, amount_paid, stripe_session_id)
values ('INV-2041', 'Ada Cruises', 'Paid', 480, 480, null),
       ('<script>alert(1)</script>', 'Mallory', 'Paid', 75.5, 75.5, null),
       ('INV-2044', 'Bay Charter', 'Partial', 1200, 300, null),
       ('INV-2047', 'Cape Tours', 'Sent', 250, 0, 'cs_test_a1b2c3');

insert into payments (invoice_id, payment_name, payment_status, total_amount, stripe_payment_intent)
select id, 'Deposit', 'Paid', 300, 'pi_3Q7dW2'
from invoices, generate_series(1, 2)
where invoice_number = 'INV-2044';

select invoice_sync.sweep();

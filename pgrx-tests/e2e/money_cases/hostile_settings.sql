insert into invoice_sync.settings (
    invoices_table, invoice_id_column, invoice_number_column, invoice_status_column,
    invoice_total_column, invoice_amount_paid_column, invoice_balance_column,
    invoice_paid_at_column, invoice_currency_column, invoice_session_column, invoice_intent_column,
    payments_table, payment_id_column, payment_invoice_column, payment_status_column,
    payment_amount_column, payment_gratuity_column, payment_refunded_column, payment_date_column,
    payment_session_column, payment_intent_column, payment_values,
    invoice_paid_word, invoice_partial_word, invoice_closed_words,
    payment_paid_word, payment_pending_words, payment_refunded_word, payment_disputed_word,
    amount_unit, time_zone, host_search_path
)
values (
    '"Billing Data"."order"', 'Key', 'No.', 'State',
    'total', 'Paid So Far', 'left',
    'when', 'Currency', 'session', 'select',
    '"Billing Data"."group"', 'from', 'for', 'State',
    'amount', 'Tip', 'Back', 'when',
    'Session Id', 'Intent',
    '{
        "Org \"1\"": {"invoice": "Org \"1\""},
        "how": {"value": "card"},
        "remark": [{"metadata": "remark"}, {"stripe": "payment_intent.description"}, {"value": "by the machine"}],
        "made by": {"value": {"name": "invoice_sync"}}
    }',
    'settled', 'partly paid', '{void,"written off"}',
    'done', '{expected,late}', 'gone back', 'fought over',
    'minor', 'Pacific/Auckland', '"Billing Data", "Odds & Ends"'
);

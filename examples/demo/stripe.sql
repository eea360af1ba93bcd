-- The checkout sessions for the stand-in for Stripe, as JSON: one object for each.

select
    json_agg(
        json_strip_nulls(
            json_build_object(
                'id', c.session_id,
                'intent_id', c.intent_id,
                'charge_id', 'ch_3' || left(md5('charge ' || c.name || c.part), 23),
                'amount', demo.minor(c.amount, c.currency),
                'currency', c.currency,
                'description', format('%s for %s', c.part, i.invoice_number),
                'metadata', json_build_object(
                    'invoice_id', i.id,
                    'gratuity_amount', c.gratuity::text
                ),
                'created_ago', extract(epoch from now() - c.created_at)::bigint,
                'outcome', c.outcome,
                'outcome_ago', extract(epoch from now() - c.outcome_at)::bigint,
                'refund', case
                    when c.refunded is not null
                        then json_build_object('amount', demo.minor(c.refunded, c.currency))
                end,
                'dispute', case
                    when c.dispute is not null then json_build_object('status', c.dispute)
                end
            )
        )
        order by c.created_at
    )
from demo.checkout as c
join invoices as i on i.id = md5('invoice ' || c.name)::uuid;

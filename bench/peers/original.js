// The way of the cron endpoint that this extension replaces: the invoices with Stripe ids that are not
// paid, the newest first; Stripe is asked about one after another, with the official client; a paid one
// gets its payment, and is set right by the sweep after that, which finds the payment in the books.
//
// usage: node original.js INVOICES
// INVOICES: how many are looked at (the original: 100). Prints seconds and how many invoices were set right.

'use strict'

const { performance } = require('node:perf_hooks')
const { connect, stripe } = require('./connections')

const CANDIDATES = `
    select id, stripe_session_id, stripe_payment_intent
    from invoices
    where (stripe_session_id is not null or stripe_payment_intent is not null)
        and invoice_status not in ('Paid', 'Cancelled')
    order by created_at desc
    limit $1`

const SET_RIGHT = `
    update invoices i
    set invoice_status = 'Paid', amount_paid = i.total_amount, balance_due = 0, paid_date = now()
    where i.id = $1
        and i.total_amount <= (
            select sum(p.total_amount) from payments p where p.invoice_id = i.id and p.payment_status = 'Paid'
        )`

const BOOK = `
    insert into payments (
        invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date,
        stripe_session_id, stripe_payment_intent
    )
    values ($1, 'Stripe payment', 'Paid', 'Stripe', $2, current_date, $3, $4)`

async function sweep(database, limit) {
  let right = 0
  const { rows } = await database.query(CANDIDATES, [limit])
  for (const invoice of rows) {
    const update = await database.query(SET_RIGHT, [invoice.id])
    if (update.rowCount > 0) {
      right += 1
      continue
    }
    const intent = await paidIntent(invoice)
    if (intent) {
      const session = invoice.stripe_session_id
      await database.query(BOOK, [invoice.id, intent.amount / 100, session, intent.id])
    }
  }
  return right
}

async function paidIntent(invoice) {
  if (!invoice.stripe_session_id) {
    const intent = await stripe.paymentIntents.retrieve(invoice.stripe_payment_intent)
    return intent.status === 'succeeded' ? intent : null
  }
  const session = await stripe.checkout.sessions.retrieve(invoice.stripe_session_id, {
    expand: ['payment_intent'],
  })
  return session.payment_status === 'paid' ? session.payment_intent : null
}

async function main() {
  const database = await connect()
  const begun = performance.now()
  const right = await sweep(database, Number(process.argv[2]))
  const seconds = (performance.now() - begun) / 1000
  await database.end()
  console.log([seconds.toFixed(3), right].join('|'))
}

main()

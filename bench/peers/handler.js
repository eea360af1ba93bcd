// The handler that people run: Node, the official client, a pool of connections. It verifies, deduplicates, locks
// and books in one transaction, as book_by_hand() does without a ledger.
//
// usage: node handler.js CONNECTIONS
// Prints the port that it listens on.

'use strict'

const http = require('node:http')
const { Pool } = require('pg')
const { stripe } = require('./connections')

const pool = new Pool({ max: Number(process.argv[2]) })

const statement = (name, text) => (client, values) => client.query({ name, text, values })

const handled = statement('handled', 'insert into handled (id) values ($1) on conflict do nothing')
const lock = statement(
  'lock',
  'select id, invoice_status from invoices where stripe_session_id = $1 for update',
)
const book = statement(
  'book',
  `insert into payments (
      invoice_id, payment_name, payment_status, payment_method, total_amount, transaction_date,
      stripe_session_id, stripe_payment_intent
  )
  values ($1, 'Stripe payment', 'Paid', 'Stripe', $2, to_timestamp($3)::date, $4, $5)`,
)
const settle = statement(
  'settle',
  `update invoices set invoice_status = 'Paid', amount_paid = $2, balance_due = 0, paid_date = now() where id = $1`,
)

async function handle(client, event) {
  if ((await handled(client, [event.id])).rowCount === 0) return
  const session = event.data.object
  if (event.type !== 'checkout.session.completed' || session.payment_status !== 'paid') return
  const invoice = (await lock(client, [session.id])).rows[0]
  if (!invoice || invoice.invoice_status === 'Paid') return
  const amount = session.amount_total / 100
  await book(client, [invoice.id, amount, event.created, session.id, session.payment_intent])
  await settle(client, [invoice.id, amount])
}

async function inTransaction(work) {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await work(client)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

async function answer(request, response) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  try {
    const event = stripe.webhooks.constructEvent(body, request.headers['stripe-signature'], 'whsec_bench')
    await inTransaction((client) => handle(client, event))
    response.writeHead(200).end('{"received":true}')
  } catch (error) {
    response.writeHead(error.type === 'StripeSignatureVerificationError' ? 400 : 500).end(error.message)
  }
}

const server = http.createServer(answer)
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.on('SIGTERM', () => process.exit(0))

// The database that the environment names (PGHOST, PGPORT, PGUSER, PGDATABASE), and the stand-in for
// Stripe that STRIPE names.

'use strict'

const { Client } = require('pg')
const Stripe = require('stripe')

const { hostname: host, port } = new URL(process.env.STRIPE)
const stripe = new Stripe('sk_test_double', { host, port, protocol: 'http', telemetry: false })

async function connect() {
  const client = new Client()
  await client.connect()
  return client
}

module.exports = { connect, stripe, host, port }

// How long @supabase/stripe-sync-engine takes to copy what Stripe's lists hold into tables of its own.
// It knows nothing of invoices and payments of the application's.
//
// usage: node sync-engine.js payment_intent
// Prints seconds.

'use strict'

const { performance } = require('node:perf_hooks')
const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine')

const { hostname: host, port } = new URL(process.env.STRIPE)
const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env
const databaseUrl = `postgres://${PGUSER}@${encodeURIComponent(PGHOST)}:${PGPORT}/${PGDATABASE}`

async function main() {
  await runMigrations({ databaseUrl, schema: 'stripe' })
  const sync = new StripeSync({
    poolConfig: { connectionString: databaseUrl },
    schema: 'stripe',
    stripeSecretKey: 'sk_test_double',
    stripeWebhookSecret: 'unused',
  })
  sync.stripe._setApiField('host', host)
  sync.stripe._setApiField('port', port)
  sync.stripe._setApiField('protocol', 'http')
  await sync.postgresClient.query('select 1', [])
  const begun = performance.now()
  await sync.syncBackfill({ object: process.argv[2] })
  const seconds = (performance.now() - begun) / 1000
  await sync.postgresClient.pool.end()
  console.log(`${seconds.toFixed(3)}|`)
}

main()

/** The demonstration's shop after some days of work, for the pictures. */

import { join } from 'node:path'
import type { Shop } from './shop'
import { REPOSITORY } from './surroundings'

export async function tell(shop: Shop) {
  const demo = join(REPOSITORY, 'examples/demo')
  await shop.database.query('begin')
  await shop.database.run(join(demo, 'data.sql'))
  await shop.database.query('commit')
  const { rows } = await shop.database.run(join(demo, 'stripe.sql'))
  await shop.stripe.post('checkouts', rows[0].json_agg)
  for (let sweep = 1; sweep <= 13; sweep += 1) {
    await shop.database.anew('select invoice_sync.sweep(max_invoices => 22)')
  }
  await shop.database.anew('select invoice_sync.sweep()')
  await decideAndUndo(shop)
  await shop.database.anew('select invoice_sync.sweep()')
  await shop.database.query(SPREAD_OVER_DAYS)
  await shop.database.query(DELIVER)
}

/** The demonstration names its invoices by their tales. */
export const idOf = (shop: Shop, tale: string) =>
  shop.database.value("select md5('invoice ' || $1)::uuid", [tale])

async function decideAndUndo(shop: Shop) {
  await shop.database.anew(
    `select invoice_sync.resolve_issue(id, 'accept_amount', 'The rest was a present')
       from invoice_sync.open_issues where kind = 'overpaid'`,
  )
  await shop.database.anew(
    `select invoice_sync.sync_invoice('${await idOf(shop, 'waiting 1')}'::uuid)`,
  )
  await shop.database.anew(
    'select invoice_sync.undo(max(id)) from invoice_sync.recent_runs where invoices_fixed between 1 and 6',
  )
}

/** The runs were 7 hours apart. */
const SPREAD_OVER_DAYS = `
  with hours as (select id, (max(id) over () - id) * interval '7 hours' as ago from invoice_sync.run)
  update invoice_sync.run r
     set started_at = started_at - ago, finished_at = finished_at - ago,
         cause = case when kind = 'sweep' then 'cron' else 'rpc' end
    from hours h where h.id = r.id;
  update invoice_sync.issue i
     set first_seen = r.started_at
    from invoice_sync.run r where r.id = i.first_run`

/** Two weeks of events: the webhooks of two days are lost, those of now come. */
const DELIVER = `
  update invoice_sync.event set webhook_at = created + interval '2.3 seconds';
  insert into invoice_sync.event
    (id, type, created, livemode, snapshot, received_at, webhook_at, state, processed_at)
  select 'evt_' || md5(kind || n), kind, at, false, '{}', at + late, case when not lost then at + late end,
         'done', at + interval '15 minutes'
    from generate_series(1, 13 * 24) as n
   cross join unnest(array['checkout.session.completed', 'payment_intent.succeeded', 'charge.refunded']) as kind
   cross join lateral (
     select now() - n * interval '1 hour' as at,
            n between 100 and 145 as lost,
            interval '1 second' * (1 + n % 5) as late,
            ('x' || substr(md5(kind || n), 1, 4))::bit(16)::integer % 100 as dice
   ) as event
   where dice < case kind when 'charge.refunded' then 6 else 30 + 20 * sin(n / 9.0) end`

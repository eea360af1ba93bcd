/** A customer pays an invoice, and the shop does not hear of it. */

import { Client } from 'pg'

interface LostSale {
  id: string
  number: string
}

export async function loseWebhook(shop: { database: string; stripe: string }): Promise<LostSale> {
  const database = new Client(shop.database)
  await database.connect()
  try {
    const { rows } = await database.query<LostSale>(NEW_INVOICE)
    const invoice = rows[0]
    if (!invoice) throw new Error('no invoice was made')
    const session = await payInStripe(shop.stripe, invoice)
    await database.query('update invoices set stripe_session_id = $1 where id = $2', [
      session,
      invoice.id,
    ])
    return invoice
  } finally {
    await database.end()
  }
}

const NEW_INVOICE = `
  insert into invoices (invoice_number, customer, invoice_status, total_amount, balance_due, currency)
  select 'INV-' || 1 + max(substr(invoice_number, 5)::integer), 'Hypatia Books', 'Sent', 129.5, 129.5, 'usd'
    from invoices
   where invoice_number ~ '^INV-[0-9]{1,8}$'
  returning id, invoice_number as number`

/** Tells the stand-in that the invoice's checkout session is paid; answers with the session's id. */
async function payInStripe(stripe: string, invoice: LostSale): Promise<string> {
  const answer = await fetch(`${stripe}/_double/checkouts`, {
    method: 'POST',
    body: JSON.stringify({
      amount: 12_950,
      currency: 'usd',
      outcome: 'paid',
      description: `Payment for ${invoice.number}`,
      metadata: { invoice_id: invoice.id },
    }),
  })
  if (!answer.ok) throw new Error(await answer.text())
  const { session } = (await answer.json()) as { session: string }
  return session
}

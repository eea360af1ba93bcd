/** The button Why? */

import { expect, test } from './fixtures'

test('why a payment is not booked is told, and Stripe is asked only if somebody says so', async ({
  page,
  shop,
}) => {
  const sale = await shop.sale('INV-1', 'paid')
  const why = page.getByRole('region', { name: 'Why?' })
  const decision = why.getByRole('article', { name: 'decision' })

  await page.goto(`/invoices/${sale.invoice}`)
  await expect(page.getByText('No payment is recorded')).toBeVisible()
  await expect(why).toBeHidden()
  await page.getByRole('button', { name: 'Why?' }).click()

  await expect(decision).toContainText('Stripe was not asked')
  const ofInvoice = why.getByRole('article', { name: 'invoice' })
  await expect(ofInvoice).toContainText('Sent: open')
  await expect(ofInvoice).toContainText('setting invoice_status_column (default)')
  expect(await shop.stripe.requestsFor(sale.session)).toEqual([])

  await why.getByLabel('Ask Stripe now').click()
  await expect(decision).toContainText(`payment ${sale.intent} of 100.00 USD recorded`)
  await expect(why.getByRole('article', { name: 'Stripe' })).toContainText('received 100.00 USD')
  expect((await shop.stripe.requestsFor(sale.session)).length).toBeGreaterThan(0)
  expect(await shop.status(sale.invoice)).toBe('Sent')
  expect(await shop.count('payments')).toBe(0)
  expect(await shop.count('invoice_sync.run')).toBe(0)

  await page.getByRole('button', { name: 'Why?' }).click()
  await expect(why).toBeHidden()
})

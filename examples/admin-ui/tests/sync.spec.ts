/** The button Sync Stripe. */

import type { Page } from '@playwright/test'
import { expect, putProxyError, test, toast } from './fixtures'
import type { Sale } from './harness/shop'

const button = (page: Page) => page.getByRole('button', { name: 'Sync Stripe' })

async function press(page: Page, sale: Sale) {
  await page.goto(`/invoices/${sale.invoice}`)
  await button(page).click()
}

test('a payment that Stripe took is recorded, and the page shows it', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')

  await page.goto(`/invoices/${sale.invoice}`)
  await expect(page.getByText('No payment is recorded')).toBeVisible()
  await expect(page.getByText(sale.session)).toBeVisible()
  await button(page).click()

  await expect(toast(page, 'INV-1 is repaired')).toBeVisible()
  const payments = page.getByRole('region', { name: 'Payments' })
  // At once, and not when the page looks again by itself.
  await expect(payments.getByText(sale.intent)).toBeVisible({ timeout: 8_000 })
  const history = page.getByRole('region', { name: 'History' })
  const row = history
    .getByRole('table')
    .filter({ hasText: 'Sent' })
    .getByRole('row', { name: 'Status' })
  await expect(row.getByRole('cell')).toHaveText(['Sent', 'Paid'])
  await expect(button(page)).toBeEnabled()
  expect(await shop.status(sale.invoice)).toBe('Paid')
  expect(
    await shop.database.value('select string_agg(total_amount::text, $1) from payments', [' ']),
  ).toBe('100.000')
})

test('where nothing is to be done, it says so and nothing is written', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'open')

  await press(page, sale)

  await expect(toast(page, 'Nothing to do')).toBeVisible()
  expect(await shop.status(sale.invoice)).toBe('Sent')
  expect(await shop.count('payments')).toBe(0)
  expect(await shop.count('invoice_sync.change')).toBe(0)
})

test('where an issue stands, it does not say that there is nothing to do', async ({
  page,
  shop,
}) => {
  const sale = await shop.sale('INV-1', 'open')
  await shop.database.query(
    "update invoices set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0",
  )

  await press(page, sale)

  await expect(toast(page, 'INV-1 needs a decision')).toBeVisible()
  await expect(toast(page, 'Nothing to do')).toHaveCount(0)
  expect(await shop.count('invoice_sync.open_issues')).toBe(1)
  expect(await shop.count('invoice_sync.change')).toBe(0)
})

test('what cannot be repaired safely needs a person', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.database.query("update invoices set currency = 'eur'")

  await press(page, sale)

  await expect(toast(page, 'INV-1 needs a decision')).toBeVisible()
  await expect(page.getByRole('article').getByText('Currency mismatch')).toBeVisible()
  expect(await shop.count('payments')).toBe(0)
  expect(await shop.database.value('select kind from invoice_sync.open_issues')).toBe(
    'currency_mismatch',
  )
})

test('where Stripe cannot be reached, it says so and nothing is written', async ({
  page,
  shop,
}) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.stripe.fault({ action: 'status', status: 500 })

  await press(page, sale)

  await expect(toast(page, 'Stripe cannot be reached')).toBeVisible()
  await expect(button(page)).toBeEnabled()
  expect(await shop.status(sale.invoice)).toBe('Sent')
  expect(await shop.count('payments')).toBe(0)
})

test('a key that Stripe rejects is reported', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.stripe.fault({ action: 'status', status: 401 })

  await press(page, sale)

  await expect(toast(page, 'Stripe rejects the API key')).toBeVisible()
  expect(await shop.count('payments')).toBe(0)
})

test('a timeout of the database is reported, and nothing is written', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.database.query(
    `create function dawdle() returns trigger language plpgsql
       as 'begin perform pg_sleep(30); return new; end';
     create trigger dawdle before insert on payments for each row execute function dawdle()`,
  )

  await press(page, sale)

  await expect(toast(page, 'It took too long')).toBeVisible()
  await expect(button(page)).toBeEnabled()
  expect(await shop.status(sale.invoice)).toBe('Sent')
  expect(await shop.count('payments')).toBe(0)
})

test('what stands between answers with a page of its own, which is not shown', async ({
  page,
  shop,
}) => {
  const sale = await shop.sale('INV-1', 'paid')
  await putProxyError(page, 'rpc/sync_invoice')

  await press(page, sale)

  await expect(toast(page, 'The request failed')).toContainText('answered with status 502')
  await expect(page.getByText('<html>')).toHaveCount(0)
  await expect(button(page)).toBeEnabled()
  expect(await shop.count('payments')).toBe(0)
  expect(await shop.count('invoice_sync.run')).toBe(0)
})

test('an invoice that is gone since the page was loaded is not found', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await page.goto(`/invoices/${sale.invoice}`)
  await expect(button(page)).toBeVisible()
  await shop.database.query('delete from invoices')

  await button(page).click()

  await expect(toast(page, 'Not found')).toBeVisible()
  expect(await shop.count('payments')).toBe(0)
  expect(await shop.count('invoice_sync.run')).toBe(0)
})

test('an unknown invoice has a page that says so', async ({ page, shop }) => {
  await page.goto('/invoices/7d8e6b50-0000-4000-8000-000000000001')
  await expect(page.getByText('Invoice not found')).toBeVisible()
  await expect(button(page)).toHaveCount(0)
  await page.goto('/invoices/no-uuid')
  await expect(page.getByText('Invoice not found')).toBeVisible()
  expect(await shop.count('invoices')).toBe(0)
})

test('a double click is one request', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  const calls: string[] = []
  page.on('request', (request) => {
    if (request.url().endsWith('/rpc/sync_invoice')) calls.push(request.method())
  })

  await page.goto(`/invoices/${sale.invoice}`)
  await button(page).dblclick()

  await expect(toast(page, 'INV-1 is repaired')).toBeVisible()
  expect(calls).toEqual(['POST'])
  expect(await shop.count('payments')).toBe(1)
  expect(await shop.count('invoice_sync.run')).toBe(1)
})

test('while Stripe is slow the button spins and cannot be pressed', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.stripe.slowDown(1500)

  await press(page, sale)

  await expect(button(page)).toBeDisabled()
  await expect(button(page)).toHaveAttribute('aria-busy', 'true')
  await expect(button(page).locator('.mantine-Button-loader')).toBeVisible()
  expect(await shop.count('payments')).toBe(0)
  await expect(toast(page, 'INV-1 is repaired')).toBeVisible()
  await expect(button(page)).toBeEnabled()
  expect(await shop.count('payments')).toBe(1)
})

test('without Stripe ids there is no button', async ({ page, shop }) => {
  const invoice = await shop.invoice('INV-1')

  await page.goto(`/invoices/${invoice}`)

  await expect(page.getByRole('heading', { name: 'INV-1' })).toBeVisible()
  await expect(button(page)).toHaveCount(0)
  expect(await shop.status(invoice)).toBe('Sent')
})

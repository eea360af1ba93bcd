/** The button Sync Stripe. */

import type { Page } from '@playwright/test'
import { expect, lookAs, test, toast } from './fixtures'
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
  await expect(page.getByRole('region', { name: 'Payments' }).getByText(sale.intent)).toBeVisible()
  const history = page.getByRole('region', { name: 'History' })
  const row = history.getByRole('row', { name: 'invoice_status' })
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

test('what cannot be repaired safely needs a person', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.database.query("update invoices set currency = 'eur'")

  await press(page, sale)

  await expect(toast(page, 'INV-1 needs a person')).toBeVisible()
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

test('a key that Stripe refuses is told as such', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.stripe.fault({ action: 'status', status: 401 })

  await press(page, sale)

  await expect(toast(page, 'Stripe refuses the key')).toBeVisible()
  expect(await shop.count('payments')).toBe(0)
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
  await expect(page.getByText('There is no such invoice')).toBeVisible()
  await expect(button(page)).toHaveCount(0)
  expect(await shop.count('invoices')).toBe(0)
})

test('who may only look is refused, and nothing is written', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await lookAs(page, 'authenticated')

  await press(page, sale)

  await expect(toast(page, 'You may not do this')).toBeVisible()
  expect(await shop.status(sale.invoice)).toBe('Sent')
  expect(await shop.count('payments')).toBe(0)
  expect(await shop.stripe.requestsFor(sale.session)).toEqual([])
})

test('who may nothing sees nothing', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await lookAs(page, 'anon')

  await page.goto('/invoices')
  await expect(page.getByRole('alert').getByText('You may not do this')).toBeVisible()
  await page.goto(`/invoices/${sale.invoice}`)
  await expect(page.getByRole('alert').getByText('You may not do this')).toBeVisible()
  await expect(page.getByText('INV-1')).toHaveCount(0)
  expect(await shop.count('payments')).toBe(0)
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

/** The list of invoices. */

import type { Page } from '@playwright/test'
import { expect, test } from './fixtures'

const numbers = (page: Page) => page.getByRole('row').getByRole('link')

test('invoices are searched, filtered and sorted by the database', async ({ page, shop }) => {
  await shop.sale('INV-1', 'open', 300)
  await shop.invoice('INV-2', 100)
  await shop.invoice('INV-3, "quoted" (50%)', 200)
  await shop.database.query(
    "update invoices set invoice_status = 'Overdue' where invoice_number = 'INV-2'",
  )
  const search = page.getByRole('textbox', { name: 'Search' })

  await page.goto('/invoices')
  await page.getByRole('button', { name: /Total/ }).click()
  await expect(numbers(page)).toHaveText(['INV-1', 'INV-3, "quoted" (50%)', 'INV-2'])
  await page.getByRole('button', { name: /Total/ }).click()
  await expect(numbers(page)).toHaveText(['INV-2', 'INV-3, "quoted" (50%)', 'INV-1'])

  await search.fill('3, "quoted" (50%)')
  await expect(numbers(page)).toHaveText(['INV-3, "quoted" (50%)'])
  await search.fill('nothing like it')
  await expect(page.getByText('No invoice fits')).toBeVisible()
  await search.fill('')

  await page.getByRole('combobox', { name: 'Status' }).click()
  await page.getByRole('option', { name: 'Overdue' }).click()
  await expect(numbers(page)).toHaveText(['INV-2'])
  await page.getByRole('combobox', { name: 'Status' }).press('Escape')
  await page.getByLabel('Only with Stripe ids').check()
  await expect(page.getByText('No invoice fits')).toBeVisible()
})

test('a shop with nothing in it says what to do next', async ({ page, shop }) => {
  for (const [path, words] of [
    ['invoices', 'No invoices yet'],
    ['issues', 'Nothing waits for you'],
    ['runs', 'Nothing has run yet'],
    ['webhooks', 'No events yet'],
  ]) {
    await page.goto(`/${path}`)
    await expect(page.getByText(words ?? '')).toBeVisible()
  }
  await expect(page.getByText('Last sweep: none yet')).toBeVisible()
  expect(await shop.count('invoice_sync.run')).toBe(0)
})

test('a webhook that the demonstration loses is healed by the button', async ({ page, shop }) => {
  await shop.invoice('INV-41')

  await page.goto('/invoices')
  await page.getByRole('button', { name: 'Lose a webhook' }).click()
  await expect(page.getByRole('heading', { name: 'INV-42' })).toBeVisible()
  expect(await shop.count('payments')).toBe(0)
  await page.getByRole('button', { name: 'Sync Stripe' }).click()

  await expect(page.getByRole('alert').filter({ hasText: 'INV-42 is repaired' })).toBeVisible()
  expect(await shop.database.value('select sum(total_amount) from payments')).toBe('129.500')
})

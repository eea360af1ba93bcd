/** The list of invoices, and what host tables are like. */

import type { Page } from '@playwright/test'
import { expect, test, toast } from './fixtures'

const numbers = (page: Page) => page.getByRole('row').getByRole('link')
const searchBox = (page: Page) => page.getByRole('textbox', { name: 'Search' })

test('invoices are searched, filtered and sorted by the database', async ({ page, shop }) => {
  await shop.sale('INV-1', 'open', 300)
  await shop.invoice('INV-2', 100)
  await shop.invoice('INV-3, "quoted" (50%)', 200)
  await shop.database.query(
    "update invoices set invoice_status = 'Shipped' where invoice_number = 'INV-2'",
  )

  await page.goto('/invoices')
  await page.getByRole('button', { name: /Total/ }).click()
  await expect(numbers(page)).toHaveText(['INV-1', 'INV-3, "quoted" (50%)', 'INV-2'])
  await page.getByRole('button', { name: /Total/ }).click()
  await expect(numbers(page)).toHaveText(['INV-2', 'INV-3, "quoted" (50%)', 'INV-1'])

  await searchBox(page).fill('3, "quoted" (50%)')
  await expect(numbers(page)).toHaveText(['INV-3, "quoted" (50%)'])
  await searchBox(page).fill('nothing like it')
  await expect(page.getByText('No matching invoice')).toBeVisible()
  await searchBox(page).fill('')
  await expect(numbers(page)).toHaveCount(3)

  await page.getByRole('combobox', { name: 'Status' }).click()
  // The word of one invoice, and those of the settings.
  await expect(page.getByRole('option')).toHaveText([
    'Cancelled',
    'Paid',
    'Partial',
    'Sent',
    'Shipped',
  ])
  await page.getByRole('option', { name: 'Shipped' }).click()
  await expect(numbers(page)).toHaveText(['INV-2'])
  const withStripe = page.getByLabel('Only with Stripe ids')
  await withStripe.click()
  await expect(withStripe).toBeChecked()
  await expect(page.getByText('No matching invoice')).toBeVisible()
  expect(await shop.count("invoices where invoice_status = 'Shipped'")).toBe(1)
})

test('what the list is narrowed to stands in the address, and Back leads to it', async ({
  page,
  shop,
}) => {
  await shop.invoice('INV-1', 300)
  await shop.invoice('INV-2', 100)
  await page.goto('/invoices?order=asc&sort=total')
  await expect(numbers(page)).toHaveText(['INV-2', 'INV-1'])
  await searchBox(page).fill('inv-1')
  await expect(numbers(page)).toHaveText(['INV-1'])
  await expect(page).toHaveURL(/search=inv-1/)
  await page.getByRole('link', { name: 'INV-1' }).click()
  await expect(page.getByRole('heading', { name: 'INV-1' })).toBeVisible()

  await page.goBack()

  await expect(searchBox(page)).toHaveValue('inv-1')
  await expect(numbers(page)).toHaveText(['INV-1'])
  await page.reload()
  await expect(searchBox(page)).toHaveValue('inv-1')
  await expect(numbers(page)).toHaveText(['INV-1'])
  await page.getByRole('link', { name: 'Invoices' }).click()
  await expect(searchBox(page)).toHaveValue('')
  await expect(numbers(page)).toHaveCount(2)
  expect(await shop.count('invoices')).toBe(2)
})

test('long lists have pages', async ({ page, shop }) => {
  await shop.database.query(
    `insert into invoices (invoice_number, customer, total_amount, created_at)
     select 'INV-' || n, 'Hypatia Books', n, now() - n * interval '1 hour' from generate_series(1, 40) as n`,
  )
  await page.goto('/invoices')
  await expect(numbers(page)).toHaveCount(15)
  await page.getByRole('button', { name: 'next page' }).click()
  await expect(numbers(page).first()).toHaveText('INV-16')
  await page.goBack()
  await expect(numbers(page).first()).toHaveText('INV-1')
  await page.goto('/invoices?page=99')
  await expect(page.getByRole('alert')).toContainText('Page out of range')
  expect(await shop.count('invoices')).toBe(40)
})

test('numbers of invoices that are numbers are found, too', async ({ page, shop }) => {
  await shop.invoice('1041')
  await shop.invoice('1042')
  await shop.alter(
    'alter table invoices alter invoice_number type bigint using invoice_number::bigint',
  )
  await page.goto('/invoices')
  await searchBox(page).fill('1042')
  await expect(numbers(page)).toHaveText(['1042'])
  await searchBox(page).fill('hypatia')
  await expect(numbers(page)).toHaveCount(2)
  await searchBox(page).fill('10')
  await expect(page.getByText('No matching invoice')).toBeVisible()
  expect(await shop.count('invoices where invoice_number = 1042')).toBe(1)
})

test('columns have names with blanks, capitals and dashes', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await shop.alter(
    `begin;
     alter table invoices rename invoice_number to "Rechnung Nr";
     alter table invoices rename invoice_status to "Status-Wort";
     update invoice_sync.settings
        set invoice_number_column = 'Rechnung Nr', invoice_status_column = 'Status-Wort';
     commit`,
  )
  await page.goto('/invoices?search=INV-1&status=Sent&sort=total')
  await page.getByRole('link', { name: 'INV-1' }).click()
  await page.getByRole('button', { name: 'Sync Stripe' }).click()

  await expect(toast(page, 'INV-1 is repaired')).toBeVisible()
  const paid = page.getByRole('region', { name: 'History' }).getByRole('row', { name: 'Status' })
  await expect(paid.filter({ hasText: 'Sent' }).getByRole('cell')).toHaveText(['Sent', 'Paid'])
  const word = 'select "Status-Wort" from invoices where id = $1'
  expect(await shop.database.value(word, [sale.invoice])).toBe('Paid')
})

test('amounts are written with all their digits, in the unit and currency that they are in', async ({
  page,
  shop,
}) => {
  await shop.alter(
    `alter table invoices alter total_amount type numeric;
     insert into invoices (invoice_number, customer, invoice_status, total_amount, currency) values
       ('1 large', 'A', 'Sent', 90071992547409931.07, 'usd'),
       ('2 yen', 'A', 'Sent', 88000, 'jpy'),
       ('3 dinar', 'A', 'Sent', 412.5, 'kwd'),
       ('4 odd', 'A', 'Sent', 12.5, 'US$'),
       ('5 empty', 'A', 'Sent', 12.345, ''),
       ('6 none', 'A', 'Sent', 'NaN', null)`,
  )
  await page.goto('/invoices?sort=number&order=asc')
  const column = page.locator('tbody tr td:nth-child(4)')
  await expect(column).toHaveText([
    'US$90,071,992,547,409,931.07',
    'JP¥88,000',
    /KWD\s412\.500/,
    '12.50 US$',
    '12.345',
    'NaN usd',
  ])
  await shop.database.query(
    `delete from invoices where total_amount > 1e15 or total_amount = 'NaN';
     update invoices set total_amount = 88000;
     update invoice_sync.settings set amount_unit = 'minor'`,
  )
  await page.goto('/invoices?sort=number&order=asc')
  await expect(column).toHaveText(['JP¥88,000', /KWD\s88\.000/, '880.00 US$', '880.00'])
  expect(await shop.database.value('select count(distinct total_amount) from invoices')).toBe('1')
})

test('dates of no calendar are shown as they are', async ({ page, shop }) => {
  const invoice = await shop.invoice('INV-1')
  // As PostgREST writes them; the gateway of the tests cannot.
  await page.route('**/rest/v1/invoices*', async (route) => {
    const answer = await route.fetch()
    const [row] = (await answer.json()) as object[]
    await route.fulfill({ json: [{ ...row, paidAt: 'infinity' }] })
  })
  await page.goto(`/invoices/${invoice}`)
  await expect(page.getByText('infinity')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Sent')
})

test('a shop with nothing in it says what to do next', async ({ page, shop }) => {
  for (const [path, words] of [
    ['invoices', 'No invoices yet'],
    ['issues', 'There are no open issues'],
    ['runs', 'No runs yet'],
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
  await page.getByRole('button', { name: 'Demo' }).click()
  await page.getByRole('menuitem', { name: 'Lose a webhook' }).click()
  await expect(page.getByRole('heading', { name: 'INV-42' })).toBeVisible()
  expect(await shop.count('payments')).toBe(0)
  await page.getByRole('button', { name: 'Sync Stripe' }).click()

  await expect(toast(page, 'INV-42 is repaired')).toBeVisible()
  expect(await shop.database.value('select sum(total_amount) from payments')).toBe('129.500')
})

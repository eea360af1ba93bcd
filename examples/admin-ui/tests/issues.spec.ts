/** Open issues and what a person does about them. */

import type { Page } from '@playwright/test'
import { expect, test, toast } from './fixtures'
import type { Shop } from './harness/shop'

/** An invoice that says Paid, with no payment and nothing in Stripe. */
async function paidByWord(shop: Shop): Promise<string> {
  const invoice = await shop.invoice('INV-1')
  await shop.database.query(
    "update invoices set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0",
  )
  await shop.sweep()
  return invoice
}

const issueState = (shop: Shop) =>
  shop.database.value("select state || ' ' || coalesce(resolution, '') from invoice_sync.issue")

async function decide(page: Page, action: string) {
  await page.goto('/issues')
  await page.getByRole('button', { name: 'Decide' }).click()
  await page.getByRole('radio', { name: action }).check()
}

test('an action is shown beforehand, confirmed, and done', async ({ page, shop }) => {
  const invoice = await paidByWord(shop)
  const dialog = page.getByRole('dialog')

  await decide(page, 'Revert to unpaid')
  await dialog.getByLabel('New status').fill('Overdue')
  await dialog.getByLabel('Note').fill('The cheque bounced')
  await dialog.getByRole('button', { name: 'Preview' }).click()
  const status = dialog.getByRole('row', { name: 'invoice_status' })
  await expect(status.getByRole('cell')).toHaveText(['Paid', 'Overdue'])
  expect(await shop.status(invoice), 'a preview writes nothing').toBe('Paid')

  await dialog.getByRole('button', { name: 'Confirm' }).click()

  await expect(toast(page, 'Decided')).toBeVisible()
  await expect(page.getByText('Nothing waits for you')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Overdue')
  expect(await shop.database.value('select amount_paid from invoices')).toBe('0.000')
  expect(await issueState(shop)).toBe('resolved revert_to_unpaid')
  expect(await shop.database.value('select note from invoice_sync.issue')).toBe(
    'The cheque bounced',
  )
})

test('an action without arguments only settles the issue', async ({ page, shop }) => {
  const invoice = await paidByWord(shop)

  await decide(page, 'Accept paid elsewhere')
  await page.getByRole('button', { name: 'Preview' }).click()
  await page.getByRole('button', { name: 'Confirm' }).click()

  await expect(toast(page, 'Decided')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Paid')
  expect(await issueState(shop)).toBe('resolved accept_paid_elsewhere')
  await shop.sweep()
  expect(await shop.count('invoice_sync.open_issues'), 'it is not told again').toBe(0)
})

test('arguments that do not fit are refused in the dialog', async ({ page, shop }) => {
  const invoice = await paidByWord(shop)

  await decide(page, 'Revert to unpaid')
  await page.getByLabel('New status').fill('Paid')
  await page.getByRole('button', { name: 'Preview' }).click()

  const refused = page.getByRole('dialog').getByRole('alert')
  await expect(refused.getByText('is not the status of an unpaid invoice')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Paid')
  expect(await issueState(shop)).toBe('open ')
})

test('an issue is acknowledged and snoozed, and stays open', async ({ page, shop }) => {
  await paidByWord(shop)
  const menu = page.getByRole('button', { name: /More about issue/ })

  await page.goto('/issues')
  await menu.click()
  await page.getByRole('menuitem', { name: 'Acknowledge' }).click()
  await expect(page.getByText('acknowledged by bookkeeper')).toBeVisible()
  expect(await issueState(shop)).toBe('acknowledged ')

  await menu.click()
  await page.getByRole('menuitem', { name: 'Snooze for a week' }).click()
  await expect(page.getByText('snoozed until')).toBeVisible()
  const daysLeft =
    'select round(extract(epoch from snoozed_until - now()) / 86400) from invoice_sync.issue'
  expect(await shop.database.value(daysLeft)).toBe('7')

  await menu.click()
  await page.getByRole('menuitem', { name: 'End the snooze' }).click()
  await expect(page.getByText('snoozed until')).toHaveCount(0)
  const isOver = 'select snoozed_until <= now() from invoice_sync.issue'
  expect(await shop.database.value(isOver)).toBe('true')
})

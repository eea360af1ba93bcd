/** Open issues and what a person does about them. */

import type { Page } from '@playwright/test'
import { comeBack, expect, putProxyError, test, toast } from './fixtures'
import type { Shop } from './harness/shop'

/** An invoice that says Paid, with no payment and nothing in Stripe. */
async function paidByWord(shop: Shop): Promise<string> {
  const invoice = await shop.invoice('INV-1')
  await shop.database.query(
    "update invoices set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0",
  )
  // So that the word Sent is in use.
  await shop.invoice('INV-2')
  await shop.sweep()
  return invoice
}

const issueState = (shop: Shop) =>
  shop.database.value("select state || ' ' || coalesce(resolution, '') from invoice_sync.issue")

const newStatus = (page: Page) => page.getByRole('combobox', { name: 'New status' })

async function decide(page: Page, action: string) {
  await page.goto('/issues')
  await page.getByRole('button', { name: 'Decide' }).click()
  await page.getByRole('radio', { name: action }).check()
}

test('an action is shown beforehand, confirmed, and done', async ({ page, shop }) => {
  const invoice = await paidByWord(shop)
  const dialog = page.getByRole('dialog')

  await decide(page, 'Revert to unpaid')
  await newStatus(page).fill('Overdue')
  await dialog.getByRole('checkbox', { name: 'No invoice has had the status “Overdue”' }).check()
  await dialog.getByLabel('Note').fill('The cheque bounced')
  await dialog.getByRole('button', { name: 'Preview' }).click()
  await expect(dialog.getByText('nothing has been changed yet')).toBeVisible()
  const row = (name: RegExp) => dialog.getByRole('row', { name }).getByRole('cell')
  await expect(row(/^Status/)).toHaveText(['Paid', 'Overdue'])
  await expect(row(/^Due/)).toHaveText(['US$0.00', 'US$100.00'])
  expect(await shop.status(invoice), 'a preview writes nothing').toBe('Paid')

  await dialog.getByRole('button', { name: 'Confirm' }).click()

  await expect(toast(page, 'Decided')).toBeVisible()
  await expect(page.getByText('There are no open issues')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Overdue')
  const paid = 'select amount_paid from invoices where id = $1'
  expect(await shop.database.value(paid, [invoice])).toBe('0.000')
  expect(await issueState(shop)).toBe('resolved revert_to_unpaid')
  expect(await shop.database.value('select note from invoice_sync.issue')).toBe(
    'The cheque bounced',
  )
})

test('a status that no invoice has had has to be meant', async ({ page, shop }) => {
  const invoice = await paidByWord(shop)

  await decide(page, 'Set status')
  await newStatus(page).fill('Ovredue')
  await page.getByRole('button', { name: 'Preview' }).click()

  const refused = page.getByRole('dialog').getByRole('alert')
  await expect(refused.getByText('No invoice has the status "Ovredue"')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Paid')
  expect(await issueState(shop)).toBe('open ')
})

test('what was filled in is still there after Back', async ({ page, shop }) => {
  const invoice = await paidByWord(shop)

  await decide(page, 'Revert to unpaid')
  await newStatus(page).click()
  await page.getByRole('option', { name: 'Cancelled' }).click()
  await newStatus(page).fill('Sent')
  await page.getByLabel('Note').fill('Asked the customer')
  await page.getByRole('button', { name: 'Preview' }).click()
  await page.getByRole('button', { name: 'Back' }).click()

  await expect(page.getByRole('radio', { name: 'Revert to unpaid' })).toBeChecked()
  await expect(newStatus(page)).toHaveValue('Sent')
  await expect(page.getByLabel('Note')).toHaveValue('Asked the customer')
  expect(await shop.status(invoice)).toBe('Paid')
  expect(await issueState(shop)).toBe('open ')
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
  expect(await shop.count('invoice_sync.open_issues'), 'it is not reported again').toBe(0)
})

test('a payment that names an unknown invoice is linked to one that is found by its number', async ({
  page,
  shop,
}) => {
  await shop.invoice('INV-7', 40)
  const invoice = await shop.invoice('INV-8', 60)
  const { intent } = await shop.stripe.checkout({
    amount: 6000,
    currency: 'usd',
    outcome: 'paid',
    metadata: { invoice_id: '7d8e6b50-0000-4000-8000-000000000001' },
  })
  await shop.sweep()
  // For a while it may be that the invoice is not committed yet.
  await shop.database.query(
    "update invoice_sync.event set received_at = now() - interval '2 hours', next_attempt_at = now()",
  )
  await shop.sweep()
  expect(await shop.count('payments')).toBe(0)

  await decide(page, 'Link payment')
  await page.getByRole('combobox', { name: 'Invoice' }).fill('inv-8')
  await page.getByRole('option', { name: 'INV-8 · Hypatia Books · Sent · US$60.00' }).click()
  await page.getByRole('button', { name: 'Preview' }).click()
  await expect(page.getByRole('dialog').getByText('nothing has been changed yet')).toBeVisible()
  await expect(page.getByRole('dialog').getByRole('row', { name: 'Amount' })).toContainText(
    'US$60.00',
  )
  expect(await shop.count('payments'), 'a preview writes nothing').toBe(0)
  await page.getByRole('button', { name: 'Confirm' }).click()

  await expect(toast(page, 'Decided')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Paid')
  expect(await shop.database.value('select stripe_payment_intent from payments')).toBe(intent)
  expect(await issueState(shop)).toBe('resolved link_payment')
})

test('arguments that do not fit are refused in the dialog', async ({ page, shop }) => {
  const invoice = await paidByWord(shop)

  await decide(page, 'Revert to unpaid')
  await newStatus(page).fill('Paid')
  await page.getByRole('button', { name: 'Preview' }).click()

  const refused = page.getByRole('dialog').getByRole('alert')
  await expect(refused.getByText('is not the status of an unpaid invoice')).toBeVisible()
  expect(await shop.status(invoice)).toBe('Paid')
  expect(await issueState(shop)).toBe('open ')
})

test('a decision about facts that have moved is refused, and nothing is written', async ({
  page,
  shop,
}) => {
  const invoice = await paidByWord(shop)
  await decide(page, 'Revert to unpaid')
  await newStatus(page).fill('Sent')
  await page.getByRole('button', { name: 'Preview' }).click()
  await expect(page.getByRole('button', { name: 'Confirm' })).toBeVisible()
  await shop.database.query(
    "update invoices set invoice_status = 'Viewed', amount_paid = 0 where id = $1",
    [invoice],
  )
  const answer = page.waitForResponse((it) => it.url().endsWith('/rpc/resolve_issue'))

  await page.getByRole('button', { name: 'Confirm' }).click()

  await expect(toast(page, 'Not possible in the current state')).toContainText(
    'The facts of the issue have changed',
  )
  expect((await answer).status()).toBe(409)
  expect(await shop.status(invoice)).toBe('Viewed')
  expect(await shop.count('invoice_sync.change')).toBe(0)
})

test('a decision is about the facts that were shown, not about those of now', async ({
  page,
  shop,
}) => {
  const invoice = await paidByWord(shop)
  await decide(page, 'Accept paid elsewhere')
  await shop.database.query(
    'update invoices set total_amount = 900, amount_paid = 900 where id = $1',
    [invoice],
  )
  await shop.database.anew(`select invoice_sync.sync_invoice('${invoice}'::uuid)`)

  await page.getByRole('button', { name: 'Preview' }).click()

  await expect(page.getByRole('dialog').getByRole('alert')).toContainText(
    'The facts of the issue have changed',
  )
  expect(await issueState(shop)).toBe('open ')
})

test('what cannot be read again stays, and so does the dialog', async ({ page, shop }) => {
  await paidByWord(shop)
  await decide(page, 'Revert to unpaid')
  await newStatus(page).fill('Sent')
  await putProxyError(page, 'open_issues')

  await comeBack(page)

  await expect(page.getByText(/reloading failed/)).toBeVisible()
  await expect(newStatus(page)).toHaveValue('Sent')
  await page.getByRole('button', { name: 'Close' }).click()
  await expect(page.getByRole('article')).toHaveCount(1)
  await expect(page.getByText('<html>')).toHaveCount(0)
  await page.unroute('**/rest/v1/open_issues*')
  await comeBack(page)
  await expect(page.getByText(/reloading failed/)).toHaveCount(0)
  expect(await issueState(shop)).toBe('open ')
})

test('an issue that is resolved meanwhile does not take the dialog away', async ({
  page,
  shop,
}) => {
  await paidByWord(shop)
  await decide(page, 'Revert to unpaid')
  await newStatus(page).fill('Sent')
  await shop.database.query(
    "update invoices set invoice_status = 'Sent', amount_paid = 0 where invoice_status = 'Paid'",
  )
  await shop.sweep()
  expect(await issueState(shop)).toBe('resolved ')

  await comeBack(page)

  await expect(page.getByText('There are no open issues')).toBeVisible()
  await page.getByRole('button', { name: 'Preview' }).click()
  await expect(page.getByRole('dialog').getByRole('alert')).toContainText(
    'Not possible in the current state',
  )
  expect(await shop.count('invoice_sync.change')).toBe(0)
})

test('an issue is acknowledged and snoozed, and stays open', async ({ page, shop }) => {
  await paidByWord(shop)
  const menu = page.getByRole('button', { name: /More about issue/ })

  await page.goto('/issues')
  await menu.click()
  await page.getByRole('menuitem', { name: 'Acknowledge' }).click()
  await expect(page.getByText('acknowledged', { exact: true })).toBeVisible()
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

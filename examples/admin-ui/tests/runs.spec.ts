/** Runs, and undoing them. */

import { expect, test, toast } from './fixtures'

test('a run is undone, and what somebody has changed since is left', async ({ page, shop }) => {
  const first = await shop.sale('INV-1', 'paid')
  const second = await shop.sale('INV-2', 'paid')
  await shop.sweep()
  expect(await shop.count("invoices where invoice_status = 'Paid'")).toBe(2)
  await shop.database.query("update invoices set invoice_status = 'Shipped' where id = $1", [
    second.invoice,
  ])
  const dialog = page.getByRole('dialog')

  await page.goto('/runs')
  await page.getByRole('button', { name: 'Undo run 1 …' }).click()
  await expect(dialog.getByText('Nothing has been changed yet')).toBeVisible()
  await expect(
    dialog.getByText('1 invoice would be restored to the state before the run.'),
  ).toBeVisible()
  await expect(dialog.getByText('Would not be restored')).toBeVisible()
  const invoice = dialog.getByRole('button', { name: 'INV-1' })
  await expect(invoice).toContainText('Paid → Sent, paid US$100.00 → US$0.00, 1 payment removed')
  await expect(dialog.getByRole('table')).toHaveCount(0)
  await invoice.click()
  await expect(dialog.getByRole('row', { name: 'Status Paid Sent' })).toBeVisible()
  expect(await shop.status(first.invoice), 'a preview writes nothing').toBe('Paid')
  await dialog.getByRole('button', { name: 'Undo', exact: true }).click()

  await expect(dialog.getByText('Done', { exact: true })).toBeVisible()
  await expect(dialog.getByText('Not restored')).toBeVisible()
  expect(await shop.status(first.invoice)).toBe('Sent')
  expect(await shop.status(second.invoice)).toBe('Shipped')
  expect(await shop.count(`payments where invoice_id = '${first.invoice}'`)).toBe(0)
  expect(await shop.count(`payments where invoice_id = '${second.invoice}'`)).toBe(1)
  await dialog.getByRole('button', { name: 'Close' }).last().click()
  await expect(page.getByRole('cell', { name: 'Undo by hand' })).toBeVisible()
})

test('a decision that changed no row is revoked, and the issue is open again', async ({
  page,
  shop,
}) => {
  await shop.invoice('INV-1')
  await shop.database.query(
    "update invoices set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0",
  )
  await shop.sweep()
  await shop.database.anew(
    "select invoice_sync.resolve_issue((select id from invoice_sync.open_issues), 'accept_paid_elsewhere')",
  )
  await shop.sweep()
  expect(await shop.count('invoice_sync.open_issues')).toBe(0)
  const dialog = page.getByRole('dialog')

  await page.goto('/runs')
  await page.getByRole('button', { name: 'Undo run 2 …' }).click()
  await expect(dialog.getByText('The decision would be revoked')).toBeVisible()
  await dialog.getByRole('button', { name: 'Revoke' }).click()

  await expect(dialog.getByText('Revoked 1 decisions.')).toBeVisible()
  expect(await shop.count('invoice_sync.open_issues')).toBe(1)
  await shop.sweep()
  expect(await shop.count('invoice_sync.open_issues'), 'and a sweep finds it so').toBe(1)
})

test('a sweep is started, and its run and amount are shown', async ({ page, shop }) => {
  await shop.sale('INV-1', 'paid', 250)
  const asked = page.waitForRequest((request) => request.url().endsWith('/rpc/sweep'))

  await page.goto('/runs')
  await expect(page.getByText('No runs yet')).toBeVisible()
  await page.getByRole('button', { name: 'Sweep now' }).click()

  expect((await asked).postDataJSON()).toEqual({ max_duration: '5 seconds' })
  await expect(toast(page, 'Sweep completed')).toBeVisible()
  await expect(page.getByRole('cell', { name: 'Sweep by hand' })).toBeVisible()
  const recorded = page.getByRole('region', { name: 'Payments recorded' })
  await expect(recorded).toContainText('US$250.00')
  await expect(recorded.locator('.recharts-yAxis-tick-labels, .recharts-yAxis')).not.toHaveCount(0)
  await expect(page.getByText('Last sweep: just now, 1 invoice repaired')).toBeVisible()
  expect(await shop.count("invoices where invoice_status = 'Paid'")).toBe(1)
})

test('a sweep whose time was up says that more invoices may be due', async ({ page, shop }) => {
  for (const number of [1, 2, 3, 4, 5, 6]) await shop.sale(`INV-${number}`, 'paid')
  await shop.stripe.slowDown(2500)

  await page.goto('/runs')
  await page.getByRole('button', { name: 'Sweep now' }).click()

  await expect(toast(page, 'Sweep stopped at its time limit')).toContainText(
    'more invoices may be due',
  )
  const swept = 'select success from invoice_sync.run'
  expect(await shop.database.value(swept)).toBe('true')
})

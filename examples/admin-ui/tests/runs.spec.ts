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
  await expect(dialog.getByText('Preview: nothing is done yet')).toBeVisible()
  await expect(dialog.getByRole('button', { name: 'INV-1' })).toBeVisible()
  await expect(dialog.getByText('Left as it is')).toBeVisible()
  expect(await shop.status(first.invoice), 'a preview writes nothing').toBe('Paid')
  await dialog.getByRole('button', { name: 'Put back' }).click()

  await expect(dialog.getByText('Done', { exact: true })).toBeVisible()
  await expect(dialog.getByText('Put 1 invoices back. Left 1 as they are.')).toBeVisible()
  expect(await shop.status(first.invoice)).toBe('Sent')
  expect(await shop.status(second.invoice)).toBe('Shipped')
  expect(await shop.count(`payments where invoice_id = '${first.invoice}'`)).toBe(0)
  expect(await shop.count(`payments where invoice_id = '${second.invoice}'`)).toBe(1)
  await dialog.getByRole('button', { name: 'Close' }).last().click()
  await expect(page.getByRole('cell', { name: 'Undo by rpc' })).toBeVisible()
})

test('a sweep is started, and its run and amount are shown', async ({ page, shop }) => {
  await shop.sale('INV-1', 'paid', 250)

  await page.goto('/runs')
  await expect(page.getByText('Nothing has run yet')).toBeVisible()
  await page.getByRole('button', { name: 'Sweep now' }).click()

  await expect(toast(page, 'Swept')).toBeVisible()
  await expect(page.getByRole('cell', { name: 'Sweep by rpc' })).toBeVisible()
  await expect(page.getByRole('region', { name: 'Payments recorded' })).toContainText('US$250.00')
  expect(await shop.count("invoices where invoice_status = 'Paid'")).toBe(1)
})

/** The page without a mouse. */

import { expect, tabTo, test, toast } from './fixtures'

test('Sync Stripe is pressed and an issue decided with nothing but the keyboard', async ({
  page,
  shop,
}) => {
  const sale = await shop.sale('INV-1', 'paid')
  const word = await shop.invoice('INV-2')
  // So that the word Sent is in use.
  await shop.invoice('INV-3')
  await shop.database.query(
    "update invoices set invoice_status = 'Paid', amount_paid = total_amount, balance_due = 0 where id = $1",
    [word],
  )
  await shop.database.anew(`select invoice_sync.sync_invoice('${word}'::uuid)`)
  const press = (key: string) => page.keyboard.press(key)
  const dialog = page.getByRole('dialog')

  await page.goto('/')
  await tabTo(page, page.getByRole('link', { name: 'INV-1' }))
  await press('Enter')
  await tabTo(page, page.getByRole('button', { name: 'Sync Stripe' }))
  await press('Enter')
  await expect(toast(page, 'INV-1 is repaired')).toBeVisible()
  expect(await shop.status(sale.invoice)).toBe('Paid')

  await tabTo(page, page.getByRole('navigation').getByRole('link', { name: 'Open issues' }))
  await press('Enter')
  await tabTo(page, page.getByRole('button', { name: 'Decide' }))
  await press('Enter')
  await tabTo(page, dialog.getByRole('radio').first())
  await press('Space')
  await press('ArrowDown')
  await expect(dialog.getByRole('radio', { name: 'Revert to unpaid' })).toBeChecked()
  await tabTo(page, dialog.getByRole('combobox', { name: 'New status' }))
  await page.keyboard.type('Sen')
  await expect(page.getByRole('option', { name: 'Sent' })).toBeVisible()
  await press('ArrowDown')
  await press('Enter')
  await tabTo(page, dialog.getByRole('button', { name: 'Preview' }))
  await press('Enter')
  await expect(dialog.getByRole('row', { name: 'Status Paid Sent' })).toBeVisible()
  await tabTo(page, dialog.getByRole('button', { name: 'Back' }))
  await press('Enter')
  await expect(dialog.getByRole('combobox', { name: 'New status' })).toHaveValue('Sent')
  await tabTo(page, dialog.getByRole('button', { name: 'Preview' }))
  await press('Enter')
  await tabTo(page, dialog.getByRole('button', { name: 'Confirm' }))
  await press('Enter')

  await expect(toast(page, 'Resolved')).toBeVisible()
  await expect(dialog).toHaveCount(0)
  expect(await shop.status(word)).toBe('Sent')
  expect(await shop.count('invoice_sync.open_issues')).toBe(0)
})

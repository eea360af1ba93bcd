/** Several Stripe accounts. */

import { expect, test } from './fixtures'

const NAME = 'insert into invoice_sync.stripe_account (account) values ($1)'

test('which Stripe account something concerns is shown where there are several', async ({
  page,
  shop,
}) => {
  await shop.alter(
    `alter table invoices add account text;
     update invoice_sync.settings set invoice_account_column = 'account'`,
  )
  const sale = await shop.sale('INV-1', 'paid')
  await shop.database.query("update invoices set account = 'acct_revoked'")
  await shop.invoice('INV-2')
  await shop.database.query(
    "update invoices set account = 'acct_revoked', invoice_status = 'Paid' where invoice_number = 'INV-2'",
  )
  await shop.database.query(NAME, ['acct_revoked'])
  await shop.sweep()
  await shop.database.query(NAME, ['acct_new'])

  await page.goto(`/invoices/${sale.invoice}`)
  await expect(page.getByRole('main')).toContainText('Stripe accountacct_revoked')
  await page.getByRole('button', { name: 'Why?' }).click()
  await expect(page.getByRole('region', { name: 'Why?' })).toContainText('acct_revoked')

  await page.goto('/issues')
  const issue = (about: string) => page.getByRole('article').filter({ hasText: about })
  await expect(issue('cannot be asked')).toContainText('Stripe account acct_revoked')
  await expect(issue('INV-2')).toContainText('Stripe account acct_revoked')

  await page.goto('/doctor')
  const accounts = page.getByRole('region', { name: 'Stripe accounts' }).getByRole('article')
  await expect(accounts).toHaveCount(2)
  await expect(accounts.first()).toContainText('Cannot be asked: acct_revoked')
  await expect(accounts.last()).toContainText('acct_new: no webhook yet, feed not read yet')
})

test('nothing of accounts is shown where there is one', async ({ page, shop }) => {
  const invoice = await shop.invoice('INV-1')
  await shop.database.query("update invoices set invoice_status = 'Paid'")
  await shop.sweep()

  for (const path of [`/invoices/${invoice}`, '/issues']) {
    const answered = page.waitForResponse((answer) => answer.url().includes('/account_health'))
    await page.goto(path)
    await answered
    await expect(page.getByRole('article')).toContainText('Paid without payment')
    await expect(page.getByRole('main')).not.toContainText('Stripe account')
  }
  await page.goto('/doctor')
  await expect(page.getByRole('region', { name: 'Passed checks' })).toBeVisible()
  await expect(page.getByRole('region', { name: 'Stripe accounts' })).toBeHidden()
})

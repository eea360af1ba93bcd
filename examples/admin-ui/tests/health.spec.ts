/** Webhooks and the doctor. */

import { expect, test } from './fixtures'

test('webhooks that work again are reported as working, whatever was lost before', async ({
  page,
  shop,
}) => {
  await shop.sale('INV-1', 'paid')
  await shop.sweep()
  expect(await shop.count('invoice_sync.event where webhook_at is null')).toBeGreaterThan(0)

  await page.goto('/webhooks')
  await expect(page.getByRole('alert')).toContainText('No webhook was received')
  await shop.database.query(
    "update invoice_sync.event set created = created - interval '2 days', received_at = received_at - interval '2 days'",
  )
  await page.reload()
  await expect(page.getByRole('alert')).toContainText('Nothing happened at Stripe')

  await shop.sale('INV-2', 'paid')
  await shop.sweep()
  const recent = "invoice_sync.event where created > now() - interval '1 day'"
  await shop.database.query(
    "update invoice_sync.event set webhook_at = now() where created > now() - interval '1 day'",
  )
  await page.reload()
  await expect(page.getByRole('alert')).toContainText('Webhooks work')
  await expect(page.getByRole('alert')).toContainText(`${await shop.count(recent)} events`)
})

test('the doctor tells first what is wrong, and what to do about it helps', async ({
  page,
  shop,
}) => {
  const wrong = page.getByRole('region', { name: 'Failed checks' })
  const inOrder = page.getByRole('region', { name: 'In order' })
  const answered = page.waitForResponse((answer) => answer.url().endsWith('/rpc/doctor'))

  await page.goto('/doctor')
  const checks = (await (await answered).json()) as { ok: boolean }[]
  const indexes = wrong.getByRole('article', { name: 'Indexes' })
  await expect(indexes).toContainText('missing')
  await expect(wrong.getByRole('article')).toHaveCount(checks.filter(({ ok }) => !ok).length)
  await expect(inOrder.getByRole('article')).toHaveCount(checks.filter(({ ok }) => ok).length)
  const remedy = (await indexes.locator('pre').textContent()) ?? ''
  for (const statement of remedy.split('\n')) await shop.database.query(statement)

  await page.getByRole('button', { name: 'Check again' }).click()

  await expect(inOrder.getByRole('article', { name: 'Indexes' })).toBeVisible()
  expect(await shop.count('invoice_sync.missing_indexes()')).toBe(0)
})

/** Who may see and do what. */

import type { Page } from '@playwright/test'
import { type Claims, signToken } from '../demo/auth'
import { COLLEAGUE, comeBack, expect, STRANGER, test } from './fixtures'
import { JWT_SECRET } from './harness/gateway'
import type { Sale, Shop } from './harness/shop'

const refusal = (page: Page) => page.getByRole('heading', { name: 'You are not an admin' })

/** Presses the button without the page: whoever knows the address can. */
async function syncWithout(shop: Shop, page: Page, claims: Claims, sale: Sale) {
  const answer = await page.request.post(`${shop.url}/rest/v1/rpc/sync_invoice`, {
    headers: {
      Authorization: `Bearer ${await signToken(claims, JWT_SECRET)}`,
      'Content-Profile': 'invoice_sync',
    },
    data: { invoice_id: sale.invoice },
  })
  return { status: answer.status(), code: ((await answer.json()) as { code: string }).code }
}

test.describe('a colleague, who is signed in and no admin,', () => {
  test.use({ person: COLLEAGUE })

  test('sees why, sees no data and can do nothing', async ({ page, shop }) => {
    const sale = await shop.sale('INV-1', 'paid')
    const asked = page.waitForResponse((answer) => answer.url().includes('/rest/v1/settings'))

    await page.goto(`/invoices/${sale.invoice}`)

    const answer = await asked
    expect(answer.status()).toBe(403)
    expect(((await answer.json()) as { code: string }).code).toBe('42501')
    await expect(refusal(page)).toBeVisible()
    await expect(page.getByRole('link')).toHaveCount(0)
    await expect(page.getByRole('table')).toHaveCount(0)
    await expect(page.getByRole('button', { name: 'Sync Stripe' })).toHaveCount(0)
    expect(await syncWithout(shop, page, COLLEAGUE as Claims, sale)).toEqual({
      status: 403,
      code: '42501',
    })
    expect(await shop.status(sale.invoice)).toBe('Sent')
    expect(await shop.count('payments')).toBe(0)
    expect(await shop.count('invoice_sync.run')).toBe(0)
    expect(await shop.stripe.requestsFor(sale.session)).toEqual([])
  })

  test('sees the page once made an admin', async ({ page, shop }) => {
    await shop.invoice('INV-1')
    await page.goto('/invoices')
    await expect(refusal(page)).toBeVisible()
    await shop.database.query(
      `create function everybody() returns boolean language sql as 'select true';
       update invoice_sync.settings set rpc_admin_check = 'public.everybody'`,
    )

    await page.getByRole('button', { name: 'Check again' }).click()

    await expect(page.getByRole('link', { name: 'INV-1' })).toBeVisible()
    expect(await shop.count('invoices')).toBe(1)
  })
})

test.describe('a stranger, whose token is that of anon,', () => {
  test.use({ person: STRANGER })

  test('sees nothing and can do nothing', async ({ page, shop }) => {
    const sale = await shop.sale('INV-1', 'paid')

    await page.goto('/invoices')
    await expect(refusal(page)).toBeVisible()
    await page.goto(`/invoices/${sale.invoice}`)
    await expect(refusal(page)).toBeVisible()
    await expect(page.getByText('INV-1')).toHaveCount(0)

    expect((await syncWithout(shop, page, STRANGER, sale)).code).toBe('42501')
    expect(await shop.count('payments')).toBe(0)
    expect(await shop.count('invoice_sync.run')).toBe(0)
  })
})

test('a caller who is no longer an admin sees it at the next request', async ({ page, shop }) => {
  const sale = await shop.sale('INV-1', 'paid')
  await page.goto(`/invoices/${sale.invoice}`)
  await expect(page.getByRole('button', { name: 'Sync Stripe' })).toBeVisible()
  await shop.database.query(
    `create function nobody() returns boolean language sql as 'select false';
     update invoice_sync.settings set rpc_admin_check = 'public.nobody'`,
  )

  await comeBack(page)

  await expect(refusal(page)).toBeVisible()
  await expect(page.getByText(sale.session)).toHaveCount(0)
  expect(await shop.count('payments')).toBe(0)
})

test('the page says what it may load, and breaks none of it', async ({ page, shop }) => {
  await shop.invoice('INV-1')
  const violations: string[] = []
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) violations.push(message.text())
  })
  const answer = await page.goto('/')
  await expect(page.getByRole('link', { name: 'INV-1' })).toBeVisible()
  expect(answer?.headers()['content-security-policy']).toContain("frame-ancestors 'none'")
  const inHead = page.locator('meta[http-equiv="Content-Security-Policy"]')
  await expect(inHead).toHaveAttribute('content', /default-src 'none'; script-src 'self';/)
  expect(violations).toEqual([])
})

test('a made-up refresh token gives no session', async ({ page, request }) => {
  await page.goto('/')
  const answer = await request.post(new URL('/auth/v1/token', page.url()).href, {
    data: { refresh_token: 'admin@example.com' },
  })
  expect(answer.status()).toBe(400)
})

test.describe('whoever is not signed in', () => {
  test.use({ person: null })

  test('signs in, and what they have seen is gone once they sign out', async ({ page, shop }) => {
    const sale = await shop.sale('INV-1', 'paid')
    await page.goto(`/invoices/${sale.invoice}`)
    await page.getByLabel('Password').and(page.getByRole('textbox')).fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByRole('alert')).toHaveText('Invalid login credentials')
    await page.getByLabel('Password').and(page.getByRole('textbox')).fill('demo')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByText(sale.session)).toBeVisible()

    await page.getByRole('button', { name: 'Sign out' }).click()
    await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible()
    await page.getByLabel('E-mail').fill('colleague@example.com')
    await page.getByRole('button', { name: 'Sign in' }).click()

    await expect(refusal(page)).toBeVisible()
    await expect(page.getByText(sale.session)).toHaveCount(0)
    expect(await shop.count('payments')).toBe(0)
  })

  test('and becomes another person sees what that one may', async ({ page, shop }) => {
    await shop.invoice('INV-1')
    await page.goto('/')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByRole('link', { name: 'INV-1' })).toBeVisible()

    await page.getByRole('button', { name: 'Demo' }).click()
    await page.getByRole('menuitem', { name: 'Colleague' }).click()
    await expect(refusal(page)).toBeVisible()
    await expect(page.getByText('INV-1')).toHaveCount(0)

    await page.getByRole('button', { name: 'Demo' }).click()
    await page.getByRole('menuitem', { name: /^Admin/ }).click()
    await expect(page.getByRole('link', { name: 'INV-1' })).toBeVisible()
    expect(await shop.count('invoice_sync.run')).toBe(0)
  })
})

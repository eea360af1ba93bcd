/** Each test has a shop of its own, and a page that somebody looks at who is signed in there. */

import { test as base, expect, type Locator, type Page } from '@playwright/test'
import { type Claims, claimsOf, sessionOf } from '../demo/auth'
import { JWT_SECRET } from './harness/gateway'
import { Shop } from './harness/shop'

export const ADMIN = claimsOf('admin@example.com')
export const COLLEAGUE = claimsOf('colleague@example.com')
/** Somebody with a token of the role that those have who are not signed in. */
export const STRANGER: Claims = { role: 'anon', email: 'stranger@example.com' }

interface Fixtures {
  /** Who looks; null: nobody is signed in. */
  person: Claims | null | undefined
  shop: Shop
  /** What the page itself complained of; nothing may be there at the end. */
  complaints: string[]
}

let shops = 0

export const test = base.extend<Fixtures>({
  person: [ADMIN, { option: true }],
  shop: async ({}, use, info) => {
    shops += 1
    const shop = await Shop.open(`ui_${info.parallelIndex}_${shops}`)
    await use(shop)
    await shop.close()
  },
  baseURL: ({ shop }, use) => use(shop.url),
  storageState: async ({ shop, person }, use) => {
    if (!person) return use({ cookies: [], origins: [] })
    const session = JSON.stringify(await sessionOf(person, JWT_SECRET))
    // Where supabase-js looks for it.
    const localStorage = [{ name: 'sb-127-auth-token', value: session }]
    return use({ cookies: [], origins: [{ origin: shop.url, localStorage }] })
  },
  complaints: [
    async ({ page }, use) => {
      const complaints: string[] = []
      page.on('pageerror', (error) => complaints.push(error.message))
      await use(complaints)
      expect(complaints).toEqual([])
    },
    { auto: true },
  ],
})

export { expect }

/** The toast that says so. */
export const toast = (page: Page, title: string) =>
  page.getByRole('alert').filter({ hasText: title })

/** Presses Tab until the element has the focus. */
export async function tabTo(page: Page, element: Locator) {
  await expect(element).toBeVisible()
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab')
    if (await element.evaluate((it) => it === document.activeElement)) return
  }
  throw new Error(`Tab does not lead to ${element}`)
}

/** What stands between the page and the database answers with a page of its own. */
export const putProxyError = (page: Page, path: string) =>
  page.route(`**/rest/v1/${path}*`, (route) =>
    route.fulfill({
      status: 502,
      contentType: 'text/html',
      body: '<html><body><h1>502 Bad Gateway</h1></body></html>',
    }),
  )

/** As when somebody comes back to the page: what is shown is read again. */
export const comeBack = (page: Page) =>
  page.evaluate(() => {
    window.dispatchEvent(new Event('visibilitychange'))
  })

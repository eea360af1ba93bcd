/** Each test has a shop of its own, and a page that looks at it. */

import { test as base, expect, type Page } from '@playwright/test'
import { Shop } from './harness/shop'

interface Fixtures {
  shop: Shop
  /** What the page itself complained of; nothing may be there at the end. */
  complaints: string[]
}

let shops = 0

export const test = base.extend<Fixtures>({
  shop: async ({}, use, info) => {
    shops += 1
    const shop = await Shop.open(`ui_${info.parallelIndex}_${shops}`)
    await use(shop)
    await shop.close()
  },
  baseURL: ({ shop }, use) => use(shop.url),
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

/** Looks at the page as the role that the token of the demonstration's server says. */
export async function lookAs(page: Page, role: string) {
  await page.addInitScript((name) => localStorage.setItem('demo-visitor', name), role)
}

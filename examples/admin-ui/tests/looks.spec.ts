/**
 * Every screen, in light and dark, at a desk's width and a phone's: axe finds nothing serious, and a
 * picture is taken. With SCREENSHOTS=directory the pictures go there.
 */

import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, test } from './fixtures'
import type { Shop } from './harness/shop'
import { REPOSITORY } from './harness/surroundings'

/** The demonstration's shop, after its first sweep. */
async function fill(shop: Shop) {
  const demo = join(REPOSITORY, 'examples/demo')
  await shop.database.query('begin')
  await shop.database.run(join(demo, 'data.sql'))
  await shop.database.query('commit')
  const { rows } = await shop.database.run(join(demo, 'stripe.sql'))
  await shop.stripe.post('checkouts', rows[0].json_agg)
  await shop.sweep()
}

const SCREENS: { name: string; open: (page: Page, shop: Shop) => Promise<void> }[] = [
  {
    name: 'invoices',
    open: async (page) => {
      await page.goto('/invoices')
      await expect(page.getByRole('link', { name: 'INV-1300' })).toBeVisible()
    },
  },
  {
    name: 'invoice',
    open: async (page, shop) => {
      await page.goto(`/invoices/${await idOf(shop, 'disputed')}`)
      await expect(
        page.getByRole('region', { name: 'History' }).getByRole('table').first(),
      ).toBeVisible()
      await expect(page.getByText('The customer disputes')).toBeVisible()
    },
  },
  {
    name: 'issues',
    open: async (page) => {
      await page.goto('/issues')
      await expect(page.getByRole('article').first()).toBeVisible()
    },
  },
  {
    name: 'decision',
    open: async (page, shop) => {
      await page.goto(`/invoices/${await idOf(shop, 'paid by word')}`)
      await page.getByRole('button', { name: 'Decide' }).click()
      await page.getByRole('radio', { name: 'Revert to unpaid' }).check()
      await page.getByLabel('New status').fill('Sent')
      await page.getByRole('button', { name: 'Preview' }).click()
      await expect(page.getByRole('button', { name: 'Confirm' })).toBeVisible()
    },
  },
  {
    name: 'runs',
    open: async (page) => {
      await page.goto('/runs')
      await expect(page.getByRole('button', { name: 'Undo run 1 …' })).toBeVisible()
      await expect(page.getByText('KWD')).toBeVisible()
    },
  },
  {
    name: 'undo',
    open: async (page) => {
      await page.goto('/runs')
      await page.getByRole('button', { name: 'Undo run 1 …' }).click()
      await expect(page.getByRole('button', { name: 'Put back' })).toBeVisible()
    },
  },
  {
    name: 'webhooks',
    open: async (page) => {
      await page.goto('/webhooks')
      await expect(page.getByText('No webhook has come')).toBeVisible()
      await expect(
        page.locator('.recharts-rectangle').filter({ visible: true }).first(),
      ).toBeVisible()
    },
  },
]

test('every screen can be read by everybody, in light and dark, on a desk and a phone', async ({
  page,
  shop,
}) => {
  test.setTimeout(600_000)
  await fill(shop)
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const viewport of [DESK, PHONE]) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize(viewport)
      for (const screen of SCREENS) {
        const name = `${screen.name}-${viewport.width}-${colorScheme}`
        await test.step(name, async () => {
          await screen.open(page, shop)
          await take(page, name)
          expect.soft(await complaints(page), name).toEqual([])
          expect.soft(await widthOf(page), `${name} does not scroll sideways`).toBe(viewport.width)
        })
      }
    }
  }
})

const DESK = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 844 }

async function take(page: Page, name: string) {
  const directory = process.env.SCREENSHOTS ?? test.info().outputPath('pictures')
  // Charts and windows come in with a movement.
  await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished)))
  await page.screenshot({ path: join(directory, `${name}.png`), animations: 'disabled' })
}

/** What axe calls serious or critical, each with the elements that it is about. */
async function complaints(page: Page) {
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => ({ id, at: nodes.map((node) => node.failureSummary ?? node.html) }))
}

const widthOf = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth)

/** The demonstration names its invoices by their tales. */
const idOf = (shop: Shop, tale: string) =>
  shop.database.value("select md5('invoice ' || $1)::uuid", [tale])

/**
 * Every screen, in light and dark, at a desktop's width and a phone's: axe finds nothing serious, nothing
 * scrolls sideways, and a picture is taken. With SCREENSHOTS=directory the pictures go there.
 */

import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, test, toast } from './fixtures'
import type { Shop } from './harness/shop'
import { idOf, tell } from './harness/story'

interface Screen {
  name: string
  open: (page: Page, shop: Shop) => Promise<void>
  /** Which pictures: all, those in light on a desktop and in dark on a phone, or none. */
  kept?: 'some' | 'none'
}

const charts = (page: Page) => page.locator('.recharts-rectangle').filter({ visible: true })

async function openDecision(page: Page, shop: Shop) {
  await page.goto(`/invoices/${await idOf(shop, 'paid by word')}`)
  await page.getByRole('button', { name: 'Decide' }).click()
  await page.getByRole('radio', { name: 'Revert to unpaid' }).check()
  await page.getByRole('combobox', { name: 'New status' }).fill('Sent')
  await page.keyboard.press('Escape')
  await page.getByLabel('Note').fill('The bank has no such transfer')
}

const SCREENS: Screen[] = [
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
      await page.goto(`/invoices/${await idOf(shop, 'partly refunded')}`)
      await expect(
        page.getByRole('region', { name: 'History' }).getByRole('table').first(),
      ).toBeVisible()
      await expect(page.getByRole('article').getByText('Partially refunded')).toBeVisible()
    },
  },
  {
    name: 'why',
    open: async (page, shop) => {
      await page.goto(`/invoices/${await idOf(shop, 'partly refunded')}`)
      await page.getByRole('button', { name: 'Why?' }).click()
      await expect(page.getByRole('article', { name: 'decision' })).toBeVisible()
    },
    kept: 'none',
  },
  {
    name: 'issues',
    open: async (page) => {
      await page.goto('/issues')
      await expect(page.getByRole('article').first()).toBeVisible()
    },
  },
  { name: 'decision', open: openDecision, kept: 'some' },
  {
    name: 'preview',
    open: async (page, shop) => {
      await openDecision(page, shop)
      await page.getByRole('button', { name: 'Preview' }).click()
      await expect(page.getByRole('button', { name: 'Confirm' })).toBeVisible()
    },
  },
  {
    name: 'runs',
    open: async (page) => {
      await page.goto('/runs')
      await expect(page.getByRole('tab', { name: 'KWD' })).toBeVisible()
      await expect(charts(page).first()).toBeVisible()
    },
  },
  {
    name: 'undo',
    open: async (page) => {
      await page.goto('/runs?page=2')
      await page.getByRole('button', { name: 'Undo run 1 …' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'INV-' }).first().click()
      await expect(page.getByRole('dialog').getByRole('table').first()).toBeVisible()
    },
  },
  {
    name: 'webhooks',
    open: async (page) => {
      await page.goto('/webhooks')
      await expect(page.getByText('In the last 24 hours')).toBeVisible()
      await expect(charts(page).first()).toBeVisible()
    },
  },
  {
    name: 'doctor',
    open: async (page) => {
      await page.goto('/doctor')
      await expect(page.getByText('Passed:').first()).toBeAttached()
    },
    kept: 'some',
  },
]

const MENU: Screen = {
  name: 'menu',
  open: async (page) => {
    await page.goto('/invoices')
    await page.getByRole('button', { name: 'Navigation' }).click()
    await expect(page.getByRole('link', { name: 'Doctor' })).toBeVisible()
  },
  kept: 'some',
}

const DESKTOP = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 844 }

const COLOURS = ['light', 'dark'] as const

/** Looks at the screens in both colours, at these sizes. */
async function lookAt(page: Page, shop: Shop, screens: Screen[], viewports = [DESKTOP, PHONE]) {
  test.setTimeout(900_000)
  for (const viewport of viewports) {
    for (const screen of screens) {
      await page.setViewportSize(viewport)
      await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
      await screen.open(page, shop)
      for (const colorScheme of COLOURS) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        await settle(page, colorScheme)
        await lookOnce(page, screen, `${screen.name}-${viewport.width}-${colorScheme}`)
      }
    }
  }
}

/** Waits until the page has these colours, and no colour is on its way to another. */
async function settle(page: Page, colorScheme: string) {
  await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', colorScheme)
  await page.evaluate(async () => {
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))
    const ends = (it: Animation) => it.effect?.getComputedTiming().endTime !== Infinity
    await Promise.allSettled(
      document
        .getAnimations()
        .filter(ends)
        .map((it) => it.finished),
    )
  })
}

const lookOnce = (page: Page, { kept }: Screen, picture: string) =>
  test.step(picture, async () => {
    expect.soft(await complaints(page), picture).toEqual([])
    const { width } = page.viewportSize() ?? DESKTOP
    expect.soft(await widthOf(page), `${picture} scrolls sideways`).toBe(width)
    await take(page, picture, kept === undefined || (kept === 'some' && SOME.test(picture)))
  })

const SOME = /1280-light|390-dark/

for (const viewport of [DESKTOP, PHONE]) {
  test(`every screen can be read by everybody, ${viewport.width} wide`, async ({ page, shop }) => {
    await tell(shop)
    const runs = await shop.count('invoice_sync.run')
    const screens = viewport === PHONE ? [...SCREENS, MENU] : SCREENS
    await lookAt(page, shop, screens, [viewport])
    expect(await shop.count('invoice_sync.run'), 'looking changes nothing').toBe(runs)
  })
}

test('what a toast says can be read by everybody', async ({ page, shop }) => {
  let sales = 0
  await lookAt(page, shop, [
    {
      name: 'toast',
      kept: 'some',
      open: async () => {
        sales += 1
        const sale = await shop.sale(`INV-${1000 + sales}`, 'paid')
        await page.goto(`/invoices/${sale.invoice}`)
        await page.getByRole('button', { name: 'Sync Stripe' }).click()
        await expect(toast(page, 'is repaired')).toBeVisible()
        // It does not go away while the pointer is on it.
        await toast(page, 'is repaired').hover()
        await expect(page.getByRole('region', { name: 'History' }).getByRole('table')).toHaveCount(
          2,
        )
      },
    },
  ])
  expect(await shop.count('payments')).toBe(sales)
})

test('a shop with nothing in it can be read by everybody', async ({ page, shop }) => {
  const empty = (path: string, words: string, kept: 'some' | 'none' = 'none'): Screen => ({
    name: `empty-${path}`,
    kept,
    open: async () => {
      await page.goto(`/${path}`)
      await expect(page.getByText(words)).toBeVisible()
    },
  })
  await lookAt(page, shop, [
    empty('invoices', 'No invoices yet', 'some'),
    empty('issues', 'There are no open issues'),
    empty('runs', 'No runs yet'),
    empty('webhooks', 'No events yet'),
  ])
  expect(await shop.count('invoices')).toBe(0)
})

test.describe('whoever is not let in', () => {
  test.use({ person: null })

  test('can read why', async ({ page, shop }) => {
    const signIn = async (email: string) => {
      await page.getByLabel('E-mail').fill(email)
      await page.getByRole('button', { name: 'Sign in' }).click()
    }
    await lookAt(page, shop, [
      {
        name: 'signin',
        kept: 'some',
        open: async () => {
          await page.goto('/')
          const signOut = page.getByRole('button', { name: 'Sign out' })
          await page.waitForLoadState('networkidle')
          if (await signOut.isVisible()) await signOut.click()
          await signIn('nobody@example.com')
          await expect(page.getByRole('alert')).toBeVisible()
        },
      },
      {
        name: 'refused',
        kept: 'some',
        open: async () => {
          await signIn('colleague@example.com')
          await expect(page.getByRole('heading', { name: 'You are not an admin' })).toBeVisible()
        },
      },
    ])
    expect(await shop.count('invoice_sync.run')).toBe(0)
  })
})

const SCREENSHOTS = process.env.SCREENSHOTS

/** Of all that is there, without what belongs to the demonstration only. */
async function take(page: Page, name: string, isKept: boolean) {
  const directory = isKept && SCREENSHOTS ? SCREENSHOTS : test.info().outputPath('pictures')
  await page.addStyleTag({ content: '[data-demo] { display: none }' })
  const { width, height } = page.viewportSize() ?? DESKTOP
  const needed = await page.evaluate(() => {
    const dialog = document.querySelector('[role=dialog]')
    // A dialog leaves some room above and below.
    return dialog ? Math.ceil(dialog.scrollHeight / 0.88) : document.documentElement.scrollHeight
  })
  await page.setViewportSize({ width, height: Math.max(needed, height) })
  // Charts and windows come in with a movement.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((one) => one.finished)))
  await page.screenshot({ path: join(directory, `${name}.png`), animations: 'disabled' })
}

/** What axe calls serious or critical, each with the elements that it is about. */
async function complaints(page: Page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((one) => one.finished)))
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => ({ id, at: nodes.map((node) => node.failureSummary ?? node.html) }))
}

const widthOf = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth)

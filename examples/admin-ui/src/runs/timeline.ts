/** Runs over time, as the bars of a chart. */

import type { Booked, Run } from '../api/types'
import { sum } from '../shared/decimal'

export interface Bar {
  label: string
  checked: number
  repaired: number
  booked: Booked[]
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** More bars are too thin for a phone. */
const MOST = 30

const BY_RUN = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
})
const BY_HOUR = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
})
const BY_DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })

/** A bar for each run where they are few, else for each hour or day; the oldest first. */
export function bars(newestFirst: Run[]): Bar[] {
  const runs = newestFirst.toReversed()
  if (runs.length <= MOST) return runs.map((run) => barOf(BY_RUN.format(startOf(run)), [run]))
  const first = startOf(runs[0])
  const last = startOf(runs.at(-1))
  const isShort = last.getTime() - first.getTime() <= MOST * HOUR
  const format = isShort ? BY_HOUR : BY_DAY
  const byLabel = Map.groupBy(runs, (run) => format.format(startOf(run)))
  // Also those in which nothing ran.
  const step = isShort ? HOUR : DAY
  const labels = new Set<string>()
  for (let at = first.getTime(); at < last.getTime(); at += step) labels.add(format.format(at))
  labels.add(format.format(last))
  return [...labels].map((label) => barOf(label, byLabel.get(label) ?? []))
}

const startOf = (run: Run | undefined) => new Date(run?.started_at ?? 0)

function barOf(label: string, runs: Run[]): Bar {
  return {
    label,
    checked: runs.reduce((total, run) => total + run.invoices_checked, 0),
    repaired: runs.reduce((total, run) => total + run.invoices_fixed, 0),
    booked: addUp(runs.flatMap((run) => run.booked)),
  }
}

/** One for each currency. */
export function addUp(booked: Booked[]): Booked[] {
  const byCurrency = Map.groupBy(booked, ({ currency }) => currency)
  return [...byCurrency]
    .map(([currency, own]) => ({
      currency,
      payments: own.reduce((total, { payments }) => total + payments, 0),
      amount: sum(own.map(({ amount }) => amount)),
    }))
    .sort((one, other) => other.payments - one.payments)
}

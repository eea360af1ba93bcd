/** Amounts, dates and words as people write them. */

import type { Settings } from '../api/types'

/** Currencies that Stripe counts in hundredths although ISO 4217 gives them no decimals. */
const HUNDREDTHS_AT_STRIPE = ['ISK', 'UGX']

export function money(
  amount: number | null,
  currency: string,
  unit: Settings['amount_unit'],
): string {
  if (amount === null) return '–'
  const code = currency.toUpperCase()
  const format = new Intl.NumberFormat(undefined, { style: 'currency', currency: code })
  return format.format(amount / smallestUnits(code, unit, format))
}

/** How many of what is counted make one of the currency. */
function smallestUnits(code: string, unit: Settings['amount_unit'], format: Intl.NumberFormat) {
  if (unit === 'major') return 1
  if (unit === 'stripe' && HUNDREDTHS_AT_STRIPE.includes(code)) return 100
  return 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2)
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const DAY_WITHOUT_ZONE = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium',
  timeZone: 'UTC',
})
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** A date, or the day of a moment. */
export function day(value: string | null): string {
  if (!value) return '–'
  const format = value.length === 10 ? DAY_WITHOUT_ZONE : DAY
  return format.format(new Date(value))
}

export const moment = (value: string | null) => (value ? MOMENT.format(new Date(value)) : '–')

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

/** "5 minutes ago". */
export function ago(value: string, now = Date.now()): string {
  const seconds = (new Date(value).getTime() - now) / 1000
  const step = STEPS.find(([, length]) => Math.abs(seconds) >= length)
  return step ? RELATIVE.format(Math.round(seconds / step[1]), step[0]) : 'just now'
}

/** PostgreSQL's interval `00:00:05.473527` as "5.5 s". */
export function duration(value: string | null): string {
  if (!value) return '–'
  const clock = /^(\d+):(\d+):([\d.]+)$/.exec(value)
  if (!clock) return value
  const seconds = Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3])
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  return seconds < 3600
    ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
    : `${(seconds / 3600).toFixed(1)} h`
}

/** `paid_without_payment` as "Paid without payment". */
export function words(name: string): string {
  const spaced = name.replaceAll('_', ' ')
  return spaced.charAt(0).toUpperCase() + spaced.slice(1)
}

export const count = (number: number, one: string, many = `${one}s`) =>
  `${number.toLocaleString()} ${number === 1 ? one : many}`

/** Amounts, dates and words as people write them. Nothing here fails, whatever a database holds. */

import type { Currency, Settings } from '../api/types'
import { fraction, isDecimal, movePoint } from './decimal'

/** What has to be known to write amounts. */
export interface Units {
  settings: Pick<Settings, 'amount_unit'>
  currencies: Currency[]
}

/** An amount of the application's own tables. */
export function money(amount: string | null, currency: string, units: Units): string {
  if (amount === null) return '–'
  if (!isDecimal(amount)) return `${amount} ${currency}`
  const { iso_digits, stripe_digits } = digitsOf(currency, units.currencies)
  const places = { major: 0, minor: iso_digits, stripe: stripe_digits }
  return inMajorUnits(movePoint(amount, places[units.settings.amount_unit]), currency, units)
}

/** An amount in major units. */
export function inMajorUnits(amount: string, currency: string, units: Units): string {
  const needed = fraction(amount).replace(/0+$/, '').length
  const { iso_digits } = digitsOf(currency, units.currencies)
  const digits = {
    minimumFractionDigits: iso_digits,
    maximumFractionDigits: Math.min(20, Math.max(iso_digits, needed)),
  }
  // As text it is written with all its digits.
  const exact = amount as Intl.StringNumericLiteral
  if (/^[A-Za-z]{3}$/.test(currency)) {
    const style = { style: 'currency', currency: currency.toUpperCase() } as const
    return new Intl.NumberFormat(undefined, { ...style, ...digits }).format(exact)
  }
  const plain = new Intl.NumberFormat(undefined, digits).format(exact)
  return `${plain} ${currency}`.trim()
}

const USUAL = { iso_digits: 2, stripe_digits: 2 }

const digitsOf = (currency: string, currencies: Currency[]) =>
  currencies.find((known) => known.currency === currency.toLowerCase()) ?? USUAL

// ---------------------------------------------------------------------- dates

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const DAY_WITHOUT_ZONE = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium',
  timeZone: 'UTC',
})
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** As it is where it is no date of this calendar: PostgreSQL has infinity, and years BC. */
function written(format: Intl.DateTimeFormat, value: string): string {
  const date = new Date(value)
  return Number.isNaN(date.getTime()) ? value : format.format(date)
}

/** A date, or the day of a moment. */
export function day(value: string | null): string {
  if (!value) return '–'
  return written(value.length === 10 ? DAY_WITHOUT_ZONE : DAY, value)
}

export const moment = (value: string | null) => (value ? written(MOMENT, value) : '–')

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

/** "5 minutes ago", "in 5 minutes". */
export function ago(value: string, now = Date.now()): string {
  const seconds = (new Date(value).getTime() - now) / 1000
  if (Number.isNaN(seconds)) return value
  const step = STEPS.find(([, length]) => Math.abs(seconds) >= length)
  if (step) return RELATIVE.format(Math.round(seconds / step[1]), step[0])
  return seconds > 0 ? 'in a moment' : 'just now'
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

// ---------------------------------------------------------------------- words

/** `paid_without_payment` as "Paid without payment". */
export function words(name: string): string {
  const spaced = name.replaceAll('_', ' ')
  return spaced.charAt(0).toUpperCase() + spaced.slice(1)
}

export const count = (number: number, one: string, many = `${one}s`) =>
  `${number.toLocaleString()} ${number === 1 ? one : many}`

/** The columns of the application's tables, and their names as PostgREST wants them. */

import { config } from '../config'
import type { Settings } from './types'

export const invoiceColumns = (settings: Settings) => ({
  id: settings.invoice_id_column,
  number: settings.invoice_number_column,
  customer: config.customerColumn,
  date: config.dateColumn,
  status: settings.invoice_status_column,
  currency: settings.invoice_currency_column,
  total: settings.invoice_total_column,
  paid: settings.invoice_amount_paid_column,
  balance: settings.invoice_balance_column,
  paidAt: settings.invoice_paid_at_column,
  session: settings.invoice_session_column,
  intent: settings.invoice_intent_column,
  account: settings.invoice_account_column,
})

export const paymentColumns = (settings: Settings) => ({
  id: settings.payment_id_column,
  status: settings.payment_status_column,
  amount: settings.payment_amount_column,
  gratuity: settings.payment_gratuity_column,
  date: settings.payment_date_column,
  session: settings.payment_session_column,
  intent: settings.payment_intent_column,
})

export const stripeColumns = (settings: Settings) =>
  present([settings.invoice_session_column, settings.invoice_intent_column])

/** What people search by, the invoice's number first. */
export const searchColumns = (settings: Settings) =>
  present([settings.invoice_number_column, config.customerColumn, ...stripeColumns(settings)])

const present = (columns: (string | null)[]) => columns.filter((column) => column !== null)

/** `schema.table`, each part in double quotes or not, as its parts. */
export function partsOf(table: string): string[] {
  const parts = table.match(/"(?:[^"]|"")*"|[^.]+/g) ?? [table]
  return parts.map((part) => part.replace(/^"|"$/g, '').replaceAll('""', '"'))
}

/** In quotes where it has characters that would be syntax. */
export const quoted = (column: string) =>
  /^[\p{L}\p{N}_$][\p{L}\p{N}_$-]*$/u.test(column)
    ? column
    : `"${column.replace(/["\\]/g, '\\$&')}"`

/** Numbers that a float may not hold come as text. */
const AS_TEXT = ['id', 'number', 'total', 'paid', 'balance', 'amount', 'gratuity']

/** `alias:column` for each column that there is. */
export const selection = (columns: Record<string, string | null>) =>
  Object.entries(columns)
    .filter(([, column]) => column !== null)
    .map(([alias, column]) => {
      const cast = AS_TEXT.includes(alias) ? '::text' : ''
      return `${alias}:${quoted(String(column))}${cast}`
    })
    .join(',')

export const anyOf = (columns: string[], condition: string) =>
  columns.map((column) => `${quoted(column)}.${condition}`).join(',')

/** In quotes, so that commas and brackets are no syntax; what would end them is any one character. */
export const containing = (search: string) => `ilike."*${search.replace(/["\\]/g, '_')}*"`

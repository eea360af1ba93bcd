/** What the columns of the application's tables mean, in words for people. */

import { invoiceColumns, partsOf, paymentColumns } from '../api/columns'
import type { Settings } from '../api/types'

export interface Meaning {
  label: string
  isAmount: boolean
  /** What is known comes first, in this order. */
  rank: number
}

const INVOICE = {
  status: 'Status',
  total: 'Total',
  paid: 'Paid',
  balance: 'Due',
  paidAt: 'Paid on',
  number: 'Number',
  customer: 'Customer',
  date: 'Date',
  currency: 'Currency',
  session: 'Checkout session',
  intent: 'Payment intent',
  id: 'Id',
}

const PAYMENT = {
  status: 'Status',
  amount: 'Amount',
  gratuity: 'Gratuity',
  refunded: 'Refunded',
  date: 'Date',
  session: 'Checkout session',
  intent: 'Payment intent',
  invoice: 'Invoice',
  id: 'Id',
}

const AMOUNTS = ['total', 'paid', 'balance', 'amount', 'gratuity', 'refunded']

const UNKNOWN = 100

/** "invoice" or "payment"; the table's name where the settings name others now. */
export function thingIn(table: string, settings: Settings): string {
  if (isSame(table, settings.invoices_table)) return 'invoice'
  if (isSame(table, settings.payments_table)) return 'payment'
  return table
}

export function meaningOf(table: string, column: string, settings: Settings): Meaning {
  const [columns, labels] = isSame(table, settings.invoices_table)
    ? [invoiceColumns(settings), INVOICE]
    : [allPaymentColumns(settings), PAYMENT]
  const names = Object.keys(labels)
  const name = names.find((known) => (columns as Record<string, string | null>)[known] === column)
  if (name === undefined) return { label: column, isAmount: false, rank: UNKNOWN }
  return {
    label: (labels as Record<string, string>)[name] ?? column,
    isAmount: AMOUNTS.includes(name),
    rank: names.indexOf(name),
  }
}

const allPaymentColumns = (settings: Settings) => ({
  ...paymentColumns(settings),
  refunded: settings.payment_refunded_column,
  invoice: settings.payment_invoice_column,
})

const isSame = (one: string, other: string) => partsOf(one).join('.') === partsOf(other).join('.')

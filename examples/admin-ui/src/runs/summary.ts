import type { Json, RowChange, Settings } from '../api/types'
import { count } from '../shared/format'
import { thingIn } from '../shared/meanings'

/** "Paid → Sent, paid $100.00 → $0.00, 1 payment removed". */
export function summaryOf(
  changes: RowChange[],
  settings: Settings,
  money: (amount: string) => string,
): string {
  const invoice = changes.find(({ table }) => thingIn(table, settings) === 'invoice')
  const payments = changes.filter(({ table }) => thingIn(table, settings) === 'payment')
  const parts = [
    moved(invoice, settings.invoice_status_column, (word) => word),
    moved(invoice, settings.invoice_amount_paid_column, money, 'paid '),
    ...['removed', 'changed', 'inserted'].map((what) => {
      const number = payments.filter(({ action }) => DONE[action] === what).length
      return number > 0 ? `${count(number, 'payment')} ${what}` : ''
    }),
  ]
  return parts.filter((part) => part !== '').join(', ')
}

const DONE = { delete: 'removed', update: 'changed', insert: 'inserted' }

function moved(
  change: RowChange | undefined,
  column: string | null,
  written: (value: string) => string,
  lead = '',
): string {
  if (!column || !change?.before || !change.after || !(column in change.after)) return ''
  const word = (value: Json | undefined) =>
    value === null || value === undefined ? 'empty' : written(String(value))
  return `${lead}${word(change.before[column])} → ${word(change.after[column])}`
}

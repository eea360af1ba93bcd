/** Reads the application's own tables, with its own rights, by the names in the extension's settings. */

import { config } from '../config'
import { supabase } from '../supabase'
import { answered, page } from './answer'
import type { Invoice, Json, Payment, Row, Settings } from './types'

export interface InvoiceQuery {
  search: string
  status: string | null
  onlyWithStripe: boolean
  sort: keyof Invoice
  ascending: boolean
  page: number
  pageSize: number
}

export async function getInvoices(settings: Settings, query: InvoiceQuery) {
  const columns = invoiceColumns(settings)
  let request = table(settings.invoices_table).select(selection(columns), { count: 'exact' })
  if (query.status) request = request.eq(columns.status, query.status)
  if (query.onlyWithStripe) request = request.or(anyOf(stripeColumns(settings), 'not.is.null'))
  if (query.search) {
    request = request.or(anyOf(searchColumns(settings), `ilike.${containing(query.search)}`))
  }
  const sorted = columns[query.sort] ?? settings.invoice_id_column
  const first = (query.page - 1) * query.pageSize
  const { rows, total } = await page<Row>(
    request
      .order(sorted, { ascending: query.ascending, nullsFirst: false })
      .order(settings.invoice_id_column)
      .range(first, first + query.pageSize - 1),
  )
  return { invoices: rows.map((row) => asInvoice(row, settings)), total }
}

/** Null where there is none, or where the caller may not see it. */
export async function getInvoice(settings: Settings, id: string): Promise<Invoice | null> {
  const columns = invoiceColumns(settings)
  const rows = await answered<Row[]>(
    table(settings.invoices_table).select(selection(columns)).eq(columns.id, id),
  )
  return rows[0] ? asInvoice(rows[0], settings) : null
}

export async function getPayments(settings: Settings, invoice: string): Promise<Payment[]> {
  const columns = paymentColumns(settings)
  const rows = await answered<Row[]>(
    table(settings.payments_table)
      .select(selection(columns))
      .eq(settings.payment_invoice_column, invoice)
      .order(columns.date ?? columns.id),
  )
  return rows.map((row) => ({
    id: String(row.id),
    status: text(row.status),
    amount: Number(row.amount),
    gratuity: number(row.gratuity),
    date: text(row.date),
    session: text(row.session),
    intent: text(row.intent),
  }))
}

// -------------------------------------------------------------------- columns

/** `schema.table`, each part in double quotes or not. */
function table(name: string) {
  const parts = name.match(/"(?:[^"]|"")*"|[^.]+/g) ?? [name]
  const plain = parts.map((part) => part.replace(/^"|"$/g, '').replaceAll('""', '"'))
  const relation = plain.at(-1) ?? name
  return supabase.schema(plain.length > 1 ? (plain[0] ?? 'public') : 'public').from(relation)
}

const invoiceColumns = (settings: Settings) => ({
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
})

const paymentColumns = (settings: Settings) => ({
  id: settings.payment_id_column,
  status: settings.payment_status_column,
  amount: settings.payment_amount_column,
  gratuity: settings.payment_gratuity_column,
  date: settings.payment_date_column,
  session: settings.payment_session_column,
  intent: settings.payment_intent_column,
})

const stripeColumns = (settings: Settings) =>
  present([settings.invoice_session_column, settings.invoice_intent_column])

const searchColumns = (settings: Settings) =>
  present([settings.invoice_number_column, config.customerColumn, ...stripeColumns(settings)])

/** In quotes, so that commas and brackets are no syntax; what would end them is any one character. */
const containing = (search: string) => `"*${search.replace(/["\\]/g, '_')}*"`

const present = (columns: (string | null)[]) => columns.filter((column) => column !== null)

/** `alias:column` for each column that there is. */
const selection = (columns: Record<string, string | null>) =>
  Object.entries(columns)
    .filter(([, column]) => column !== null)
    .map(([alias, column]) => `${alias}:${column}`)
    .join(',')

const anyOf = (columns: string[], condition: string) =>
  columns.map((column) => `${column}.${condition}`).join(',')

function asInvoice(row: Row, settings: Settings): Invoice {
  const id = String(row.id)
  return {
    id,
    number: text(row.number) ?? id,
    customer: text(row.customer),
    date: text(row.date),
    status: String(row.status),
    currency: text(row.currency) ?? settings.default_currency,
    total: Number(row.total),
    paid: number(row.paid),
    balance: number(row.balance),
    paidAt: text(row.paidAt),
    session: text(row.session),
    intent: text(row.intent),
  }
}

const text = (value: Json | undefined) =>
  value === null || value === undefined ? null : String(value)
const number = (value: Json | undefined) =>
  value === null || value === undefined ? null : Number(value)

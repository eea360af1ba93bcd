/** Reads the application's own tables, with its own rights, by the names in the extension's settings. */

import { supabase } from '../supabase'
import { answered, page } from './answer'
import {
  anyOf,
  containing,
  invoiceColumns,
  partsOf,
  paymentColumns,
  quoted,
  searchColumns,
  selection,
  stripeColumns,
} from './columns'
import { asProblem } from './problem'
import type { Invoice, Json, Payment, Row, Settings } from './types'

export interface InvoiceQuery {
  search: string
  status: string | null
  onlyWithStripe: boolean
  sort: keyof Invoice
  ascending: boolean
  page: number
}

export const PAGE_SIZE = 15

export async function getInvoices(settings: Settings, query: InvoiceQuery) {
  const columns = invoiceColumns(settings)
  let request = table(settings.invoices_table).select(selection(columns), { count: 'exact' })
  if (query.status) request = request.eq(quoted(columns.status), query.status)
  if (query.onlyWithStripe) request = request.or(anyOf(stripeColumns(settings), 'not.is.null'))
  if (query.search) request = request.or(await findable(settings, query.search))
  const sorted = columns[query.sort] ?? columns.id
  const first = (query.page - 1) * PAGE_SIZE
  const { rows, total } = await page<Row>(
    request
      .order(quoted(sorted), { ascending: query.ascending, nullsFirst: false })
      .order(quoted(columns.id))
      .range(first, first + PAGE_SIZE - 1),
  )
  return { invoices: rows.map((row) => asInvoice(row, settings)), total }
}

/** Null where there is none, or where the caller may not see it. */
export async function getInvoice(settings: Settings, id: string): Promise<Invoice | null> {
  try {
    const [invoice] = await getInvoicesById(settings, [id])
    return invoice ?? null
  } catch (error) {
    // No id looks like this one.
    if (['22P02', '22003'].includes(asProblem(error).code)) return null
    throw error
  }
}

export async function getInvoicesById(settings: Settings, ids: string[]): Promise<Invoice[]> {
  const columns = invoiceColumns(settings)
  const rows = await answered<Row[]>(
    table(settings.invoices_table).select(selection(columns)).in(quoted(columns.id), ids),
  )
  return rows.map((row) => asInvoice(row, settings))
}

/** Some of those that a person may mean by these characters. */
export async function suggestInvoices(settings: Settings, search: string): Promise<Invoice[]> {
  const columns = invoiceColumns(settings)
  let request = table(settings.invoices_table).select(selection(columns))
  if (search) request = request.or(await findable(settings, search))
  const rows = await answered<Row[]>(
    request.order(quoted(columns.date ?? columns.id), { ascending: false }).limit(20),
  )
  return rows.map((row) => asInvoice(row, settings))
}

/** The words that the settings name, and those of the newest invoices. */
export async function getStatuses(settings: Settings): Promise<string[]> {
  const { id, date, status } = invoiceColumns(settings)
  const rows = await answered<Row[]>(
    table(settings.invoices_table)
      .select(selection({ status }))
      .order(quoted(date ?? id), { ascending: false })
      .limit(1000),
  )
  const seen = rows.map((row) => text(row.status)).filter((word) => word !== null)
  const named = [settings.invoice_paid_word, settings.invoice_partial_word].filter(
    (word) => word !== null,
  )
  return [...new Set([...seen, ...named, ...settings.invoice_closed_words])].sort()
}

export async function getPayments(settings: Settings, invoice: string): Promise<Payment[]> {
  const columns = paymentColumns(settings)
  const rows = await answered<Row[]>(
    table(settings.payments_table)
      .select(selection(columns))
      .eq(quoted(settings.payment_invoice_column), invoice)
      .order(quoted(columns.date ?? columns.id)),
  )
  return rows.map((row) => ({
    id: String(row.id),
    status: text(row.status),
    amount: text(row.amount),
    gratuity: text(row.gratuity),
    date: text(row.date),
    session: text(row.session),
    intent: text(row.intent),
  }))
}

function table(name: string) {
  const parts = partsOf(name)
  const schema = parts.length > 1 ? (parts[0] ?? 'public') : 'public'
  return supabase.schema(schema).from(encodeURIComponent(parts.at(-1) ?? name))
}

/** The condition that finds a text in what people search by; a number where that is none. */
async function findable(settings: Settings, search: string): Promise<string> {
  const columns = searchColumns(settings)
  const kinds = await Promise.all(columns.map((column) => isText(settings, column)))
  const conditions = columns.map((column, at) => {
    if (kinds[at]) return anyOf([column], containing(search))
    return /^\d{1,18}$/.test(search) ? anyOf([column], `eq.${search}`) : null
  })
  const some = conditions.filter((condition) => condition !== null)
  // Nothing can be found by it: no row is without an id.
  return some.length > 0 ? some.join(',') : anyOf([settings.invoice_id_column], 'is.null')
}

/** PostgREST has no casts in conditions, so a column is asked once whether it takes letters. */
function isText(settings: Settings, column: string): Promise<boolean> {
  const name = `${settings.invoices_table} ${column}`
  const known = TEXTS.get(name) ?? askIfText(settings, column)
  TEXTS.set(name, known)
  known.catch(() => TEXTS.delete(name))
  return known
}

const TEXTS = new Map<string, Promise<boolean>>()

async function askIfText(settings: Settings, column: string): Promise<boolean> {
  const asked = table(settings.invoices_table).select(quoted(settings.invoice_id_column))
  try {
    await answered(asked.ilike(quoted(column), 'x').limit(0))
    return true
  } catch (error) {
    // There is no such operator for its type, or x is no value of it.
    if (['42883', '22P02'].includes(asProblem(error).code)) return false
    throw error
  }
}

function asInvoice(row: Row, settings: Settings): Invoice {
  const id = String(row.id)
  return {
    id,
    number: text(row.number) ?? id,
    customer: text(row.customer),
    date: text(row.date),
    status: text(row.status) ?? '',
    currency: text(row.currency) ?? settings.default_currency,
    total: text(row.total),
    paid: text(row.paid),
    balance: text(row.balance),
    paidAt: text(row.paidAt),
    session: text(row.session),
    intent: text(row.intent),
    account: text(row.account),
  }
}

const text = (value: Json | undefined) =>
  value === null || value === undefined ? null : String(value)

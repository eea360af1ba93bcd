/**
 * The shapes of what the database answers. Amounts are decimal numbers as text, for a float cannot
 * hold them all; in the unit of `Settings.amount_unit`, where nothing else is said.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Row = Record<string, Json>

/** How the application's tables are called: the extension's one row of settings. */
export interface Settings {
  invoices_table: string
  invoice_id_column: string
  invoice_number_column: string | null
  invoice_status_column: string
  invoice_total_column: string
  invoice_amount_paid_column: string | null
  invoice_balance_column: string | null
  invoice_paid_at_column: string | null
  invoice_currency_column: string | null
  invoice_session_column: string | null
  invoice_intent_column: string | null
  invoice_account_column: string | null
  invoice_paid_word: string
  invoice_partial_word: string | null
  invoice_closed_words: string[]
  payments_table: string
  payment_id_column: string
  payment_invoice_column: string
  payment_status_column: string | null
  payment_amount_column: string
  payment_gratuity_column: string | null
  payment_refunded_column: string | null
  payment_date_column: string | null
  payment_session_column: string | null
  payment_intent_column: string | null
  default_currency: string
  amount_unit: 'major' | 'minor' | 'stripe'
}

/** A row of the view `currencies`: one whose decimals are not 2, in ISO 4217 or at Stripe. */
export interface Currency {
  currency: string
  iso_digits: number
  stripe_digits: number
}

/** An invoice of the application's, whatever its columns are called. */
export interface Invoice {
  id: string
  number: string
  customer: string | null
  date: string | null
  status: string
  currency: string
  total: string | null
  paid: string | null
  balance: string | null
  paidAt: string | null
  session: string | null
  intent: string | null
  /** The Stripe account that it belongs to; null: that of the key. */
  account: string | null
}

/** A payment of the application's, whatever its columns are called. */
export interface Payment {
  id: string
  status: string | null
  amount: string | null
  gratuity: string | null
  date: string | null
  session: string | null
  intent: string | null
}

/** A change to a row of the application's, as reports tell it. */
export interface RowChange {
  table: string
  row: string
  action: 'insert' | 'update' | 'delete'
  before: Row | null
  after: Row | null
}

/** A row of the view `changes`. */
export interface Change {
  id: number
  run_id: number
  changed_at: string
  cause: string
  role: string
  invoice_id: string
  table_name: string
  row_id: string
  action: RowChange['action']
  before: Row | null
  after: Row | null
  evidence: Row
  undone_by: number | null
}

export type Severity = 'critical' | 'warning' | 'notice'

/** A row of the view `open_issues`. */
export interface Issue {
  id: number
  severity: Severity
  kind: string
  invoice_number: string | null
  invoice_id: string | null
  summary: string
  object: string | null
  state: 'open' | 'acknowledged'
  first_seen: string
  last_seen: string
  times_seen: number
  evidence: Row | null
  acknowledged_by: string | null
  snoozed_until: string | null
  note: string | null
  actions: string[]
}

/** What can be done about an issue. */
export interface IssueAction {
  action: string
  description: string
  /** What has to be value, or may be where it is not required. */
  argument: 'status' | 'invoice_id' | null
  argument_required: boolean
}

/** A row of the view `recent_runs`. */
export interface Run {
  id: number
  kind: string
  cause: string
  role: string
  started_at: string
  duration: string | null
  success: boolean
  error: string | null
  invoices_checked: number
  invoices_fixed: number
  issues_found: number
  stripe_errors: number
  booked: Booked[]
}

/** Payments of one currency that a run recorded and that still stand; the amount is in major units. */
export interface Booked {
  currency: string
  payments: number
  amount: string
}

/** The one row of the view `status`. */
export interface Status {
  summary: string
  last_sweep_at: string | null
  last_sweep_success: boolean | null
  last_sweep_repaired: number | null
  next_sweep_at: string | null
  open_critical: number
  open_warning: number
  open_notice: number
}

/** A row of the view `webhook_health`: one type of event in one hour. */
export interface WebhookHour {
  type: string
  hour: string
  by_webhook: number
  by_feed_only: number
  waiting: number
  mean_delay: string | null
  last_delivery: string | null
}

/** A row of the view `account_health`: a Stripe account beside that of the key. */
export interface Account {
  account: string
  last_webhook_at: string | null
  feed_read_at: string | null
  /** Why it cannot be asked; null: it answers. */
  refused: string | null
}

/** A row of `doctor()`. */
export interface Check {
  check: string
  ok: boolean
  detail: string
  hint: string | null
}

/** A row of `explain()`. */
export interface Explained {
  /** The invoice, a payment row, Stripe, or the decision. */
  part: string
  what: string
  value: string | null
  why: string | null
}

/** What `sync_invoice` and `sweep` answer. */
export interface SyncReport {
  /** Whether Stripe could be asked about everything. */
  success: boolean
  details: {
    fixed: { action: string; changes: RowChange[] }[]
    issues: { kind: string; severity: Severity; issue: string }[]
  }
  message: string
}

/** What `resolve_issue` answers. */
export interface Decision {
  dryRun: boolean
  action: string
  resolved: boolean
  changes: RowChange[]
  message: string
}

/** What `undo` answers. */
export interface Undone {
  dryRun: boolean
  undone: number
  left: { invoiceId: string; table: string; row: string; why: string }[]
  details: { undone: { invoiceId: string; invoiceNumber: string | null; changes: RowChange[] }[] }
  message: string
}

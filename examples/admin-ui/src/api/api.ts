/** All calls of the extension's functions and views. `host.ts` reads the application's own tables. */

import { config } from '../config'
import { supabase } from '../supabase'
import { answered, page } from './answer'
import type {
  Account,
  Change,
  Check,
  Currency,
  Decision,
  Explained,
  Issue,
  IssueAction,
  Row,
  Run,
  Settings,
  Status,
  SyncReport,
  Undone,
  WebhookHour,
} from './types'

const sync = () => supabase.schema(config.schema)

export const getSettings = () => answered<Settings>(sync().from('settings').select('*').single())

export const getCurrencies = () => answered<Currency[]>(sync().from('currencies').select('*'))

export const getStatus = () => answered<Status>(sync().from('status').select('*').single())

export const syncInvoice = (invoice_id: string) =>
  answered<SyncReport>(sync().rpc('sync_invoice', { invoice_id }))

export const explain = (invoice_id: string, ask: boolean) =>
  answered<Explained[]>(sync().rpc('explain', { invoice_id, ask }))

export const sweep = (seconds: number) =>
  answered<SyncReport>(sync().rpc('sweep', { max_duration: `${seconds} seconds` }))

// --------------------------------------------------------------------- issues

export const getOpenIssues = () => answered<Issue[]>(sync().from('open_issues').select('*'))

export const getIssuesOf = (invoice: string) =>
  answered<Issue[]>(sync().from('open_issues').select('*').eq('invoice_id', invoice))

export const getIssueActions = (id: number) =>
  answered<IssueAction[]>(sync().rpc('issue_actions', { id }))

export interface Choice {
  id: number
  action: string
  note?: string
  arguments: {
    status?: string
    /** Says that no invoice has had this status before. */
    new_word?: true
    invoice_id?: string
    /** The facts that were decided on: where they have moved, the decision is refused. */
    seen: Row | null
  }
}

export const previewDecision = (choice: Choice) =>
  answered<Decision>(sync().rpc('resolve_issue', { ...choice, dry_run: true }))

export const carryOutDecision = (choice: Choice) =>
  answered<Decision>(sync().rpc('resolve_issue', { ...choice, dry_run: false }))

export const acknowledgeIssue = (id: number) =>
  answered<null>(sync().rpc('acknowledge_issue', { id }))

/** Until now: it is no longer snoozed. */
export const snoozeIssue = (id: number, until: Date) =>
  answered<null>(sync().rpc('snooze_issue', { id, until: until.toISOString() }))

// ----------------------------------------------------------------------- runs

export const getRuns = (from: number, to: number) =>
  page<Run>(sync().from('recent_runs').select('*', { count: 'exact' }).range(from, to))

/** Those since a moment, the newest first: as many as PostgREST gives at once. */
export const getRunsSince = (since: Date) =>
  answered<Run[]>(
    sync().from('recent_runs').select('*').gte('started_at', since.toISOString()).limit(1000),
  )

export const getChangesOf = (invoice: string) =>
  answered<Change[]>(sync().from('changes').select('*').eq('invoice_id', invoice))

export const previewUndo = (run_id: number) =>
  answered<Undone>(sync().rpc('undo', { run_id, dry_run: true }))

export const undo = (run_id: number) =>
  answered<Undone>(sync().rpc('undo', { run_id, dry_run: false }))

// --------------------------------------------------------------------- health

export const getWebhookHealth = (since: Date) =>
  answered<WebhookHour[]>(
    sync().from('webhook_health').select('*').gte('hour', since.toISOString()).limit(1000),
  )

/** Some of them, those that cannot be asked first, with the number of all. */
export const getAccounts = () =>
  page<Account>(
    sync()
      .from('account_health')
      .select('*', { count: 'exact' })
      .order('refused', { nullsFirst: false })
      .order('account')
      .limit(20),
  )

export const getDoctor = () => answered<Check[]>(sync().rpc('doctor'))

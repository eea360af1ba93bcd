/** Runs in words for people. */

import type { Run } from '../api/types'
import { words } from './format'

export const CAUSES: Record<string, string> = {
  cron: 'on schedule',
  rpc: 'by hand',
  sql: 'by SQL',
  webhook: 'by webhook',
}

/** What a webhook was started by need not be said. */
export const causeOf = ({ kind, cause }: Run) => (kind === cause ? '' : (CAUSES[cause] ?? cause))

const KINDS: Record<string, string> = {
  sync_invoice: 'One invoice',
  resolve_issue: 'Decision',
}

export const kindOf = ({ kind }: Run) => KINDS[kind] ?? words(kind)

/** What `undo` can put back: rows, or a person's decision. */
export const canBeUndone = (run: Run) => run.invoices_fixed > 0 || run.kind === 'resolve_issue'

import type { Issue } from '../api/types'
import { useHasAccounts, useInvoicesById } from '../queries'

/**
 * Says which Stripe account an issue concerns: the one that it names, or that of its invoice. Null
 * for the account of the key, and where there is no other.
 */
export function useAccountOf(issues: Issue[]): (issue: Issue) => string | null {
  const hasAccounts = useHasAccounts()
  const ids = issues.map((issue) => issue.invoice_id).filter((id) => id !== null)
  const invoices = useInvoicesById(hasAccounts ? [...new Set(ids)] : [])
  return (issue) => {
    if (!hasAccounts) return null
    const ofInvoice = invoices.data?.find(({ id }) => id === issue.invoice_id)?.account
    return named(issue) ?? ofInvoice ?? null
  }
}

/** Ids of other accounts are written with the account before them. */
function named({ evidence, object }: Issue): string | null {
  if (typeof evidence?.account === 'string') return evidence.account
  return object?.match(/^(acct_[^/]+)\//)?.[1] ?? null
}

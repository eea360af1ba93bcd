import type { Change, Run, Settings } from '../api/types'

/** What was recorded in one currency, in the unit of the settings. */
export interface Recorded {
  currency: string
  sum: number
  /** One for each run, the oldest first. */
  byRun: { run: string; amount: number }[]
}

/** Adds up the payments that these runs recorded, by currency. */
export function recordedAmounts(changes: Change[], runs: Run[], settings: Settings): Recorded[] {
  const sums = new Map<string, Map<number, number>>()
  for (const change of changes) {
    if (!runs.some((run) => run.id === change.run_id)) continue
    const currency = currencyOf(change, settings)
    const byRun = sums.get(currency) ?? new Map<number, number>()
    byRun.set(change.run_id, (byRun.get(change.run_id) ?? 0) + amountOf(change, settings))
    sums.set(currency, byRun)
  }
  return [...sums].sort().map(([currency, byRun]) => ({
    currency,
    sum: [...byRun.values()].reduce((sum, amount) => sum + amount, 0),
    byRun: runs.toReversed().map(({ id }) => ({ run: `Run ${id}`, amount: byRun.get(id) ?? 0 })),
  }))
}

function amountOf({ after }: Change, settings: Settings): number {
  const columns = [settings.payment_amount_column, settings.payment_gratuity_column]
  return columns.reduce((sum, column) => sum + Number((column && after?.[column]) || 0), 0)
}

/** Stripe's word for the currency, from the evidence that the payment was recorded for. */
function currencyOf({ evidence }: Change, settings: Settings): string {
  const said = Array.isArray(evidence.stripe) ? evidence.stripe[0] : null
  const currency = said && typeof said === 'object' && !Array.isArray(said) ? said.currency : null
  return typeof currency === 'string' ? currency : settings.default_currency
}

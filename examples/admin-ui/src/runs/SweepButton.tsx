import { Button } from '@mantine/core'
import { sweep } from '../api/api'
import type { SyncReport } from '../api/types'
import { toastDone } from '../shared/toasts'
import { useAction } from '../shared/useAction'

/** Well below the 8 seconds after which Supabase ends a statement of somebody who is signed in. */
const SECONDS = 5

/** Of its time, a sweep asks Stripe for three quarters. */
const ASKING = SECONDS * 0.75 * 1000

interface Swept {
  report: SyncReport
  /** Whether its time was up, and something may be left. */
  isCut: boolean
}

async function sweepForAWhile(): Promise<Swept> {
  const begun = performance.now()
  const report = await sweep(SECONDS)
  return { report, isCut: performance.now() - begun >= ASKING }
}

/** What pg_cron does every 15 minutes, now and for some seconds. */
export function SweepButton() {
  const action = useAction({ name: 'sweep', call: sweepForAWhile, onDone: tell })
  return (
    <Button variant="default" loading={action.isPending} onClick={() => action.run()}>
      Sweep now
    </Button>
  )
}

function tell({ report: { success, message }, isCut }: Swept) {
  if (!success) toastDone('Incomplete', message, 'orange')
  else if (isCut) {
    const more =
      'The time limit was reached, and more invoices may be due: click again, or wait for the next sweep.'
    toastDone('Sweep stopped at its time limit', `${message} ${more}`, 'yellow')
  } else toastDone('Sweep completed', message)
}

import { Button } from '@mantine/core'
import { IconRefresh } from '@tabler/icons-react'
import { syncInvoice } from '../api/api'
import type { Invoice, SyncReport } from '../api/types'
import { toastDone } from '../shared/toasts'
import { useAction } from '../shared/useAction'

/** Asks Stripe about one invoice and repairs it. The database answers within 6 seconds. */
export function SyncButton({ invoice }: { invoice: Invoice }) {
  const sync = useAction({
    name: `sync ${invoice.id}`,
    call: () => syncInvoice(invoice.id),
    onDone: (report) => tell(invoice.number, report),
  })
  return (
    <Button
      leftSection={<IconRefresh size={16} aria-hidden />}
      loading={sync.isPending}
      aria-busy={sync.isPending}
      onClick={() => sync.run()}
    >
      Sync Stripe
    </Button>
  )
}

function tell(number: string, { details }: SyncReport) {
  const done = details.fixed.map((fixed) => fixed.action).join('. ')
  const open = details.issues.map((issue) => issue.issue).join(' ')
  if (done) {
    toastDone(`${number} is repaired`, [`Done: ${done}.`, open].filter(Boolean).join(' '))
  } else if (open) {
    toastDone(`${number} needs a decision`, open, 'orange')
  } else {
    toastDone('Nothing to do', `All Stripe payments of ${number} are recorded.`, 'blue')
  }
}

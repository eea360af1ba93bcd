import { Button } from '@mantine/core'
import { sweep } from '../api/api'
import { toastDone } from '../shared/toasts'
import { useAction } from '../shared/useAction'

/** What pg_cron does every 15 minutes, now. */
export function SweepButton() {
  const action = useAction({
    name: 'sweep',
    call: sweep,
    onDone: ({ success, message }) =>
      toastDone(success ? 'Swept' : 'Not complete', message, success ? 'teal' : 'orange'),
  })
  return (
    <Button variant="default" loading={action.isPending} onClick={() => action.run()}>
      Sweep now
    </Button>
  )
}

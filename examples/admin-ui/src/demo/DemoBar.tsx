import { Alert, Button, Group, Select, Text } from '@mantine/core'
import { IconFlask } from '@tabler/icons-react'
import { useNavigate } from 'react-router'
import { toastDone } from '../shared/toasts'
import { useAction } from '../shared/useAction'
import { become, VISITORS, visitor } from './token'

interface LostSale {
  id: string
  number: string
}

async function loseWebhook(): Promise<LostSale> {
  const answer = await fetch('/demo/lost-webhook', { method: 'POST' })
  if (!answer.ok) throw new Error(await answer.text())
  return answer.json() as Promise<LostSale>
}

/** Demonstration only: lets a webhook be lost, and shows the page as others see it. */
export function DemoBar() {
  const navigate = useNavigate()
  const lose = useAction({
    name: 'lose a webhook',
    call: loseWebhook,
    onDone: (sale) => {
      toastDone(
        `${sale.number} was paid, and its webhook is lost`,
        'Press Sync Stripe, or wait for the next sweep.',
        'yellow',
      )
      navigate(`/invoices/${sale.id}`)
    },
  })

  return (
    <Alert color="grape" variant="light" icon={<IconFlask aria-hidden />} mb="lg" p="sm">
      <Group justify="space-between" gap="sm">
        <Text size="sm">Demonstration, with a stand-in for Stripe.</Text>
        <Group gap="sm">
          <Select
            aria-label="Look at the page as"
            size="xs"
            w={210}
            data={VISITORS}
            value={visitor()}
            allowDeselect={false}
            onChange={(role) => role && become(role)}
          />
          <Button size="xs" variant="default" loading={lose.isPending} onClick={() => lose.run()}>
            Lose a webhook
          </Button>
        </Group>
      </Group>
    </Alert>
  )
}

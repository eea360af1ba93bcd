import { Button, Menu, Text } from '@mantine/core'
import { IconFlask, IconPlugConnectedX, IconUser } from '@tabler/icons-react'
import { useNavigate } from 'react-router'
import { supabase } from '../supabase'
import { toastDone } from '../shared/toasts'
import { useAction } from '../shared/useAction'
import { PASSWORD, PEOPLE } from './people'

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
export function DemoMenu() {
  const navigate = useNavigate()
  const lose = useAction({
    name: 'lose a webhook',
    call: loseWebhook,
    onDone: (sale) => {
      toastDone(
        `${sale.number} was paid, and its webhook is lost`,
        'Click Sync Stripe, or wait for the next sweep.',
        'yellow',
      )
      navigate(`/invoices/${sale.id}`)
    },
  })
  const become = useAction({
    name: 'become',
    call: async (email: string) => {
      const { error } = await supabase.auth.signInWithPassword({ email, password: PASSWORD })
      if (error) throw error
    },
  })

  return (
    <Menu position="bottom-end" width={250}>
      <Menu.Target>
        <Button
          data-demo
          size="xs"
          h={34}
          color="grape"
          variant="light"
          leftSection={<IconFlask size={16} aria-hidden />}
          loading={lose.isPending || become.isPending}
        >
          Demo
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Stripe is simulated</Menu.Label>
        <Menu.Item
          leftSection={<IconPlugConnectedX size={16} aria-hidden />}
          onClick={() => lose.run()}
        >
          Lose a webhook
          <Text size="xs" c="dimmed">
            A customer pays, and the webhook is not delivered
          </Text>
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>View the page as</Menu.Label>
        {PEOPLE.map(({ email, label }) => (
          <Menu.Item
            key={email}
            leftSection={<IconUser size={16} aria-hidden />}
            onClick={() => become.run(email)}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}

import { Code, Group, Paper, SimpleGrid, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Invoice } from '../api/types'
import { useMoney } from '../books'
import { useHasAccounts } from '../queries'
import { CopyIcon } from '../shared/CopyIcon'
import { day } from '../shared/format'
import { StatusBadge } from '../shared/StatusBadge'

/** What the invoice's own row says. */
export function InvoiceFacts({ invoice }: { invoice: Invoice }) {
  const { money } = useMoney()
  const hasAccounts = useHasAccounts()
  const amount = (value: string | null) => money(value, invoice.currency)
  return (
    <Paper withBorder p="md">
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="md">
        <Fact name="Status">
          <StatusBadge status={invoice.status} />
        </Fact>
        {invoice.customer && <Fact name="Customer">{invoice.customer}</Fact>}
        <Fact name="Total">{amount(invoice.total)}</Fact>
        <Fact name="Paid">{amount(invoice.paid)}</Fact>
        <Fact name="Due">{amount(invoice.balance)}</Fact>
        <Fact name="Paid on">{day(invoice.paidAt)}</Fact>
      </SimpleGrid>
      <Stack gap={4} mt="md">
        <StripeId name="Checkout session" id={invoice.session} />
        <StripeId name="Payment intent" id={invoice.intent} />
        {hasAccounts && <StripeId name="Stripe account" id={invoice.account} />}
      </Stack>
    </Paper>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <Text size="xs" c="dimmed">
        {name}
      </Text>
      <Text component="div" fw={500}>
        {children}
      </Text>
    </div>
  )
}

function StripeId({ name, id }: { name: string; id: string | null }) {
  return (
    <Group gap="xs" wrap="nowrap" align="center">
      <Text size="xs" c="dimmed" w={120} style={{ flexShrink: 0 }}>
        {name}
      </Text>
      {id ? (
        <>
          <Code style={{ overflow: 'hidden', textOverflow: 'ellipsis' }}>{id}</Code>
          <CopyIcon value={id} label={`Copy the ${name.toLowerCase()}`} />
        </>
      ) : (
        <Text size="sm">–</Text>
      )}
    </Group>
  )
}

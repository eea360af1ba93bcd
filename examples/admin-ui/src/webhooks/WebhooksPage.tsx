import { BarChart } from '@mantine/charts'
import { Alert, Code, Paper, Stack, Title } from '@mantine/core'
import { DataTable, type DataTableColumn } from 'mantine-datatable'
import type { WebhookHour } from '../api/types'
import { useWebhookHealth } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { duration, moment } from '../shared/format'
import { Page } from '../shared/Page'
import { byDay, byType, type OfType, verdict } from './health'

const DAYS = 14

export default function WebhooksPage() {
  const health = useWebhookHealth(DAYS)
  return (
    <Page title="Webhooks">
      <Loaded query={health}>
        {(hours) => (hours.length === 0 ? <NoEvents /> : <Health hours={hours} />)}
      </Loaded>
    </Page>
  )
}

function NoEvents() {
  return (
    <Nothing title="No events yet">
      Every sweep reads Stripe’s feed of events and compares it with the received webhooks. Add a
      webhook endpoint with the URL <Code>/rest/v1/rpc/handle_webhook</Code> in Stripe, or run a
      sweep.
    </Nothing>
  )
}

function Health({ hours }: { hours: WebhookHour[] }) {
  const { tone, title, text } = verdict(hours)
  return (
    <Stack gap="lg">
      <Alert color={tone} title={title}>
        {text}
      </Alert>
      <Paper withBorder p="md" component="section" aria-label="Events per day">
        <Title order={2} size="h6" c="dimmed" fw={500} mb="sm">
          Stripe’s events of the last {DAYS} days
        </Title>
        <BarChart
          h={220}
          data={byDay(hours, DAYS)}
          dataKey="day"
          type="stacked"
          series={[
            { name: 'By webhook', color: 'teal.6' },
            { name: 'Only in the feed', color: 'orange.6' },
          ]}
          maxBarWidth={36}
          yAxisProps={{ width: 36, allowDecimals: false }}
          withLegend
        />
      </Paper>
      <DataTable withTableBorder idAccessor="type" records={byType(hours)} columns={COLUMNS} />
    </Stack>
  )
}

const WIDE = '(min-width: 48em)'

const BREAKING = { whiteSpace: 'normal' } as const

const COLUMNS: DataTableColumn<OfType>[] = [
  // On a phone it is broken after its dots and underscores.
  {
    accessor: 'type',
    title: 'Event',
    render: ({ type }) => type.replaceAll(/[._]/g, (sign) => `${sign}\u200b`),
  },
  { accessor: 'byWebhook', title: 'By webhook', textAlign: 'right', titleStyle: BREAKING },
  { accessor: 'byFeedOnly', title: 'Only in the feed', textAlign: 'right', titleStyle: BREAKING },
  {
    accessor: 'lastDelivery',
    title: 'Last delivery',
    noWrap: true,
    visibleMediaQuery: WIDE,
    render: ({ lastDelivery }) => moment(lastDelivery),
  },
  {
    accessor: 'delay',
    title: 'Delay of that hour',
    textAlign: 'right',
    noWrap: true,
    visibleMediaQuery: WIDE,
    render: ({ delay }) => duration(delay),
  },
]

import { BarChart } from '@mantine/charts'
import { Alert, Paper, Stack, Title } from '@mantine/core'
import { DataTable } from 'mantine-datatable'
import type { WebhookHour } from '../api/types'
import { useWebhookHealth } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { duration, moment } from '../shared/format'
import { Page } from '../shared/Page'
import { byDay, byType, verdict } from './health'

export default function WebhooksPage() {
  const health = useWebhookHealth()
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
      Every sweep reads Stripe’s feed of events, and what came by webhook is held against it. Point
      Stripe’s webhook at /rest/v1/rpc/handle_webhook, or let a sweep run.
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
        <Title order={2} size="h5" mb="sm">
          Events per day
        </Title>
        <BarChart
          h={220}
          data={byDay(hours)}
          dataKey="day"
          type="stacked"
          series={[
            { name: 'By webhook', color: 'teal.6' },
            { name: 'Only in the feed', color: 'orange.6' },
          ]}
          maxBarWidth={48}
          withLegend
        />
      </Paper>
      <DataTable
        withTableBorder
        idAccessor="type"
        // On a phone it scrolls sideways, and the keyboard has to get there.
        scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}
        records={byType(hours)}
        columns={[
          { accessor: 'type', title: 'Event' },
          { accessor: 'byWebhook', title: 'By webhook', textAlign: 'right' },
          { accessor: 'byFeedOnly', title: 'Only in the feed', textAlign: 'right' },
          {
            accessor: 'lastDelivery',
            title: 'Last delivery',
            noWrap: true,
            visibleMediaQuery: '(min-width: 48em)',
            render: ({ lastDelivery }) => moment(lastDelivery),
          },
          {
            accessor: 'delay',
            title: 'Delay then',
            textAlign: 'right',
            noWrap: true,
            visibleMediaQuery: '(min-width: 48em)',
            render: ({ delay }) => duration(delay),
          },
        ]}
      />
    </Stack>
  )
}

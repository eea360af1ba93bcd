import { BarChart } from '@mantine/charts'
import { Paper, SimpleGrid, Tabs, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Run } from '../api/types'
import { useMoney } from '../books'
import { useRunsOfDays } from '../queries'
import { Loaded } from '../shared/Feedback'
import { count } from '../shared/format'
import { addUp, type Bar, bars } from './timeline'

const DAYS = 30

/** The runs of the last weeks, the oldest at the left: how much was looked at, and what came of it. */
export function RunCharts() {
  return <Loaded query={useRunsOfDays(DAYS)}>{(runs) => <Charts runs={runs} />}</Loaded>
}

function Charts({ runs }: { runs: Run[] }) {
  const timeline = bars(runs)
  const total = (what: 'checked' | 'repaired') => timeline.reduce((sum, bar) => sum + bar[what], 0)
  return (
    <SimpleGrid cols={{ base: 1, md: 3 }}>
      <Panel title="Invoices checked" value={total('checked').toLocaleString()}>
        <Numbers timeline={timeline} what="checked" color="indigo.5" />
      </Panel>
      <Panel title="Invoices repaired" value={total('repaired').toLocaleString()}>
        <Numbers timeline={timeline} what="repaired" color="teal.6" />
      </Panel>
      <Recorded timeline={timeline} />
    </SimpleGrid>
  )
}

interface NumbersProps {
  timeline: Bar[]
  what: 'checked' | 'repaired'
  color: string
}

function Numbers({ timeline, what, color }: NumbersProps) {
  return (
    <BarChart
      {...SIZE}
      data={timeline.map((bar) => ({ label: bar.label, [what]: bar[what] }))}
      series={[{ name: what, color }]}
      yAxisProps={{ width: 36, allowDecimals: false, tickFormatter: roughly }}
    />
  )
}

/** What Stripe received for payments that were not in the books; each currency has its own scale. */
function Recorded({ timeline }: { timeline: Bar[] }) {
  const totals = addUp(timeline.flatMap(({ booked }) => booked))
  const { major } = useMoney()
  const first = totals[0]
  if (!first) {
    return (
      <Panel title="Payments recorded" value="None">
        <Text size="sm" c="dimmed">
          No run found an unrecorded payment.
        </Text>
      </Panel>
    )
  }
  return (
    <Panel
      title="Payments recorded"
      value={totals.map(({ amount, currency }) => major(amount, currency)).join(' · ')}
    >
      <Tabs defaultValue={first.currency} keepMounted={false}>
        {totals.length > 1 && (
          <Tabs.List mb="xs">
            {totals.map(({ currency }) => (
              <Tabs.Tab key={currency} value={currency} px="xs" py={4}>
                {currency.toUpperCase()}
              </Tabs.Tab>
            ))}
          </Tabs.List>
        )}
        {totals.map(({ currency }) => (
          <Tabs.Panel key={currency} value={currency}>
            <Amounts timeline={timeline} currency={currency} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Panel>
  )
}

function Amounts({ timeline, currency }: { timeline: Bar[]; currency: string }) {
  const { major } = useMoney()
  const data = timeline.map(({ label, booked }) => {
    const own = booked.find((one) => one.currency === currency)
    const value = own
      ? `${major(own.amount, currency)}, ${count(own.payments, 'payment')}`
      : 'no payment'
    // A number only for drawing.
    return { label, value, amount: Number(own?.amount ?? 0) }
  })
  return (
    <BarChart
      {...SIZE}
      data={data}
      series={[{ name: 'amount', color: 'grape.6' }]}
      yAxisProps={{ width: 44, tickFormatter: roughly }}
      tooltipProps={{
        content: ({ label, payload }) => (
          <Paper withBorder shadow="md" px="sm" py={4}>
            <Text size="xs" c="dimmed">
              {label}
            </Text>
            <Text size="sm">{String(payload?.[0]?.payload?.value ?? '')}</Text>
          </Paper>
        ),
      }}
    />
  )
}

const SIZE = {
  h: 180,
  dataKey: 'label',
  maxBarWidth: 24,
  xAxisProps: { minTickGap: 24 },
  // Room for the topmost number.
  barChartProps: { margin: { top: 10 } },
}

/** For the ticks of an axis: "12K". */
const ROUGH = new Intl.NumberFormat(undefined, { notation: 'compact' })
const roughly = (value: number) => ROUGH.format(value)

function Panel({ title, value, children }: { title: string; value: string; children: ReactNode }) {
  return (
    <Paper withBorder p="md" component="section" aria-label={title}>
      <Title order={2} size="h6" c="dimmed" fw={500}>
        {title}
      </Title>
      <Text fw={600} mb="sm">
        {value}
      </Text>
      {children}
    </Paper>
  )
}

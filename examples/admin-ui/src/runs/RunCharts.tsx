import { BarChart } from '@mantine/charts'
import { Paper, SimpleGrid, Text, Title } from '@mantine/core'
import type { Run, Settings } from '../api/types'
import { useRecordedSince, useSettings } from '../queries'
import { Failure } from '../shared/Feedback'
import { money } from '../shared/format'
import { type Recorded, recordedAmounts } from './recorded'

/** The runs on one page, the oldest at the left: how much was looked at, and what came of it. */
export function RunCharts({ runs }: { runs: Run[] }) {
  const oldestFirst = runs.toReversed()
  const settings = useSettings()
  const recorded = useRecordedSince(oldestFirst[0]?.id ?? null)
  const error = settings.error ?? recorded.error
  if (error) return <Failure error={error} />
  const amounts =
    settings.data && recorded.data ? recordedAmounts(recorded.data, runs, settings.data) : []
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <Panel title="Invoices per run">
        <BarChart
          h={200}
          data={oldestFirst.map((run) => ({
            run: `Run ${run.id}`,
            Checked: run.invoices_checked,
            Repaired: run.invoices_fixed,
          }))}
          dataKey="run"
          series={[
            { name: 'Checked', color: 'gray.5' },
            { name: 'Repaired', color: 'teal.6' },
          ]}
          maxBarWidth={24}
          withLegend
        />
      </Panel>
      <Panel title="Payments recorded in these runs">
        {settings.data && <Amounts amounts={amounts} settings={settings.data} />}
      </Panel>
    </SimpleGrid>
  )
}

function Amounts({ amounts, settings }: { amounts: Recorded[]; settings: Settings }) {
  if (amounts.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        None of these runs found a payment that was not in the books.
      </Text>
    )
  }
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
      {amounts.map(({ currency, sum, byRun }) => (
        <div key={currency}>
          <Text size="sm">
            <Text span fw={700} inherit>
              {money(sum, currency, settings.amount_unit)}
            </Text>
          </Text>
          <BarChart
            h={70}
            data={byRun}
            dataKey="run"
            series={[{ name: 'amount', label: currency.toUpperCase(), color: 'indigo.6' }]}
            valueFormatter={(value) => money(value, currency, settings.amount_unit)}
            maxBarWidth={24}
            withXAxis={false}
            withYAxis={false}
            gridAxis="none"
          />
        </div>
      ))}
    </SimpleGrid>
  )
}

function Panel({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <Paper withBorder p="md" component="section" aria-label={title}>
      <Title order={2} size="h5" mb="sm">
        {title}
      </Title>
      {children}
    </Paper>
  )
}

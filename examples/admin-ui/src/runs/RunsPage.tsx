import { Code, Stack } from '@mantine/core'
import { useState } from 'react'
import { useSearchParams } from 'react-router'
import type { Run } from '../api/types'
import { useRuns } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { RunCharts } from './RunCharts'
import { RunTable } from './RunTable'
import { SweepButton } from './SweepButton'
import { UndoDialog } from './UndoDialog'

const PAGE_SIZE = 15

export default function RunsPage() {
  const [params, setParams] = useSearchParams()
  const page = Math.max(1, Math.floor(Number(params.get('page'))) || 1)
  const runs = useRuns(page, PAGE_SIZE)
  const [undoing, setUndoing] = useState<Run>()
  return (
    <Page title="Runs" actions={<SweepButton />}>
      <Loaded query={runs}>
        {({ rows, total }) =>
          total === 0 ? (
            <Nothing title="No runs yet">
              Click Sweep now, or schedule sweeps: <Code>select invoice_sync.schedule();</Code>
            </Nothing>
          ) : (
            <Stack gap="lg">
              <RunCharts />
              <RunTable
                runs={rows}
                total={total}
                page={page}
                pageSize={PAGE_SIZE}
                onPage={(wanted) => setParams(wanted > 1 ? { page: String(wanted) } : {})}
                onUndo={setUndoing}
              />
            </Stack>
          )
        }
      </Loaded>
      {undoing && <UndoDialog run={undoing} onClose={() => setUndoing(undefined)} />}
    </Page>
  )
}

import { Stack } from '@mantine/core'
import { useState } from 'react'
import { useRuns } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { RunCharts } from './RunCharts'
import { RunTable } from './RunTable'
import { SweepButton } from './SweepButton'

const PAGE_SIZE = 20

export default function RunsPage() {
  const [page, setPage] = useState(1)
  const runs = useRuns(page, PAGE_SIZE)
  return (
    <Page title="Runs" actions={<SweepButton />}>
      <Loaded query={runs}>
        {({ rows, total }) =>
          total === 0 ? (
            <Nothing title="Nothing has run yet">
              Press Sweep now, or let it run by itself: select invoice_sync.schedule();
            </Nothing>
          ) : (
            <Stack gap="lg">
              <RunCharts runs={rows} />
              <RunTable
                runs={rows}
                total={total}
                page={page}
                pageSize={PAGE_SIZE}
                onPage={setPage}
              />
            </Stack>
          )
        }
      </Loaded>
    </Page>
  )
}

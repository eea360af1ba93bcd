import { Badge, Button, Text } from '@mantine/core'
import { DataTable, type DataTableColumn } from 'mantine-datatable'
import { useState } from 'react'
import type { Run } from '../api/types'
import { duration, moment, words } from '../shared/format'
import { UndoDialog } from './UndoDialog'

interface RunTableProps {
  runs: Run[]
  total: number
  page: number
  pageSize: number
  onPage: (page: number) => void
}

export function RunTable({ runs, total, page, pageSize, onPage }: RunTableProps) {
  const [undoing, setUndoing] = useState<number | null>(null)
  return (
    <>
      <DataTable
        withTableBorder
        records={runs}
        columns={columns(setUndoing)}
        totalRecords={total}
        recordsPerPage={pageSize}
        page={page}
        onPageChange={onPage}
        getPaginationControlProps={(control) => ({ 'aria-label': `${control} page` })}
      />
      {undoing !== null && <UndoDialog run={undoing} onClose={() => setUndoing(null)} />}
    </>
  )
}

const WIDE = '(min-width: 48em)'

function columns(undo: (run: number) => void): DataTableColumn<Run>[] {
  return [
    { accessor: 'id', title: 'Run' },
    { accessor: 'kind', noWrap: true, render: (run) => <Kind run={run} /> },
    {
      accessor: 'started_at',
      title: 'Started',
      noWrap: true,
      visibleMediaQuery: WIDE,
      render: (run) => moment(run.started_at),
    },
    {
      accessor: 'duration',
      title: 'Took',
      textAlign: 'right',
      noWrap: true,
      visibleMediaQuery: WIDE,
      render: (run) => duration(run.duration),
    },
    { accessor: 'invoices_checked', title: 'Checked', textAlign: 'right', visibleMediaQuery: WIDE },
    { accessor: 'invoices_fixed', title: 'Repaired', textAlign: 'right' },
    { accessor: 'issues_found', title: 'Issues', textAlign: 'right', visibleMediaQuery: WIDE },
    {
      accessor: 'undo',
      title: 'Undo',
      textAlign: 'right',
      render: (run) =>
        run.invoices_fixed > 0 && (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Undo run ${run.id} …`}
            onClick={() => undo(run.id)}
          >
            Undo …
          </Button>
        ),
    },
  ]
}

function Kind({ run }: { run: Run }) {
  return (
    <>
      {words(run.kind)}{' '}
      <Text span size="xs" c="dimmed">
        by {run.cause}
      </Text>
      {!run.success && (
        <Badge ml="xs" color="red" variant="light" tt="none" title={run.error ?? ''}>
          not complete
        </Badge>
      )}
    </>
  )
}

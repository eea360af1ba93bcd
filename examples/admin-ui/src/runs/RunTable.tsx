import { Badge, Button, Text } from '@mantine/core'
import { DataTable, type DataTableColumn } from 'mantine-datatable'
import type { Run } from '../api/types'
import { duration, moment } from '../shared/format'
import { canBeUndone, causeOf, kindOf } from '../shared/runs'

interface RunTableProps {
  runs: Run[]
  total: number
  page: number
  pageSize: number
  onPage: (page: number) => void
  onUndo: (run: Run) => void
}

export function RunTable({ runs, total, page, pageSize, onPage, onUndo }: RunTableProps) {
  return (
    <DataTable
      withTableBorder
      records={runs}
      columns={columns(onUndo)}
      totalRecords={total}
      recordsPerPage={pageSize}
      page={page}
      onPageChange={onPage}
      getPaginationControlProps={(control) => ({ 'aria-label': `${control} page` })}
    />
  )
}

const WIDE = '(min-width: 48em)'

function columns(undo: (run: Run) => void): DataTableColumn<Run>[] {
  return [
    { accessor: 'id', title: 'Run' },
    { accessor: 'kind', title: 'What', render: (run) => <Kind run={run} /> },
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
    {
      accessor: 'booked',
      title: 'Payments',
      textAlign: 'right',
      visibleMediaQuery: WIDE,
      render: (run) => run.booked.reduce((total, { payments }) => total + payments, 0),
    },
    { accessor: 'issues_found', title: 'Issues', textAlign: 'right', visibleMediaQuery: WIDE },
    {
      accessor: 'undo',
      title: 'Undo',
      textAlign: 'right',
      render: (run) =>
        canBeUndone(run) && (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Undo run ${run.id} …`}
            onClick={() => undo(run)}
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
      {kindOf(run)}{' '}
      <Text span size="xs" c="dimmed">
        {causeOf(run)}
      </Text>
      {!run.success && (
        <Badge ml="xs" color="red" variant="light" tt="none">
          not complete
        </Badge>
      )}
      {run.error && (
        <Text size="xs" c="dimmed">
          {run.error}
        </Text>
      )}
    </>
  )
}

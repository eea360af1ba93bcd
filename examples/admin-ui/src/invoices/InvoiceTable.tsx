import { Anchor } from '@mantine/core'
import { DataTable, type DataTableColumn } from 'mantine-datatable'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { InvoiceQuery } from '../api/host'
import type { Invoice, Settings } from '../api/types'
import { config } from '../config'
import { day, money } from '../shared/format'
import { StatusBadge } from '../shared/StatusBadge'

interface InvoiceTableProps {
  query: InvoiceQuery
  onQuery: (change: Partial<InvoiceQuery>) => void
  invoices: Invoice[]
  total: number
  settings: Settings | undefined
  fetching: boolean
  /** What is shown where there is none. */
  nothing: ReactNode
}

export function InvoiceTable(props: InvoiceTableProps) {
  const { query, onQuery } = props
  return (
    <DataTable
      withTableBorder
      highlightOnHover
      minHeight={props.invoices.length === 0 ? 180 : 0}
      records={props.invoices}
      columns={columns(props.settings)}
      fetching={props.fetching}
      noRecordsText=""
      // Drawn over the rows where there are some.
      emptyState={props.invoices.length > 0 || props.fetching ? <span /> : props.nothing}
      totalRecords={props.total}
      recordsPerPage={query.pageSize}
      page={query.page}
      onPageChange={(page) => onQuery({ page })}
      sortStatus={{ columnAccessor: query.sort, direction: query.ascending ? 'asc' : 'desc' }}
      onSortStatusChange={({ columnAccessor, direction }) =>
        onQuery({
          page: 1,
          sort: columnAccessor as keyof Invoice,
          ascending: direction === 'asc',
        })
      }
      getPaginationControlProps={(control) => ({ 'aria-label': `${control} page` })}
    />
  )
}

const WIDE = '(min-width: 48em)'

function columns(settings: Settings | undefined): DataTableColumn<Invoice>[] {
  const unit = settings?.amount_unit ?? 'major'
  const amount = (accessor: 'total' | 'paid' | 'balance', title: string, wide: boolean) => ({
    accessor,
    title,
    textAlign: 'right' as const,
    sortable: true,
    noWrap: true,
    ...(wide ? { visibleMediaQuery: WIDE } : {}),
    render: (invoice: Invoice) => money(invoice[accessor], invoice.currency, unit),
  })
  return [
    {
      accessor: 'number',
      sortable: true,
      noWrap: true,
      render: (invoice) => (
        <Anchor component={Link} to={`/invoices/${encodeURIComponent(invoice.id)}`} inherit>
          {invoice.number}
        </Anchor>
      ),
    },
    {
      accessor: 'customer',
      sortable: true,
      hidden: config.customerColumn === null,
      visibleMediaQuery: WIDE,
    },
    {
      accessor: 'status',
      sortable: true,
      render: (invoice) => <StatusBadge status={invoice.status} />,
    },
    amount('total', 'Total', false),
    amount('paid', 'Paid', true),
    amount('balance', 'Due', true),
    {
      accessor: 'date',
      sortable: true,
      noWrap: true,
      hidden: config.dateColumn === null,
      visibleMediaQuery: WIDE,
      render: (invoice) => day(invoice.date),
    },
  ]
}

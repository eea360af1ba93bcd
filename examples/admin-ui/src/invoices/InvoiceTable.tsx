import { Anchor } from '@mantine/core'
import { DataTable, type DataTableColumn } from 'mantine-datatable'
import { Link } from 'react-router'
import { type InvoiceQuery, PAGE_SIZE } from '../api/host'
import type { Invoice } from '../api/types'
import { useMoney } from '../books'
import { config } from '../config'
import { day } from '../shared/format'
import { StatusBadge } from '../shared/StatusBadge'

interface InvoiceTableProps {
  query: InvoiceQuery
  onQuery: (change: Partial<InvoiceQuery>) => void
  invoices: Invoice[]
  total: number
  fetching: boolean
}

export function InvoiceTable({ query, onQuery, invoices, total, fetching }: InvoiceTableProps) {
  const { money } = useMoney()
  return (
    <DataTable
      withTableBorder
      highlightOnHover
      records={invoices}
      columns={columns(money)}
      fetching={fetching}
      totalRecords={total}
      recordsPerPage={PAGE_SIZE}
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

function columns(
  money: (amount: string | null, currency: string) => string,
): DataTableColumn<Invoice>[] {
  const amount = (accessor: 'total' | 'paid' | 'balance', title: string, wide: boolean) => ({
    accessor,
    title,
    textAlign: 'right' as const,
    sortable: true,
    noWrap: true,
    ...(wide ? { visibleMediaQuery: WIDE } : {}),
    render: (invoice: Invoice) => money(invoice[accessor], invoice.currency),
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

import { Code, Text } from '@mantine/core'
import { DataTable, type DataTableColumn } from 'mantine-datatable'
import type { Payment, Settings } from '../api/types'
import { useBooks, useMoney } from '../books'
import { Nothing } from '../shared/Feedback'
import { day } from '../shared/format'
import { StatusBadge } from '../shared/StatusBadge'

interface PaymentTableProps {
  payments: Payment[]
  currency: string
}

export function PaymentTable({ payments, currency }: PaymentTableProps) {
  const { settings } = useBooks()
  const { money } = useMoney()
  if (payments.length === 0) {
    return (
      <Nothing title="No payment is recorded">
        The next sweep records payments that Stripe received for this invoice.
      </Nothing>
    )
  }
  return (
    <DataTable
      withTableBorder
      records={payments}
      columns={columns(settings, (value) => money(value, currency))}
    />
  )
}

const WIDE = '(min-width: 48em)'

function columns(
  settings: Settings,
  amount: (value: string | null) => string,
): DataTableColumn<Payment>[] {
  return [
    { accessor: 'date', noWrap: true, render: (payment) => day(payment.date) },
    {
      accessor: 'status',
      hidden: settings.payment_status_column === null,
      render: (payment) => payment.status && <StatusBadge status={payment.status} />,
    },
    {
      accessor: 'amount',
      textAlign: 'right',
      noWrap: true,
      render: (payment) => amount(payment.amount),
    },
    {
      accessor: 'gratuity',
      textAlign: 'right',
      noWrap: true,
      hidden: settings.payment_gratuity_column === null,
      visibleMediaQuery: WIDE,
      render: (payment) => amount(payment.gratuity),
    },
    {
      accessor: 'intent',
      title: 'Stripe',
      visibleMediaQuery: WIDE,
      render: ({ intent, session }) => {
        const id = intent ?? session
        return id ? <Code>{id}</Code> : <Text size="sm">entered by hand</Text>
      },
    },
  ]
}

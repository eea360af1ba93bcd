import { Checkbox, Code, Group, Select, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useState } from 'react'
import type { InvoiceQuery } from '../api/host'
import { useInvoices, useSettings } from '../queries'
import { Failure, Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { InvoiceTable } from './InvoiceTable'

/** Statuses that the filter offers; the paid word is the settings' own. */
const STATUSES = ['Draft', 'Sent', 'Viewed', 'Partial', 'Overdue', 'Cancelled']

const FIRST: InvoiceQuery = {
  search: '',
  status: null,
  onlyWithStripe: false,
  sort: 'date',
  ascending: false,
  page: 1,
  pageSize: 15,
}

export function InvoicesPage() {
  const [query, setQuery] = useState(FIRST)
  const [search] = useDebouncedValue(query.search, 250)
  const settings = useSettings()
  const invoices = useInvoices({ ...query, search: search.trim() })
  /** Whatever narrows the list begins with its first page again. */
  const narrow = (change: Partial<InvoiceQuery>) => setQuery({ ...query, page: 1, ...change })
  const isNarrowed = query.search !== '' || query.status !== null || query.onlyWithStripe
  const error = settings.error ?? invoices.error

  return (
    <Page title="Invoices">
      <Group align="end">
        <TextInput
          label="Search"
          placeholder="Number, customer or Stripe id"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={query.search}
          onChange={(event) => narrow({ search: event.currentTarget.value })}
          flex="1 1 220px"
        />
        <Select
          label="Status"
          placeholder="Any"
          clearable
          data={[...new Set([settings.data?.invoice_paid_word ?? 'Paid', ...STATUSES])]}
          value={query.status}
          onChange={(status) => narrow({ status })}
          w={150}
        />
        <Checkbox
          label="Only with Stripe ids"
          checked={query.onlyWithStripe}
          onChange={(event) => narrow({ onlyWithStripe: event.currentTarget.checked })}
          mb={8}
        />
      </Group>
      {error ? (
        <Failure error={error} />
      ) : (
        <InvoiceTable
          query={query}
          onQuery={(change) => setQuery({ ...query, ...change })}
          invoices={invoices.data?.invoices ?? []}
          total={invoices.data?.total ?? 0}
          settings={settings.data}
          fetching={invoices.isPending}
          nothing={
            isNarrowed ? (
              <Nothing title="No invoice fits">Search for less, or clear the filters.</Nothing>
            ) : (
              <Nothing title="No invoices yet">
                They are read from <Code>{settings.data?.invoices_table}</Code>. If yours are
                elsewhere, see <Code>invoice_sync.propose_mapping()</Code>.
              </Nothing>
            )
          }
        />
      )}
    </Page>
  )
}

import { Checkbox, Code, Group, Select } from '@mantine/core'
import type { InvoiceQuery } from '../api/host'
import { useBooks } from '../books'
import { useInvoices, useStatuses } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { InvoiceTable } from './InvoiceTable'
import { SearchBox } from './SearchBox'
import { useInvoiceQuery } from './useInvoiceQuery'

export function InvoicesPage() {
  const { query, change } = useInvoiceQuery()
  const { settings } = useBooks()
  const statuses = useStatuses().data ?? []
  const invoices = useInvoices(query)
  /** Whatever narrows the list begins with its first page again. */
  const narrow = (wanted: Partial<InvoiceQuery>) => change({ page: 1, ...wanted })
  const isNarrowed = query.search !== '' || query.status !== null || query.onlyWithStripe

  return (
    <Page title="Invoices">
      <Group align="end">
        <SearchBox
          value={query.search}
          onSearch={(search) => change({ page: 1, search }, { replace: true })}
          isSearching={invoices.isPlaceholderData}
        />
        <Select
          label="Status"
          placeholder="Any"
          clearable
          clearButtonProps={{ 'aria-label': 'Any status' }}
          data={[...new Set([...statuses, ...(query.status ? [query.status] : [])])]}
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
      <Loaded query={invoices}>
        {({ invoices: found, total }) =>
          total > 0 ? (
            <InvoiceTable
              query={query}
              onQuery={change}
              invoices={found}
              total={total}
              fetching={invoices.isPlaceholderData}
            />
          ) : isNarrowed ? (
            <Nothing title="No matching invoice">Change the search, or clear the filters.</Nothing>
          ) : (
            <Nothing title="No invoices yet">
              Invoices are read from <Code>{settings.invoices_table}</Code>. To use other tables,
              see <Code>invoice_sync.propose_mapping()</Code>.
            </Nothing>
          )
        }
      </Loaded>
    </Page>
  )
}

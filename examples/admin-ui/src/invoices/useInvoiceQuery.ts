import { useSearchParams } from 'react-router'
import type { InvoiceQuery } from '../api/host'
import type { Invoice } from '../api/types'

/** What the list is narrowed to; it stands in the address, so that Back leads to what was there before. */
export function useInvoiceQuery() {
  const [params, setParams] = useSearchParams()
  const query: InvoiceQuery = {
    search: params.get('search') ?? '',
    status: params.get('status'),
    onlyWithStripe: params.has('stripe'),
    sort: (params.get('sort') ?? 'date') as keyof Invoice,
    ascending: params.get('order') === 'asc',
    page: Math.max(1, Math.floor(Number(params.get('page'))) || 1),
  }
  const change = (wanted: Partial<InvoiceQuery>, options?: { replace: boolean }) =>
    // At once, as with any input whose value is kept elsewhere.
    setParams(asParams({ ...query, ...wanted }), { ...options, flushSync: true })
  return { query, change }
}

/** What is as it is without them is left out. */
function asParams(query: InvoiceQuery): Record<string, string> {
  const params = {
    search: query.search,
    status: query.status ?? '',
    stripe: query.onlyWithStripe ? 'yes' : '',
    sort: query.sort === 'date' ? '' : query.sort,
    order: query.ascending ? 'asc' : '',
    page: query.page > 1 ? String(query.page) : '',
  }
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== ''))
}

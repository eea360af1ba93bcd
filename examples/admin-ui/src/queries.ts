/** What the screens read, each under the key that the cache knows it by. */

import { keepPreviousData, useQuery } from '@tanstack/react-query'
import * as api from './api/api'
import * as host from './api/host'

/** Views that change while nobody presses anything are read again this often. */
const REFRESH = { refetchInterval: 15_000 }

export const useSettings = () =>
  useQuery({ queryKey: ['settings'], queryFn: api.getSettings, staleTime: 300_000 })

export function useInvoices(query: host.InvoiceQuery) {
  const settings = useSettings().data
  return useQuery({
    queryKey: ['invoices', query],
    enabled: settings !== undefined,
    queryFn: () => host.getInvoices(required(settings), query),
    placeholderData: keepPreviousData,
    ...REFRESH,
  })
}

export function useInvoice(id: string) {
  const settings = useSettings().data
  return useQuery({
    queryKey: ['invoice', id],
    enabled: settings !== undefined,
    queryFn: () => host.getInvoice(required(settings), id),
    ...REFRESH,
  })
}

export function usePayments(invoice: string) {
  const settings = useSettings().data
  return useQuery({
    queryKey: ['payments', invoice],
    enabled: settings !== undefined,
    queryFn: () => host.getPayments(required(settings), invoice),
    ...REFRESH,
  })
}

export const useChangesOf = (invoice: string) =>
  useQuery({
    queryKey: ['changes', invoice],
    queryFn: () => api.getChangesOf(invoice),
    ...REFRESH,
  })

export const useOpenIssues = () =>
  useQuery({ queryKey: ['issues'], queryFn: api.getOpenIssues, ...REFRESH })

export const useIssuesOf = (invoice: string) =>
  useQuery({ queryKey: ['issues', invoice], queryFn: () => api.getIssuesOf(invoice), ...REFRESH })

export const useIssueActions = (issue: number) =>
  useQuery({ queryKey: ['actions', issue], queryFn: () => api.getIssueActions(issue) })

export const useRuns = (page: number, pageSize: number) =>
  useQuery({
    queryKey: ['runs', page, pageSize],
    queryFn: () => api.getRuns((page - 1) * pageSize, page * pageSize - 1),
    placeholderData: keepPreviousData,
    ...REFRESH,
  })

export const useRecordedSince = (run: number | null) =>
  useQuery({
    queryKey: ['recorded', run],
    enabled: run !== null,
    queryFn: () => api.getRecordedSince(required(run)),
  })

export const useWebhookHealth = () =>
  useQuery({ queryKey: ['webhooks'], queryFn: api.getWebhookHealth, ...REFRESH })

export const useDoctor = () => useQuery({ queryKey: ['doctor'], queryFn: api.getDoctor })

/** For what `enabled` has seen to. */
function required<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('not loaded yet')
  return value
}

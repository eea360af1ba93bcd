/** What the screens read, each under the key that the cache knows it by. */

import { keepPreviousData, useQuery } from '@tanstack/react-query'
import * as api from './api/api'
import * as host from './api/host'
import { type Books, useBooks } from './books'

/** Views that change while nobody presses anything are read again this often. */
const REFRESH = { refetchInterval: 15_000 }

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000)

export const useBooksQuery = () =>
  useQuery({
    queryKey: ['books'],
    queryFn: async (): Promise<Books> => {
      const [settings, currencies] = await Promise.all([api.getSettings(), api.getCurrencies()])
      return { settings, currencies }
    },
    staleTime: 300_000,
  })

export const useStatus = () =>
  useQuery({ queryKey: ['status'], queryFn: api.getStatus, ...REFRESH })

// ------------------------------------------------------------------- invoices

export function useInvoices(query: host.InvoiceQuery) {
  const { settings } = useBooks()
  return useQuery({
    queryKey: ['invoices', query],
    queryFn: () => host.getInvoices(settings, query),
    placeholderData: keepPreviousData,
    ...REFRESH,
  })
}

export function useInvoice(id: string) {
  const { settings } = useBooks()
  return useQuery({
    queryKey: ['invoice', id],
    queryFn: () => host.getInvoice(settings, id),
    ...REFRESH,
  })
}

export function useInvoicesById(ids: string[]) {
  const { settings } = useBooks()
  return useQuery({
    queryKey: ['invoices by id', ids],
    queryFn: () => host.getInvoicesById(settings, ids),
    enabled: ids.length > 0,
  })
}

export function useInvoiceSuggestions(search: string) {
  const { settings } = useBooks()
  return useQuery({
    queryKey: ['invoice suggestions', search],
    queryFn: () => host.suggestInvoices(settings, search),
    placeholderData: keepPreviousData,
  })
}

export function useStatuses() {
  const { settings } = useBooks()
  return useQuery({
    queryKey: ['statuses'],
    queryFn: () => host.getStatuses(settings),
    staleTime: 300_000,
  })
}

export function usePayments(invoice: string) {
  const { settings } = useBooks()
  return useQuery({
    queryKey: ['payments', invoice],
    queryFn: () => host.getPayments(settings, invoice),
    ...REFRESH,
  })
}

export const useChangesOf = (invoice: string) =>
  useQuery({
    queryKey: ['changes', invoice],
    queryFn: () => api.getChangesOf(invoice),
    ...REFRESH,
  })

/** With `ask`, Stripe is asked: once, and again only after something was done. */
export const useExplanation = (invoice: string, ask: boolean) =>
  useQuery({
    queryKey: ['explanation', invoice, ask],
    queryFn: () => api.explain(invoice, ask),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })

// --------------------------------------------------------------------- issues

export const useOpenIssues = () =>
  useQuery({ queryKey: ['issues'], queryFn: api.getOpenIssues, ...REFRESH })

export const useIssuesOf = (invoice: string) =>
  useQuery({ queryKey: ['issues', invoice], queryFn: () => api.getIssuesOf(invoice), ...REFRESH })

export const useIssueActions = (issue: number) =>
  useQuery({
    queryKey: ['actions', issue],
    queryFn: () => api.getIssueActions(issue),
    staleTime: Number.POSITIVE_INFINITY,
  })

// ----------------------------------------------------------------------- runs

export const useRuns = (page: number, pageSize: number) =>
  useQuery({
    queryKey: ['runs', page, pageSize],
    queryFn: () => api.getRuns((page - 1) * pageSize, page * pageSize - 1),
    placeholderData: keepPreviousData,
    ...REFRESH,
  })

export const useRunsOfDays = (days: number) =>
  useQuery({
    queryKey: ['runs of days', days],
    queryFn: () => api.getRunsSince(daysAgo(days)),
    refetchInterval: 60_000,
  })

export const useUndoPreview = (run: number, enabled: boolean) =>
  useQuery({
    queryKey: ['undo', run],
    queryFn: () => api.previewUndo(run),
    enabled,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })

// --------------------------------------------------------------------- health

export const useWebhookHealth = (days: number) =>
  useQuery({
    queryKey: ['webhooks', days],
    queryFn: () => api.getWebhookHealth(daysAgo(days)),
    ...REFRESH,
  })

export const useAccounts = () =>
  useQuery({ queryKey: ['accounts'], queryFn: api.getAccounts, refetchInterval: 60_000 })

/** Whether there are Stripe accounts beside that of the key. */
export const useHasAccounts = () => (useAccounts().data?.total ?? 0) > 0

export const useDoctor = () => useQuery({ queryKey: ['doctor'], queryFn: api.getDoctor })

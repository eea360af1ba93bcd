import { QueryCache, QueryClient } from '@tanstack/react-query'
import { asProblem } from './api/problem'

const BOOKS = ['books']

/** What the database refuses it refuses again: nothing is retried, and nothing waits for a network. */
export const queryClient: QueryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: false, networkMode: 'always' },
    mutations: { networkMode: 'always' },
  },
  queryCache: new QueryCache({
    // A caller who is no longer an admin sees this on the whole page.
    onError: (error, query) => {
      if (asProblem(error).isRefusal && query.queryKey[0] !== BOOKS[0]) {
        void queryClient.invalidateQueries({ queryKey: BOOKS })
      }
    },
  }),
})

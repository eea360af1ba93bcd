import { useMutation, useQueryClient } from '@tanstack/react-query'
import { asProblem } from '../api/problem'
import { toastProblem } from './toasts'

interface Action<Given, Result> {
  /** Of two presses of the same name, the second does nothing while the first is under way. */
  name: string
  call: (given: Given) => Promise<Result>
  onDone?: (result: Result, given: Given) => void
}

/** Something that is done in the database; after it all that is shown is read again. */
export function useAction<Given = void, Result = unknown>(action: Action<Given, Result>) {
  const queries = useQueryClient()
  const mutationKey = [action.name]
  const mutation = useMutation({
    mutationKey,
    mutationFn: action.call,
    onSuccess: (result, given) => action.onDone?.(result, given),
    onError: (error) => toastProblem(asProblem(error)),
    // Also where it failed: it may be because what is shown is not so any more.
    onSettled: () => queries.invalidateQueries(),
  })
  // A double click comes before the button is drawn as disabled.
  const run = (given: Given) => {
    if (queries.isMutating({ mutationKey, exact: true }) === 0) mutation.mutate(given)
  }
  return { run, isPending: mutation.isPending, result: mutation.data }
}

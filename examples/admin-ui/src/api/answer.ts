import { Problem } from './problem'

interface Answer {
  data: unknown
  error: { code?: string; message: string; details?: string | null; hint?: string | null } | null
  status: number
  count?: number | null
}

/** The data of an answer of the gateway's, whose shape the caller knows; throws a `Problem`. */
export async function answered<T>(request: PromiseLike<Answer>): Promise<T> {
  const { data, error, status } = await request
  if (error) throw new Problem(error, status)
  return data as T
}

/** The same for one page of rows, with the number of all. */
export async function page<T>(request: PromiseLike<Answer>): Promise<{ rows: T[]; total: number }> {
  const { data, error, status, count } = await request
  if (error) throw new Problem(error, status)
  const rows = data as T[]
  return { rows, total: count ?? rows.length }
}

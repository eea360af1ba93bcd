import type { PostgrestError } from '@supabase/supabase-js'

/** What went wrong, for people. */
export class Problem extends Error {
  /** The SQLSTATE, a code of the gateway's, or empty where nothing answered. */
  readonly code: string
  readonly hint: string | null

  constructor(error: Pick<PostgrestError, 'code' | 'message' | 'hint'>) {
    super(error.message)
    this.code = error.code ?? ''
    this.hint = error.hint || null
  }

  get title(): string {
    return TITLES[this.code] ?? (this.code === '' ? 'No connection' : 'That did not work')
  }
}

const TITLES: Record<string, string> = {
  P0002: 'Not found',
  '42501': 'You may not do this',
  '22P02': 'This is no valid id',
  '22023': 'This does not fit',
  '28000': 'Stripe refuses the key',
  '55000': 'Not possible now',
  '08006': 'Stripe cannot be reached',
  '08P01': 'Stripe’s answer cannot be used',
  '42P01': 'The settings do not fit the database',
  PGRST202: 'The database has no such function',
  PGRST205: 'The database has no such table',
  PGRST301: 'You are not signed in',
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const message = error instanceof Error ? error.message : String(error)
  return new Problem({ code: '', message, hint: '' })
}

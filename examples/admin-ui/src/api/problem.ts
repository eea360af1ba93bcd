interface Refusal {
  code?: string
  message: string
  details?: string | null
  hint?: string | null
}

/** What went wrong, for people. */
export class Problem extends Error {
  /** The SQLSTATE, a code of the gateway's, or empty where neither of them answered. */
  readonly code: string
  readonly title: string

  constructor({ code = '', message, details, hint }: Refusal, status = 0) {
    super(code === '' ? unanswered(status) : sentences(message, details, hint))
    this.code = code
    this.title = TITLES[code] ?? (code === '' && status === 0 ? 'No connection' : FAILED)
  }

  /** Whether the database refuses whoever is signed in. */
  get isRefusal(): boolean {
    return this.code === '42501'
  }
}

const FAILED = 'The request failed'

const TITLES: Record<string, string> = {
  P0002: 'Not found',
  '42501': 'Permission denied',
  '22P02': 'Invalid value',
  '22023': 'Invalid input',
  '28000': 'Stripe rejects the API key',
  '55000': 'Not possible in the current state',
  '55P03': 'Locked by another user',
  '57014': 'It took too long',
  '08006': 'Stripe cannot be reached',
  '08P01': 'Stripe’s answer cannot be used',
  '42P01': 'The settings do not match the database',
  '42703': 'The settings do not match the database',
  PGRST103: 'Page out of range',
  PGRST106: 'The schema is not exposed',
  PGRST202: 'Function not found',
  PGRST205: 'Table not found',
  PGRST301: 'You are not signed in',
  PGRST303: 'Your session has ended',
}

/** What stands between may answer with a page of its own, which is nothing to read. */
const unanswered = (status: number) =>
  status === 0
    ? 'The server cannot be reached.'
    : `A server between this page and the database answered with status ${status}.`

/** PostgreSQL's messages begin with a small letter and have no full stop. */
function sentences(...parts: (string | null | undefined)[]): string {
  return parts
    .map((part) => part?.trim() ?? '')
    .filter((part) => part !== '')
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .map((part) => (/[.!?]$/.test(part) ? part : `${part}.`))
    .join(' ')
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  return new Problem({
    code: 'page',
    message: error instanceof Error ? error.message : String(error),
  })
}

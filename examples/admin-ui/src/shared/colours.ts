import type { Severity } from '../api/types'

export const SEVERITY_COLOURS: Record<Severity, string> = {
  critical: 'red',
  warning: 'orange',
  notice: 'blue',
}

const STATUS_COLOURS: [RegExp, string][] = [
  [/^paid/i, 'teal'],
  [/partial/i, 'cyan'],
  [/overdue|disputed|failed/i, 'red'],
  [/cancel|void|refund/i, 'gray'],
]

/** For words of the application's own, by what they usually mean. */
export function statusColour(status: string): string {
  return STATUS_COLOURS.find(([pattern]) => pattern.test(status))?.[1] ?? 'blue'
}

/** What an action has to be told, as its description names it: `{"status": …}`. */
export interface Argument {
  name: string
  label: string
  /** Whether the action also goes without: "… or your word for that". */
  optional: boolean
}

const PLACE = /\{"(\w+)": …\}/
const LABELS: Record<string, string> = { status: 'New status', invoice_id: 'Id of the invoice' }

export function argumentsOf(description: string): Argument[] {
  const name = PLACE.exec(description)?.[1]
  if (!name) return []
  return [{ name, label: LABELS[name] ?? name, optional: / or, where /.test(description) }]
}

/** The description without the notation: "it becomes {"status": …}" as "it becomes the one that you name". */
export const plainWords = (description: string) => description.replace(PLACE, 'you name')

import { Badge } from '@mantine/core'
import { statusColour } from './colours'

/** A status in the application's own word. */
export function StatusBadge({ status }: { status: string }) {
  if (!status) return '–'
  return (
    <Badge variant="light" color={statusColour(status)} tt="none" miw="max-content">
      {status}
    </Badge>
  )
}

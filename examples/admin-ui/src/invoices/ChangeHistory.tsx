import { Badge, Group, Text, Timeline } from '@mantine/core'
import type { Change } from '../api/types'
import { Changes } from '../shared/Changes'
import { Nothing } from '../shared/Feedback'
import { moment } from '../shared/format'
import { CAUSES } from '../shared/runs'

interface ChangeHistoryProps {
  changes: Change[]
  currency: string
}

/** Every change that was made to the invoice and its payments, the newest first. */
export function ChangeHistory({ changes, currency }: ChangeHistoryProps) {
  if (changes.length === 0) {
    return (
      <Nothing title="No changes">
        Changes that invoice_sync makes to this invoice are listed here, with the previous values.
      </Nothing>
    )
  }
  return (
    <Timeline bulletSize={14} lineWidth={2}>
      {changes.map((change) => (
        <Timeline.Item key={change.id} title={<Heading change={change} />}>
          <Changes
            currency={currency}
            changes={[
              {
                table: change.table_name,
                row: change.row_id,
                action: change.action,
                before: change.before,
                after: change.after,
              },
            ]}
          />
        </Timeline.Item>
      ))}
    </Timeline>
  )
}

function Heading({ change }: { change: Change }) {
  return (
    <Group gap="xs">
      <Text size="sm" span>
        {moment(change.changed_at)} · run {change.run_id}, {CAUSES[change.cause] ?? change.cause}
      </Text>
      {change.undone_by !== null && (
        <Badge color="gray" variant="light" tt="none">
          undone by run {change.undone_by}
        </Badge>
      )}
    </Group>
  )
}

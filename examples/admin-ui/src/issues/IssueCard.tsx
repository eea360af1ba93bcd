import { Anchor, Badge, Button, Card, Group, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Link } from 'react-router'
import type { Issue } from '../api/types'
import { SEVERITY_COLOURS } from '../shared/colours'
import { ago, day, words } from '../shared/format'
import { DecisionDialog } from './DecisionDialog'
import { IssueMenu } from './IssueMenu'
import { isSnoozed } from './snooze'

/** One issue: what it is, and what a person can do. */
export function IssueCard({ issue }: { issue: Issue }) {
  const [deciding, dialog] = useDisclosure()
  return (
    <Card withBorder component="article" aria-label={`Issue ${issue.id}`}>
      <Group gap="xs" mb={6}>
        <Badge color={SEVERITY_COLOURS[issue.severity]} variant="light">
          {issue.severity}
        </Badge>
        <Text fw={600}>{words(issue.kind)}</Text>
        {issue.invoice_id && (
          <Anchor component={Link} to={`/invoices/${encodeURIComponent(issue.invoice_id)}`}>
            {issue.invoice_number ?? issue.invoice_id}
          </Anchor>
        )}
        <States issue={issue} />
      </Group>
      <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
        {issue.summary}
      </Text>
      <Group justify="space-between" mt="sm">
        <Text size="xs" c="dimmed">
          Since {ago(issue.first_seen)}
          {issue.note && ` · “${issue.note}”`}
        </Text>
        <Group gap="xs">
          {issue.actions.length > 0 && (
            <Button size="xs" onClick={dialog.open}>
              Decide …
            </Button>
          )}
          <IssueMenu issue={issue} />
        </Group>
      </Group>
      {deciding && <DecisionDialog issue={issue} onClose={dialog.close} />}
    </Card>
  )
}

function States({ issue }: { issue: Issue }) {
  return (
    <>
      {issue.state === 'acknowledged' && (
        <Badge color="gray" variant="light" tt="none">
          acknowledged by {issue.acknowledged_by}
        </Badge>
      )}
      {isSnoozed(issue) && (
        <Badge color="gray" variant="light" tt="none">
          snoozed until {day(issue.snoozed_until)}
        </Badge>
      )}
    </>
  )
}

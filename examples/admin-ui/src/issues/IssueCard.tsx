import { Anchor, Badge, Button, Card, Group, Text } from '@mantine/core'
import { Link } from 'react-router'
import type { Issue } from '../api/types'
import { SEVERITY_COLOURS } from '../shared/colours'
import { ago, day, words } from '../shared/format'
import { IssueMenu } from './IssueMenu'
import { isSnoozed } from './snooze'

interface IssueCardProps {
  issue: Issue
  /** The Stripe account that it concerns, where that is to be said. */
  account: string | null
  onDecide: (issue: Issue) => void
}

/** One issue: what it is, and what a person can do. */
export function IssueCard({ issue, account, onDecide }: IssueCardProps) {
  return (
    <Card withBorder component="article" id={`issue-${issue.id}`} aria-label={`Issue ${issue.id}`}>
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
        {account && (
          <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            Stripe account {account}
          </Text>
        )}
        <States issue={issue} />
      </Group>
      <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
        {issue.summary}
      </Text>
      <Group justify="space-between" align="end" wrap="nowrap" mt="sm">
        <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          First seen {ago(issue.first_seen)}
          {issue.note && ` · “${issue.note}”`}
        </Text>
        <Group gap="xs" wrap="nowrap">
          {issue.actions.length > 0 && (
            <Button size="xs" onClick={() => onDecide(issue)}>
              Decide …
            </Button>
          )}
          <IssueMenu issue={issue} />
        </Group>
      </Group>
    </Card>
  )
}

function States({ issue }: { issue: Issue }) {
  return (
    <>
      {issue.state === 'acknowledged' && (
        <Badge color="gray" variant="light" tt="none">
          acknowledged
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

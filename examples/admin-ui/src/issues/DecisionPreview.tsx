import { Alert, Button, Group, Text } from '@mantine/core'
import type { Decision, Issue } from '../api/types'
import { useBooks } from '../books'
import { useInvoicesById, useIssueActions } from '../queries'
import { Changes } from '../shared/Changes'
import { words } from '../shared/format'

interface DecisionPreviewProps {
  issue: Issue
  decision: Decision
  isCarryingOut: boolean
  onConfirm: () => void
  onBack: () => void
}

/** What a decision would change. */
export function DecisionPreview(props: DecisionPreviewProps) {
  const { issue, decision } = props
  const { settings } = useBooks()
  const invoices = useInvoicesById(issue.invoice_id ? [issue.invoice_id] : [])
  const action = useIssueActions(issue.id).data?.find((known) => known.action === decision.action)
  return (
    <>
      <Alert
        color="blue"
        title={`${words(decision.action)}: nothing has been changed yet`}
        role="status"
      >
        <Text size="sm">{action?.description}</Text>
        {decision.changes.length === 0 && <Text size="sm">{decision.message}</Text>}
      </Alert>
      <Changes
        changes={decision.changes}
        currency={invoices.data?.[0]?.currency ?? settings.default_currency}
      />
      <Group justify="end">
        <Button variant="default" onClick={props.onBack} disabled={props.isCarryingOut}>
          Back
        </Button>
        <Button onClick={props.onConfirm} loading={props.isCarryingOut}>
          Confirm
        </Button>
      </Group>
    </>
  )
}

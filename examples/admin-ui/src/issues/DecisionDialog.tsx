import { Alert, Button, Group, Modal, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { type Choice, carryOutDecision, previewDecision } from '../api/api'
import type { Decision, Issue } from '../api/types'
import { Changes } from '../shared/Changes'
import { Failure } from '../shared/Feedback'
import { words } from '../shared/format'
import { toastDone } from '../shared/toasts'
import { useAction } from '../shared/useAction'
import { DecisionForm } from './DecisionForm'

interface DecisionDialogProps {
  issue: Issue
  onClose: () => void
}

/** An action is chosen, shown what it would change, and carried out once confirmed. */
export function DecisionDialog({ issue, onClose }: DecisionDialogProps) {
  const [choice, setChoice] = useState<Choice>()
  const preview = useMutation({
    mutationFn: previewDecision,
    onSuccess: (_decision, chosen) => setChoice(chosen),
  })
  const carryOut = useAction({
    name: `decide issue ${issue.id}`,
    call: carryOutDecision,
    onDone: ({ resolved, message }) => {
      if (resolved) toastDone('Decided', message)
      else toastDone('Not over yet', message, 'orange')
      onClose()
    },
  })

  return (
    <Modal
      opened
      onClose={onClose}
      title={`${words(issue.kind)}: what shall be done?`}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Stack>
        <Text size="sm">{issue.summary}</Text>
        {choice && preview.data ? (
          <Preview
            decision={preview.data}
            carryingOut={carryOut.isPending}
            onConfirm={() => carryOut.run(choice)}
            onBack={preview.reset}
          />
        ) : (
          <>
            <DecisionForm issue={issue} previewing={preview.isPending} onPreview={preview.mutate} />
            {preview.isError && <Failure error={preview.error} />}
          </>
        )}
      </Stack>
    </Modal>
  )
}

interface PreviewProps {
  decision: Decision
  carryingOut: boolean
  onConfirm: () => void
  onBack: () => void
}

function Preview({ decision, carryingOut, onConfirm, onBack }: PreviewProps) {
  return (
    <>
      <Alert color="blue" title="Preview">
        {decision.message}
      </Alert>
      <Changes changes={decision.changes} />
      <Group justify="end">
        <Button variant="default" onClick={onBack} disabled={carryingOut}>
          Back
        </Button>
        <Button onClick={onConfirm} loading={carryingOut}>
          Confirm
        </Button>
      </Group>
    </>
  )
}

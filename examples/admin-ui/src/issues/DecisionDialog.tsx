import { Modal, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { type Choice, carryOutDecision, previewDecision } from '../api/api'
import type { Issue } from '../api/types'
import { words } from '../shared/format'
import { toastDone } from '../shared/toasts'
import { useAction } from '../shared/useAction'
import { useFocusAfter } from '../shared/useFocusAfter'
import { DecisionForm, EMPTY } from './DecisionForm'
import { DecisionPreview } from './DecisionPreview'

/** The dialog, which stays whatever becomes of the list that it was opened from. */
export function useDecision() {
  const [issue, setIssue] = useState<Issue>()
  const dialog = issue && <DecisionDialog issue={issue} onClose={() => setIssue(undefined)} />
  return { begin: setIssue, dialog }
}

interface DecisionDialogProps {
  issue: Issue
  onClose: () => void
}

/** An action is chosen, shown what it would change, and carried out once confirmed. */
function DecisionDialog({ issue, onClose }: DecisionDialogProps) {
  const [draft, setDraft] = useState(EMPTY)
  const preview = useMutation({
    mutationFn: async (choice: Choice) => ({ choice, decision: await previewDecision(choice) }),
  })
  const content = useFocusAfter(preview.data)
  const carryOut = useAction({
    name: `decide issue ${issue.id}`,
    call: carryOutDecision,
    onDone: ({ resolved, message }) => {
      if (resolved) toastDone('Resolved', message)
      else toastDone('Not resolved', message, 'orange')
      onClose()
    },
  })

  return (
    <Modal
      opened
      onClose={onClose}
      title={`${words(issue.kind)}: choose an action`}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Stack ref={content} tabIndex={-1}>
        <Text size="sm">{issue.summary}</Text>
        {preview.data ? (
          <DecisionPreview
            issue={issue}
            decision={preview.data.decision}
            isCarryingOut={carryOut.isPending}
            onConfirm={() => carryOut.run(preview.data.choice)}
            onBack={preview.reset}
          />
        ) : (
          <DecisionForm
            issue={issue}
            draft={draft}
            onDraft={setDraft}
            isPreviewing={preview.isPending}
            refusal={preview.error}
            onPreview={preview.mutate}
          />
        )}
      </Stack>
    </Modal>
  )
}

import { Button, Group, Radio, Stack, Textarea } from '@mantine/core'
import type { Choice } from '../api/api'
import type { Issue } from '../api/types'
import { useIssueActions } from '../queries'
import { Failure, Loaded } from '../shared/Feedback'
import { words } from '../shared/format'
import { InvoiceInput, StatusInput } from './ArgumentInputs'

/** What has been filled in so far. */
export interface Draft {
  action: string
  argument: string
  /** Whether the status is to be taken although no invoice has had it. */
  isNewWord: boolean
  note: string
}

export const EMPTY: Draft = { action: '', argument: '', isNewWord: false, note: '' }

interface DecisionFormProps {
  issue: Issue
  draft: Draft
  onDraft: (draft: Draft) => void
  isPreviewing: boolean
  /** Why there was no preview of what was filled in. */
  refusal: Error | null
  onPreview: (choice: Choice) => void
}

/** Asks for the action, for what the action needs, and for a note. */
export function DecisionForm(props: DecisionFormProps) {
  const { issue, draft, onDraft } = props
  const actions = useIssueActions(issue.id)
  const chosen = actions.data?.find(({ action }) => action === draft.action)

  function submit() {
    if (!chosen) return
    const note = draft.note.trim()
    const argument = draft.argument.trim()
    props.onPreview({
      id: issue.id,
      action: chosen.action,
      ...(note && { note }),
      arguments: {
        seen: issue.evidence,
        ...(chosen.argument && argument && { [chosen.argument]: argument }),
        ...(chosen.argument === 'status' && draft.isNewWord && { new_word: true }),
      },
    })
  }

  return (
    <Loaded query={actions}>
      {(found) => (
        <form
          onSubmit={(event) => {
            event.preventDefault()
            submit()
          }}
        >
          <Stack>
            <Radio.Group
              label="Action"
              required
              value={draft.action}
              // What was filled in was for the other action.
              onChange={(action) => onDraft({ ...EMPTY, action, note: draft.note })}
            >
              <Stack gap="sm" mt="xs">
                {found.map(({ action, description }) => (
                  <Radio
                    key={action}
                    value={action}
                    label={words(action)}
                    description={description}
                  />
                ))}
              </Stack>
            </Radio.Group>
            {chosen?.argument === 'status' && (
              <StatusInput
                required={chosen.argument_required}
                value={draft.argument}
                onChange={(argument) => onDraft({ ...draft, argument, isNewWord: false })}
                isNewWord={draft.isNewWord}
                onNewWord={(isNewWord) => onDraft({ ...draft, isNewWord })}
              />
            )}
            {chosen?.argument === 'invoice_id' && (
              <InvoiceInput
                required={chosen.argument_required}
                value={draft.argument}
                onChange={(argument) => onDraft({ ...draft, argument })}
              />
            )}
            <Textarea
              label="Note"
              description="Stored with the decision"
              autosize
              value={draft.note}
              onChange={(event) => onDraft({ ...draft, note: event.currentTarget.value })}
            />
            {props.refusal && <Failure error={props.refusal} />}
            <Group justify="end">
              <Button type="submit" loading={props.isPreviewing} disabled={!chosen}>
                Preview
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Loaded>
  )
}

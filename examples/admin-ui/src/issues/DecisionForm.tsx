import { Button, Group, Radio, Stack, Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'
import type { Choice } from '../api/api'
import type { Issue } from '../api/types'
import { useIssueActions } from '../queries'
import { Loaded } from '../shared/Feedback'
import { words } from '../shared/format'
import { argumentsOf, plainWords } from './arguments'

interface DecisionFormProps {
  issue: Issue
  previewing: boolean
  onPreview: (choice: Choice) => void
}

/** Asks for the action, for what the action needs, and for a note. */
export function DecisionForm({ issue, previewing, onPreview }: DecisionFormProps) {
  const actions = useIssueActions(issue.id)
  const [action, setAction] = useState<string>()
  const [given, setGiven] = useState<Record<string, string>>({})
  const [note, setNote] = useState('')
  const chosen = actions.data?.find((candidate) => candidate.action === action)
  const needed = chosen ? argumentsOf(chosen.description) : []

  function submit() {
    if (!chosen) return
    const filled = needed.filter(({ name }) => given[name]?.trim())
    onPreview({
      id: issue.id,
      action: chosen.action,
      ...(note.trim() && { note: note.trim() }),
      arguments: Object.fromEntries(filled.map(({ name }) => [name, given[name]?.trim() ?? ''])),
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
            <Radio.Group label="Action" required value={action ?? null} onChange={setAction}>
              <Stack gap="sm" mt="xs">
                {found.map((candidate) => (
                  <Radio
                    key={candidate.action}
                    value={candidate.action}
                    label={words(candidate.action)}
                    description={plainWords(candidate.description)}
                  />
                ))}
              </Stack>
            </Radio.Group>
            {needed.map(({ name, label, optional }) => (
              <TextInput
                key={name}
                label={label}
                required={!optional}
                value={given[name] ?? ''}
                onChange={(event) => setGiven({ ...given, [name]: event.currentTarget.value })}
              />
            ))}
            <Textarea
              label="Note"
              description="Kept with the decision"
              autosize
              value={note}
              onChange={(event) => setNote(event.currentTarget.value)}
            />
            <Group justify="end">
              <Button type="submit" loading={previewing} disabled={!chosen}>
                Preview
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Loaded>
  )
}

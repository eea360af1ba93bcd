import { Group, Paper, Stack, Switch, Text } from '@mantine/core'
import { useState } from 'react'
import type { Explained, Invoice } from '../api/types'
import { useExplanation } from '../queries'
import { Loaded } from '../shared/Feedback'

/** How the invoice is understood, what Stripe says, what would be done, and why the rest is not. */
export function Why({ invoice }: { invoice: Invoice }) {
  const [asksStripe, setAsksStripe] = useState(false)
  const explanation = useExplanation(invoice.id, asksStripe)
  return (
    <>
      <Switch
        label="Ask Stripe now"
        description="Nothing is written. Otherwise, earlier answers are shown."
        checked={asksStripe}
        onChange={(event) => setAsksStripe(event.currentTarget.checked)}
      />
      <Loaded query={explanation}>
        {(lines) =>
          [...parts(lines)].map(([part, its]) => <Part key={part} part={part} lines={its} />)
        }
      </Loaded>
    </>
  )
}

/** The decision first: it is what was asked for. */
function parts(lines: Explained[]) {
  const isDecision = (line: Explained) => line.part === 'decision'
  const inOrder = [...lines.filter(isDecision), ...lines.filter((line) => !isDecision(line))]
  return Map.groupBy(inOrder, (line) => line.part)
}

function Part({ part, lines }: { part: string; lines: Explained[] }) {
  return (
    <Paper withBorder p="md" component="article" aria-label={part}>
      <Text size="sm" c="dimmed" mb="sm" style={BREAKING}>
        {part}
      </Text>
      <Stack gap="xs">
        {lines.map((line) => (
          <Stack key={`${line.what} ${line.value} ${line.why}`} gap={0}>
            <Group gap="xs" align="baseline">
              <Text size="sm" fw={600} style={BREAKING}>
                {line.what}
              </Text>
              <Text size="sm" style={BREAKING}>
                {line.value}
              </Text>
            </Group>
            <Text size="xs" c="dimmed" style={BREAKING}>
              {line.why}
            </Text>
          </Stack>
        ))}
      </Stack>
    </Paper>
  )
}

const BREAKING = { overflowWrap: 'anywhere' } as const

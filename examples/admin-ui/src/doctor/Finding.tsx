import { Code, Group, Stack, Text, ThemeIcon, VisuallyHidden } from '@mantine/core'
import { IconCheck, IconX } from '@tabler/icons-react'
import { CopyIcon } from '../shared/CopyIcon'

interface FindingProps {
  ok: boolean
  /** The same in a word, for those who do not see the icon. */
  verdict: string
  name: string
  detail: string
  /** What to do about it. */
  hint?: string | null
}

export function Finding({ ok, verdict, name, detail, hint }: FindingProps) {
  return (
    <Group wrap="nowrap" align="start" gap="sm" component="article" aria-label={name}>
      <ThemeIcon color={ok ? 'teal' : 'red'} variant="light" radius="xl" size="sm">
        {ok ? <IconCheck size={14} aria-hidden /> : <IconX size={14} aria-hidden />}
      </ThemeIcon>
      <Stack gap={4} miw={0} flex={1}>
        <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
          <VisuallyHidden>{verdict}: </VisuallyHidden>
          <Text span fw={600} inherit>
            {name}
          </Text>
          : {detail}
        </Text>
        {hint && (
          <Group gap="xs" wrap="nowrap" align="start">
            <Code block flex={1} miw={0} style={BREAKING}>
              {hint}
            </Code>
            <CopyIcon value={hint} label={`Copy the commands for ${name}`} />
          </Group>
        )}
      </Stack>
    </Group>
  )
}

const BREAKING = { whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' } as const

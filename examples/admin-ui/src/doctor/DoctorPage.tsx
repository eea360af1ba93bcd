import { Button, Code, Group, Paper, Stack, Text, ThemeIcon, VisuallyHidden } from '@mantine/core'
import { IconCheck, IconX } from '@tabler/icons-react'
import type { Check } from '../api/types'
import { useDoctor } from '../queries'
import { CopyIcon } from '../shared/CopyIcon'
import { Loaded } from '../shared/Feedback'
import { count, words } from '../shared/format'
import { Page } from '../shared/Page'

/** Whether everything is set up, what is wrong first, with what to do about it. */
export function DoctorPage() {
  const doctor = useDoctor()
  return (
    <Page
      title="Doctor"
      actions={
        <Button variant="default" loading={doctor.isFetching} onClick={() => void doctor.refetch()}>
          Check again
        </Button>
      }
    >
      <Loaded query={doctor}>
        {(checks) => {
          const [inOrder, wrong] = [true, false].map((ok) => checks.filter((it) => it.ok === ok))
          return (
            <>
              <Checks title="Failed checks" checks={wrong ?? []} />
              <Checks title="Passed checks" checks={inOrder ?? []} />
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}

function Checks({ title, checks }: { title: string; checks: Check[] }) {
  if (checks.length === 0) return null
  return (
    <Paper withBorder p="md" component="section" aria-label={title}>
      <Text size="sm" c="dimmed" mb="md">
        {title}: {count(checks.length, 'check')}
      </Text>
      <Stack gap="md">
        {checks.map((check) => (
          <OneCheck key={`${check.check} ${check.detail}`} check={check} />
        ))}
      </Stack>
    </Paper>
  )
}

function OneCheck({ check: { check, ok, detail, hint } }: { check: Check }) {
  return (
    <Group wrap="nowrap" align="start" gap="sm" component="article" aria-label={words(check)}>
      <ThemeIcon color={ok ? 'teal' : 'red'} variant="light" radius="xl" size="sm">
        {ok ? <IconCheck size={14} aria-hidden /> : <IconX size={14} aria-hidden />}
      </ThemeIcon>
      <Stack gap={4} miw={0} flex={1}>
        <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
          <VisuallyHidden>{ok ? 'Passed: ' : 'Failed: '}</VisuallyHidden>
          <Text span fw={600} inherit>
            {words(check)}
          </Text>
          : {detail}
        </Text>
        {hint && (
          <Group gap="xs" wrap="nowrap" align="start">
            <Code block flex={1} miw={0} style={BREAKING}>
              {hint}
            </Code>
            <CopyIcon value={hint} label={`Copy the commands for ${check}`} />
          </Group>
        )}
      </Stack>
    </Group>
  )
}

const BREAKING = { whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' } as const

import { Button, Card, Code, Group, Stack, Text, ThemeIcon, VisuallyHidden } from '@mantine/core'
import { IconCheck, IconX } from '@tabler/icons-react'
import type { Check } from '../api/types'
import { useDoctor } from '../queries'
import { CopyIcon } from '../shared/CopyIcon'
import { Loaded } from '../shared/Feedback'
import { words } from '../shared/format'
import { Page } from '../shared/Page'

/** Whether everything is set up, what is wrong first, with what to do about it. */
export function DoctorPage() {
  const doctor = useDoctor()
  return (
    <Page
      title="Doctor"
      actions={
        <Button variant="default" loading={doctor.isFetching} onClick={() => void doctor.refetch()}>
          Look again
        </Button>
      }
    >
      <Loaded query={doctor}>
        {(checks) => (
          <Stack gap="sm">
            {checks
              .toSorted((one, other) => Number(one.ok) - Number(other.ok))
              .map((check) => (
                <CheckCard key={`${check.check} ${check.detail}`} check={check} />
              ))}
          </Stack>
        )}
      </Loaded>
    </Page>
  )
}

function CheckCard({ check: { check, ok, detail, hint } }: { check: Check }) {
  return (
    <Card withBorder p="sm">
      <Group wrap="nowrap" align="start">
        <ThemeIcon color={ok ? 'teal' : 'red'} variant="light" radius="xl">
          {ok ? <IconCheck size={16} aria-hidden /> : <IconX size={16} aria-hidden />}
        </ThemeIcon>
        <Stack gap={4} miw={0} flex={1}>
          <Text fw={600}>
            <VisuallyHidden>{ok ? 'In order: ' : 'Wrong: '}</VisuallyHidden>
            {words(check)}
          </Text>
          <Text size="sm">{detail}</Text>
          {hint && (
            <Group gap="xs" wrap="nowrap" align="start">
              <Code block flex={1} miw={0} style={{ whiteSpace: 'pre-wrap' }}>
                {hint}
              </Code>
              <CopyIcon value={hint} label={`Copy what to do about ${check}`} />
            </Group>
          )}
        </Stack>
      </Group>
    </Card>
  )
}

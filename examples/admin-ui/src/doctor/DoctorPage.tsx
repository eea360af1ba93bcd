import { Button, Paper, Stack, Text } from '@mantine/core'
import type { Check } from '../api/types'
import { useDoctor } from '../queries'
import { Loaded } from '../shared/Feedback'
import { count, words } from '../shared/format'
import { Page } from '../shared/Page'
import { Accounts } from './Accounts'
import { Finding } from './Finding'

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
              <Accounts />
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
        {checks.map(({ check, ok, detail, hint }) => (
          <Finding
            key={`${check} ${detail}`}
            ok={ok}
            verdict={ok ? 'Passed' : 'Failed'}
            name={words(check)}
            detail={detail}
            hint={hint}
          />
        ))}
      </Stack>
    </Paper>
  )
}

import { Anchor, Group, Paper, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { Status } from '../api/types'
import { useStatus } from '../queries'
import { ago, count } from '../shared/format'

/** How things stand, on every screen: the last sweep and what waits for a person. */
export function StatusStrip() {
  const { data: status } = useStatus()
  if (!status) return null
  return (
    <Paper withBorder px="md" py="xs" mb="lg" component="section" aria-label="Status">
      <Group gap={4} style={{ columnGap: 'var(--mantine-spacing-xl)' }}>
        <Fact name="Last sweep">{aboutSweep(status)}</Fact>
        {status.next_sweep_at && <Fact name="Next">{ago(status.next_sweep_at)}</Fact>}
        <Fact name="Waiting for a person">
          <Anchor component={Link} to="/issues" inherit underline="always">
            {aboutIssues(status)}
          </Anchor>
        </Fact>
      </Group>
      {status.last_sweep_success === false && <Text size="sm">{status.summary}</Text>}
    </Paper>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <Text size="sm">
      <Text span c="dimmed" inherit>
        {name}:{' '}
      </Text>
      {children}
    </Text>
  )
}

function aboutSweep({ last_sweep_at, last_sweep_success, last_sweep_repaired }: Status): string {
  if (last_sweep_at === null) return 'none yet'
  const outcome = last_sweep_success
    ? `${count(last_sweep_repaired ?? 0, 'invoice')} repaired`
    : 'incomplete'
  return `${ago(last_sweep_at)}, ${outcome}`
}

export const openIssues = (status: Status) =>
  status.open_critical + status.open_warning + status.open_notice

function aboutIssues(status: Status): string {
  const all = count(openIssues(status), 'open issue')
  return status.open_critical > 0 ? `${all}, ${status.open_critical} critical` : all
}

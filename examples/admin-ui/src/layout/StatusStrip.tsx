import { Anchor, Group, Paper, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { Issue, Run } from '../api/types'
import { useOpenIssues, useRuns } from '../queries'
import { ago, count, duration } from '../shared/format'

/** How things stand, on every screen: the last sweep and what waits for a person. */
export function StatusStrip() {
  const runs = useRuns(1, 20)
  const issues = useOpenIssues()
  if (!runs.data || !issues.data) return null
  const sweep = runs.data.rows.find((run) => run.kind === 'sweep')
  return (
    <Paper withBorder px="md" py="xs" mb="lg" component="section" aria-label="Status">
      <Group gap="xs" style={{ columnGap: 'var(--mantine-spacing-xl)' }}>
        <Fact name="Last sweep">{sweep ? aboutSweep(sweep) : 'none yet'}</Fact>
        <Fact name="Waiting for a person">
          <Anchor component={Link} to="/issues" inherit underline="always">
            {aboutIssues(issues.data)}
          </Anchor>
        </Fact>
      </Group>
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

function aboutSweep(sweep: Run): string {
  const when = ago(sweep.started_at)
  if (sweep.duration === null) return `${when}, under way or ended from outside`
  const did = `${count(sweep.invoices_checked, 'invoice')} checked, ${sweep.invoices_fixed} repaired`
  const failed = sweep.success
    ? ''
    : `, not complete: ${sweep.error ?? 'Stripe could not be asked'}`
  return `${when}, ${did} in ${duration(sweep.duration)}${failed}`
}

function aboutIssues(issues: Issue[]): string {
  const critical = issues.filter((issue) => issue.severity === 'critical').length
  const all = count(issues.length, 'open issue')
  return critical > 0 ? `${all}, ${critical} critical` : all
}

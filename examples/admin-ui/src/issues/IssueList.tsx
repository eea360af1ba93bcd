import { Stack } from '@mantine/core'
import type { Issue } from '../api/types'
import { IssueCard } from './IssueCard'

export function IssueList({ issues }: { issues: Issue[] }) {
  return (
    <Stack gap="sm">
      {issues.map((issue) => (
        <IssueCard key={issue.id} issue={issue} />
      ))}
    </Stack>
  )
}

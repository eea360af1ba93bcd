import { Stack } from '@mantine/core'
import type { Issue } from '../api/types'
import { Paged } from '../shared/Paged'
import { IssueCard } from './IssueCard'
import { useAccountOf } from './useAccountOf'

interface IssueListProps {
  issues: Issue[]
  onDecide: (issue: Issue) => void
}

export function IssueList({ issues, onDecide }: IssueListProps) {
  return (
    <Paged items={issues} size={20}>
      {(shown) => <Cards issues={shown} onDecide={onDecide} />}
    </Paged>
  )
}

function Cards({ issues, onDecide }: IssueListProps) {
  const accountOf = useAccountOf(issues)
  return (
    <Stack gap="sm">
      {issues.map((issue) => (
        <IssueCard key={issue.id} issue={issue} account={accountOf(issue)} onDecide={onDecide} />
      ))}
    </Stack>
  )
}

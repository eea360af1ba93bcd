import { Stack } from '@mantine/core'
import type { Issue } from '../api/types'
import { Paged } from '../shared/Paged'
import { IssueCard } from './IssueCard'

interface IssueListProps {
  issues: Issue[]
  onDecide: (issue: Issue) => void
}

export function IssueList({ issues, onDecide }: IssueListProps) {
  return (
    <Paged items={issues} size={20}>
      {(shown) => (
        <Stack gap="sm">
          {shown.map((issue) => (
            <IssueCard key={issue.id} issue={issue} onDecide={onDecide} />
          ))}
        </Stack>
      )}
    </Paged>
  )
}

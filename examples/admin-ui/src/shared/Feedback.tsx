import { Alert, Button, Skeleton, Stack, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { asProblem } from '../api/problem'
import { ago } from './format'

interface FailureProps {
  error: unknown
  onAgain?: () => void
}

/** Shows why something is not there. */
export function Failure({ error, onAgain }: FailureProps) {
  const problem = asProblem(error)
  return (
    <Alert color="red" title={problem.title} icon={<IconAlertTriangle aria-hidden />} role="alert">
      <Stack align="start" gap="sm">
        <Text size="sm">{problem.message}</Text>
        {onAgain && (
          <Button variant="default" size="xs" onClick={onAgain}>
            Try again
          </Button>
        )}
      </Stack>
    </Alert>
  )
}

/** Says that there is nothing, and what to do next. */
export function Nothing({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack align="center" gap={4} py="xl" px="md">
      <Text fw={600} ta="center">
        {title}
      </Text>
      <Text size="sm" c="dimmed" ta="center" maw={480} component="div">
        {children}
      </Text>
    </Stack>
  )
}

interface LoadedProps<T> {
  query: UseQueryResult<T>
  children: (data: T) => ReactNode
}

/** The data once it is there, also where it could not be read again; until then a placeholder, or why not. */
export function Loaded<T>({ query, children }: LoadedProps<T>) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <Outdated error={query.error} since={query.dataUpdatedAt} />}
        {children(query.data)}
      </>
    )
  }
  if (query.isError) return <Failure error={query.error} onAgain={() => void query.refetch()} />
  return <Skeleton height={160} aria-label="Loading" role="status" />
}

function Outdated({ error, since }: { error: unknown; since: number }) {
  const { title, message } = asProblem(error)
  return (
    <Text size="sm" c="dimmed" role="status">
      Data of {ago(new Date(since).toISOString())}; reloading failed: {title}. {message}
    </Text>
  )
}

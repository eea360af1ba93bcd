import { Alert, Skeleton, Stack, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { asProblem } from '../api/problem'

/** Shows why something is not there. */
export function Failure({ error }: { error: unknown }) {
  const problem = asProblem(error)
  return (
    <Alert color="red" title={problem.title} icon={<IconAlertTriangle aria-hidden />} role="alert">
      <Text size="sm">{problem.message}</Text>
      {problem.hint && <Text size="sm">{problem.hint}</Text>}
    </Alert>
  )
}

/** Says that there is nothing, and what to do next. */
export function Nothing({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack align="center" gap={4} py="xl" px="md">
      <Text fw={600}>{title}</Text>
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

/** The data once it is there; until then a placeholder, or why not. */
export function Loaded<T>({ query, children }: LoadedProps<T>) {
  if (query.isPending) return <Skeleton height={160} aria-label="Loading" role="status" />
  if (query.isError) return <Failure error={query.error} />
  return children(query.data)
}

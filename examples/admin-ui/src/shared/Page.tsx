import { Group, Stack, Title } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import type { ReactNode } from 'react'

interface PageProps {
  title: string
  /** Beside the title, at its right. */
  actions?: ReactNode
  children: ReactNode
}

export function Page({ title, actions, children }: PageProps) {
  useDocumentTitle(`${title} · invoice_sync`)
  return (
    <Stack gap="lg">
      <Group justify="space-between">
        <Title order={1} size="h2">
          {title}
        </Title>
        {actions}
      </Group>
      {children}
    </Stack>
  )
}

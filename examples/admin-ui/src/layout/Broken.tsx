import { Alert, Button, Container, Stack, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { useRouteError } from 'react-router'

/** Stands where a screen has broken. */
export function Broken() {
  const error = useRouteError()
  return (
    <Container size="sm" py="xl">
      <Alert
        color="red"
        role="alert"
        title="This page failed"
        icon={<IconAlertTriangle aria-hidden />}
      >
        <Stack align="start" gap="sm">
          <Text size="sm">
            An error in the page occurred; no data was changed.{' '}
            {error instanceof Error ? error.message : String(error)}
          </Text>
          <Button variant="default" size="xs" onClick={() => window.location.reload()}>
            Reload
          </Button>
        </Stack>
      </Alert>
    </Container>
  )
}

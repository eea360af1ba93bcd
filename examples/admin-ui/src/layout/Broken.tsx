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
        title="This screen has broken"
        icon={<IconAlertTriangle aria-hidden />}
      >
        <Stack align="start" gap="sm">
          <Text size="sm">
            It is the page’s own mistake; nothing was changed by it.{' '}
            {error instanceof Error ? error.message : String(error)}
          </Text>
          <Button variant="default" size="xs" onClick={() => window.location.reload()}>
            Load it again
          </Button>
        </Stack>
      </Alert>
    </Container>
  )
}

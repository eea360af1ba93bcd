import {
  Alert,
  Button,
  Container,
  Paper,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { isDemo } from '../config'
import { PASSWORD, PEOPLE } from '../demo/people'
import { supabase } from '../supabase'

/** Signs in with e-mail and password through Supabase Auth. In the demonstration both are filled in. */
export function SignIn() {
  useDocumentTitle('Sign in · invoice_sync')
  const [email, setEmail] = useState(isDemo ? String(PEOPLE[0]?.email) : '')
  const [password, setPassword] = useState(isDemo ? PASSWORD : '')
  const signIn = useMutation({
    mutationFn: async () => {
      const { error } = await supabase.auth.signInWithPassword({ email, password })
      if (error) throw error
    },
  })

  return (
    <Container component="main" size={420} pt={{ base: '10vh', sm: '20vh' }}>
      <Title order={1} size="h2">
        invoice_sync
      </Title>
      <Text c="dimmed" mb="md">
        Sign in as an admin
      </Text>
      <Paper
        withBorder
        p="lg"
        component="form"
        onSubmit={(event) => {
          event.preventDefault()
          signIn.mutate()
        }}
      >
        <Stack>
          <TextInput
            label="E-mail"
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          {signIn.error && (
            <Alert color="red" role="alert">
              {signIn.error.message}
            </Alert>
          )}
          <Button type="submit" loading={signIn.isPending}>
            Sign in
          </Button>
        </Stack>
      </Paper>
    </Container>
  )
}

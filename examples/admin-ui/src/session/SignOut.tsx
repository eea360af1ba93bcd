import { ActionIcon } from '@mantine/core'
import { IconLogout } from '@tabler/icons-react'
import { supabase } from '../supabase'

export function SignOut() {
  return (
    <ActionIcon
      variant="default"
      size="lg"
      aria-label="Sign out"
      onClick={() => void supabase.auth.signOut()}
    >
      <IconLogout size={18} aria-hidden />
    </ActionIcon>
  )
}

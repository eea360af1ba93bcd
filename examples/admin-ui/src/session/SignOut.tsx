import { ActionIcon, Tooltip } from '@mantine/core'
import { IconLogout } from '@tabler/icons-react'
import { supabase } from '../supabase'

export function SignOut() {
  return (
    <Tooltip label="Sign out">
      <ActionIcon
        variant="default"
        size="lg"
        aria-label="Sign out"
        onClick={() => void supabase.auth.signOut({ scope: 'local' })}
      >
        <IconLogout size={18} aria-hidden />
      </ActionIcon>
    </Tooltip>
  )
}

import { Button } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { supabase } from '../supabase'

/** For whoever is signed in and refused by the database. */
export function NotAdmin({ onAgain }: { onAgain: () => Promise<unknown> }) {
  const again = useMutation({
    // Who was made an admin a moment ago has it in their next token only.
    mutationFn: async () => {
      await supabase.auth.refreshSession()
      await onAgain()
    },
  })
  return (
    <Page title="You are not an admin">
      <Nothing title="Only admins can use this page">
        Ask the administrator of the database to make your account an admin, or sign in with another
        account.
      </Nothing>
      <Button variant="default" mx="auto" loading={again.isPending} onClick={() => again.mutate()}>
        Check again
      </Button>
    </Page>
  )
}

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
      <Nothing title="This page is for those who keep the books">
        Your account may not see what it shows. Ask whoever looks after the database to make you an
        admin, or sign in as somebody else.
      </Nothing>
      <Button variant="default" mx="auto" loading={again.isPending} onClick={() => again.mutate()}>
        Look again
      </Button>
    </Page>
  )
}

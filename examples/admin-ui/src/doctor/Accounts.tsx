import { Paper, Stack, Text } from '@mantine/core'
import type { Account } from '../api/types'
import { useAccounts } from '../queries'
import { ago, count } from '../shared/format'
import { Finding } from './Finding'

/** The Stripe accounts beside that of the key, those that cannot be asked first; nothing without any. */
export function Accounts() {
  const { rows, total } = useAccounts().data ?? { rows: [], total: 0 }
  if (rows.length === 0) return null
  return (
    <Paper withBorder p="md" component="section" aria-label="Stripe accounts">
      <Text size="sm" c="dimmed" mb="md">
        Stripe accounts: {count(total, 'account')}
        {total > rows.length && `, of which ${rows.length} are shown`}
      </Text>
      <Stack gap="md">
        {rows.map((account) => (
          <Finding
            key={account.account}
            ok={account.refused === null}
            verdict={account.refused === null ? 'Answers' : 'Cannot be asked'}
            name={account.account}
            detail={account.refused ?? lastHeard(account)}
          />
        ))}
      </Stack>
    </Paper>
  )
}

function lastHeard({ last_webhook_at, feed_read_at }: Account): string {
  const webhook = last_webhook_at ? `last webhook ${ago(last_webhook_at)}` : 'no webhook yet'
  const feed = feed_read_at ? `feed read ${ago(feed_read_at)}` : 'feed not read yet'
  return `${webhook}, ${feed}`
}

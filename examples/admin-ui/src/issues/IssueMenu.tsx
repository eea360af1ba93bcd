import { ActionIcon, Menu } from '@mantine/core'
import { IconDots } from '@tabler/icons-react'
import { acknowledgeIssue, snoozeIssue } from '../api/api'
import type { Issue } from '../api/types'
import { toastDone } from '../shared/toasts'
import { isSnoozed } from './snooze'
import { useAction } from '../shared/useAction'

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)

/** What can be said about an issue without deciding it. */
export function IssueMenu({ issue }: { issue: Issue }) {
  const say = useAction({
    name: `say of issue ${issue.id}`,
    call: ({ call }: { call: () => Promise<null>; message: string }) => call(),
    onDone: (_none, { message }) => toastDone(`Issue ${issue.id}`, message),
  })
  const snooze = (days: number) =>
    say.run({
      call: () => snoozeIssue(issue.id, inDays(days)),
      message: `No reminders are sent for ${days === 1 ? 'a day' : `${days} days`}.`,
    })

  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon
          variant="default"
          size={30}
          loading={say.isPending}
          aria-label={`More about issue ${issue.id}`}
        >
          <IconDots size={16} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {issue.state === 'open' && (
          <Menu.Item
            onClick={() =>
              say.run({
                call: () => acknowledgeIssue(issue.id),
                message: 'The issue is acknowledged. It stays open, and no reminders are sent.',
              })
            }
          >
            Acknowledge
          </Menu.Item>
        )}
        <Menu.Item onClick={() => snooze(1)}>Snooze for a day</Menu.Item>
        <Menu.Item onClick={() => snooze(7)}>Snooze for a week</Menu.Item>
        {isSnoozed(issue) && (
          <Menu.Item
            onClick={() =>
              say.run({
                call: () => snoozeIssue(issue.id, new Date()),
                message: 'It is no longer snoozed.',
              })
            }
          >
            End the snooze
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  )
}

import { AppShell, Burger, Group, Skeleton, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Suspense } from 'react'
import { Outlet } from 'react-router'
import { asProblem } from '../api/problem'
import { BooksContext } from '../books'
import { isDemo } from '../config'
import { DemoMenu } from '../demo/DemoMenu'
import { useBooksQuery } from '../queries'
import { NotAdmin } from '../session/NotAdmin'
import { SignOut } from '../session/SignOut'
import { Loaded } from '../shared/Feedback'
import { ColorSchemeSwitch } from './ColorSchemeSwitch'
import { Navigation } from './Navigation'
import { StatusStrip } from './StatusStrip'

/** What is around every screen. Whoever the database refuses sees none of them. */
export function Shell() {
  const [opened, { toggle, close }] = useDisclosure()
  const books = useBooksQuery()
  const isRefused = books.isError && asProblem(books.error).isRefusal
  const hasScreens = books.data !== undefined && !isRefused
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{
        width: 210,
        breakpoint: 'sm',
        collapsed: { mobile: !opened || !hasScreens, desktop: !hasScreens },
      }}
      padding="md"
    >
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            {hasScreens && (
              <Burger
                opened={opened}
                onClick={toggle}
                hiddenFrom="sm"
                size="sm"
                aria-label="Navigation"
                aria-expanded={opened}
              />
            )}
            <Text fw={700}>invoice_sync</Text>
          </Group>
          <Group gap="xs" wrap="nowrap">
            {isDemo && <DemoMenu />}
            <ColorSchemeSwitch />
            <SignOut />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Screens">
        {hasScreens && <Navigation onNavigate={close} />}
      </AppShell.Navbar>
      <AppShell.Main>
        {isRefused ? (
          <NotAdmin onAgain={books.refetch} />
        ) : (
          <Loaded query={books}>
            {(known) => (
              <BooksContext value={known}>
                <StatusStrip />
                <Suspense fallback={<Skeleton height={160} />}>
                  <Outlet />
                </Suspense>
              </BooksContext>
            )}
          </Loaded>
        )}
      </AppShell.Main>
    </AppShell>
  )
}

import { AppShell, Burger, Group, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import type { ReactNode } from 'react'
import { isDemo } from '../config'
import { DemoBar } from '../demo/DemoBar'
import { SignOut } from '../session/SignOut'
import { ColorSchemeSwitch } from './ColorSchemeSwitch'
import { Navigation } from './Navigation'
import { StatusStrip } from './StatusStrip'

/** What is around every screen. */
export function Shell({ children }: { children: ReactNode }) {
  const [opened, { toggle, close }] = useDisclosure()
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 210, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding="md"
    >
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label="Navigation"
            />
            <Text fw={700}>invoice_sync</Text>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <ColorSchemeSwitch />
            {!isDemo && <SignOut />}
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Screens">
        <Navigation onNavigate={close} />
      </AppShell.Navbar>
      <AppShell.Main>
        {isDemo && <DemoBar />}
        <StatusStrip />
        {children}
      </AppShell.Main>
    </AppShell>
  )
}

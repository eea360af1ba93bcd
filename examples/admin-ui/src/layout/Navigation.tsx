import { Badge, NavLink } from '@mantine/core'
import {
  IconAlertCircle,
  IconFileInvoice,
  IconHistory,
  IconStethoscope,
  IconWebhook,
} from '@tabler/icons-react'
import { NavLink as RouterLink, useLocation } from 'react-router'
import { useStatus } from '../queries'
import { openIssues } from './StatusStrip'

const SCREENS = [
  { to: '/invoices', label: 'Invoices', Icon: IconFileInvoice },
  { to: '/issues', label: 'Open issues', Icon: IconAlertCircle },
  { to: '/runs', label: 'Runs', Icon: IconHistory },
  { to: '/webhooks', label: 'Webhooks', Icon: IconWebhook },
  { to: '/doctor', label: 'Doctor', Icon: IconStethoscope },
]

export function Navigation({ onNavigate }: { onNavigate: () => void }) {
  const { pathname } = useLocation()
  const status = useStatus().data
  const issues = status ? openIssues(status) : 0
  return SCREENS.map(({ to, label, Icon }) => (
    <NavLink
      key={to}
      component={RouterLink}
      to={to}
      label={label}
      active={pathname.startsWith(to)}
      onClick={onNavigate}
      leftSection={<Icon size={18} aria-hidden />}
      rightSection={
        to === '/issues' && issues > 0 ? (
          <Badge size="sm" color="red.9" variant="filled" circle={issues < 10}>
            {issues}
          </Badge>
        ) : null
      }
    />
  ))
}

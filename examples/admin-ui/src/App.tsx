import { MantineProvider } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { QueryClientProvider } from '@tanstack/react-query'
import { lazy } from 'react'
import { createBrowserRouter, Navigate, RouterProvider } from 'react-router'
import { DoctorPage } from './doctor/DoctorPage'
import { InvoicePage } from './invoices/InvoicePage'
import { InvoicesPage } from './invoices/InvoicesPage'
import { IssuesPage } from './issues/IssuesPage'
import { Broken } from './layout/Broken'
import { Shell } from './layout/Shell'
import { queryClient } from './queryClient'
import { SessionGate } from './session/SessionGate'
import { readableColours, theme } from './theme'

// These two bring the charts along.
const RunsPage = lazy(() => import('./runs/RunsPage'))
const WebhooksPage = lazy(() => import('./webhooks/WebhooksPage'))

const SCREENS = [
  { path: '/invoices', element: <InvoicesPage /> },
  { path: '/invoices/:id', element: <InvoicePage /> },
  { path: '/issues', element: <IssuesPage /> },
  { path: '/runs', element: <RunsPage /> },
  { path: '/webhooks', element: <WebhooksPage /> },
  { path: '/doctor', element: <DoctorPage /> },
  { path: '*', element: <Navigate to="/invoices" replace /> },
]

const router = createBrowserRouter(
  [
    {
      element: (
        <SessionGate>
          <Shell />
        </SessionGate>
      ),
      errorElement: <Broken />,
      // A screen that breaks leaves the way to the others.
      children: [{ errorElement: <Broken />, children: SCREENS }],
    },
  ],
  { basename: import.meta.env.BASE_URL },
)

export function App() {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={readableColours} defaultColorScheme="auto">
      <Notifications position="top-right" />
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  )
}

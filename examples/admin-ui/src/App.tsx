import { MantineProvider } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { lazy, Suspense } from 'react'
import { BrowserRouter, Navigate, Route, Routes } from 'react-router'
import { DoctorPage } from './doctor/DoctorPage'
import { InvoicePage } from './invoices/InvoicePage'
import { InvoicesPage } from './invoices/InvoicesPage'
import { IssuesPage } from './issues/IssuesPage'
import { Shell } from './layout/Shell'
import { SessionGate } from './session/SessionGate'
import { readableColours, theme } from './theme'

// These two bring the charts along.
const RunsPage = lazy(() => import('./runs/RunsPage'))
const WebhooksPage = lazy(() => import('./webhooks/WebhooksPage'))

// What the database refuses it refuses again: nothing is retried.
const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } })

export function App() {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={readableColours} defaultColorScheme="auto">
      <Notifications position="top-right" />
      <QueryClientProvider client={queries}>
        <SessionGate>
          <BrowserRouter basename={import.meta.env.BASE_URL}>
            <Shell>
              <Suspense>
                <Routes>
                  <Route path="/invoices" element={<InvoicesPage />} />
                  <Route path="/invoices/:id" element={<InvoicePage />} />
                  <Route path="/issues" element={<IssuesPage />} />
                  <Route path="/runs" element={<RunsPage />} />
                  <Route path="/webhooks" element={<WebhooksPage />} />
                  <Route path="/doctor" element={<DoctorPage />} />
                  <Route path="*" element={<Navigate to="/invoices" replace />} />
                </Routes>
              </Suspense>
            </Shell>
          </BrowserRouter>
        </SessionGate>
      </QueryClientProvider>
    </MantineProvider>
  )
}

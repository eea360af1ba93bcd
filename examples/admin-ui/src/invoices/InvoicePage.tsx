import { Anchor, Code, Stack, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link, useParams } from 'react-router'
import type { Invoice, Settings } from '../api/types'
import { IssueList } from '../issues/IssueList'
import { useChangesOf, useInvoice, useIssuesOf, usePayments, useSettings } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { ChangeHistory } from './ChangeHistory'
import { InvoiceFacts } from './InvoiceFacts'
import { PaymentTable } from './PaymentTable'
import { SyncButton } from './SyncButton'

/** Stripe is asked where the invoice says what about. */
const hasStripeIds = (invoice: Invoice) => invoice.session !== null || invoice.intent !== null

export function InvoicePage() {
  const { id = '' } = useParams()
  const settings = useSettings()
  const invoice = useInvoice(id)
  if (invoice.data && settings.data) {
    return <KnownInvoice invoice={invoice.data} settings={settings.data} />
  }
  return (
    <Page title="Invoice">
      <Loaded query={settings}>
        {() => <Loaded query={invoice}>{() => <UnknownInvoice id={id} />}</Loaded>}
      </Loaded>
    </Page>
  )
}

function UnknownInvoice({ id }: { id: string }) {
  return (
    <Nothing title="There is no such invoice">
      No invoice has the id <Code>{id}</Code>, or you may not see it.{' '}
      <Anchor component={Link} to="/invoices" inherit underline="always">
        All invoices
      </Anchor>
    </Nothing>
  )
}

function KnownInvoice({ invoice, settings }: { invoice: Invoice; settings: Settings }) {
  const payments = usePayments(invoice.id)
  const issues = useIssuesOf(invoice.id)
  const changes = useChangesOf(invoice.id)
  return (
    <Page
      title={invoice.number}
      actions={hasStripeIds(invoice) && <SyncButton invoice={invoice} />}
    >
      <InvoiceFacts invoice={invoice} settings={settings} />
      {issues.data?.length !== 0 && (
        <Section title="Open issues">
          <Loaded query={issues}>{(found) => <IssueList issues={found} />}</Loaded>
        </Section>
      )}
      <Section title="Payments">
        <Loaded query={payments}>
          {(found) => (
            <PaymentTable payments={found} currency={invoice.currency} settings={settings} />
          )}
        </Loaded>
      </Section>
      <Section title="History">
        <Loaded query={changes}>{(found) => <ChangeHistory changes={found} />}</Loaded>
      </Section>
    </Page>
  )
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack component="section" gap="sm" aria-label={title}>
      <Title order={2} size="h4">
        {title}
      </Title>
      {children}
    </Stack>
  )
}

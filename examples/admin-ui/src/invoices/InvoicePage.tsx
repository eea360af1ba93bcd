import { Anchor, Button, Code, Group, Stack, Title } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { Link, useParams } from 'react-router'
import type { Invoice } from '../api/types'
import { useDecision } from '../issues/DecisionDialog'
import { IssueList } from '../issues/IssueList'
import { useChangesOf, useInvoice, useIssuesOf, usePayments } from '../queries'
import { Loaded, Nothing } from '../shared/Feedback'
import { Page } from '../shared/Page'
import { ChangeHistory } from './ChangeHistory'
import { InvoiceFacts } from './InvoiceFacts'
import { PaymentTable } from './PaymentTable'
import { SyncButton } from './SyncButton'
import { Why } from './Why'

/** Stripe is asked where the invoice says what about. */
const hasStripeIds = (invoice: Invoice) => Boolean(invoice.session || invoice.intent)

export function InvoicePage() {
  const { id = '' } = useParams()
  const invoice = useInvoice(id)
  const known = invoice.data
  const [asksWhy, setAsksWhy] = useState(false)
  return (
    <Page
      title={known?.number ?? 'Invoice'}
      actions={
        known && (
          <Group gap="sm">
            <Button
              variant="default"
              aria-expanded={asksWhy}
              onClick={() => setAsksWhy((asked) => !asked)}
            >
              Why?
            </Button>
            {hasStripeIds(known) && <SyncButton invoice={known} />}
          </Group>
        )
      }
    >
      {known && asksWhy && (
        <Section title="Why?">
          <Why invoice={known} />
        </Section>
      )}
      <Loaded query={invoice}>
        {(found) => (found ? <KnownInvoice invoice={found} /> : <UnknownInvoice id={id} />)}
      </Loaded>
    </Page>
  )
}

function UnknownInvoice({ id }: { id: string }) {
  return (
    <Nothing title="Invoice not found">
      No invoice has the id <Code>{id}</Code>, or you may not see it.{' '}
      <Anchor component={Link} to="/invoices" inherit underline="always">
        All invoices
      </Anchor>
    </Nothing>
  )
}

function KnownInvoice({ invoice }: { invoice: Invoice }) {
  const payments = usePayments(invoice.id)
  const issues = useIssuesOf(invoice.id)
  const changes = useChangesOf(invoice.id)
  const decision = useDecision()
  return (
    <>
      <InvoiceFacts invoice={invoice} />
      {issues.data?.length !== 0 && (
        <Section title="Open issues">
          <Loaded query={issues}>
            {(found) => <IssueList issues={found} onDecide={decision.begin} />}
          </Loaded>
        </Section>
      )}
      <Section title="Payments">
        <Loaded query={payments}>
          {(found) => <PaymentTable payments={found} currency={invoice.currency} />}
        </Loaded>
      </Section>
      <Section title="History">
        <Loaded query={changes}>
          {(found) => <ChangeHistory changes={found} currency={invoice.currency} />}
        </Loaded>
      </Section>
      {decision.dialog}
    </>
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

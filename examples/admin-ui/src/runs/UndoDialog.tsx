import { Accordion, Alert, Button, Group, List, Modal, Stack, Text } from '@mantine/core'
import { undo } from '../api/api'
import type { Run, RowChange, Undone } from '../api/types'
import { useBooks, useMoney } from '../books'
import { useInvoicesById, useUndoPreview } from '../queries'
import { Changes } from '../shared/Changes'
import { Loaded } from '../shared/Feedback'
import { count } from '../shared/format'
import { Paged } from '../shared/Paged'
import { useAction } from '../shared/useAction'
import { useFocusAfter } from '../shared/useFocusAfter'
import { summaryOf } from './summary'

interface UndoDialogProps {
  run: Run
  onClose: () => void
}

/** Shows what would be put back, does it once confirmed, and says what was left and why. */
export function UndoDialog({ run, onClose }: UndoDialogProps) {
  const carryOut = useAction({ name: `undo ${run.id}`, call: () => undo(run.id) })
  const done = carryOut.result
  const preview = useUndoPreview(run.id, done === undefined)
  const content = useFocusAfter(done)
  const isDecision = run.kind === 'resolve_issue'
  // A decision is taken back also where it has changed no row.
  const canBeDone = preview.data !== undefined && (preview.data.undone > 0 || isDecision)

  return (
    <Modal
      opened
      onClose={onClose}
      title={isDecision ? `Revoke the decision of run ${run.id}` : `Undo run ${run.id}`}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Stack ref={content} tabIndex={-1}>
        {done ? (
          <Result result={done} />
        ) : (
          <Loaded query={preview}>
            {(result) => <Preview result={result} isDecision={isDecision} />}
          </Loaded>
        )}
        <Group justify="end">
          <Button variant="default" onClick={onClose}>
            {done || !canBeDone ? 'Close' : 'Cancel'}
          </Button>
          {canBeDone && !done && (
            <Button color="red.9" loading={carryOut.isPending} onClick={() => carryOut.run()}>
              {isDecision ? 'Revoke' : 'Undo'}
            </Button>
          )}
        </Group>
        <Invoices undone={(done ?? preview.data)?.details.undone ?? []} />
      </Stack>
    </Modal>
  )
}

function Preview({ result, isDecision }: { result: Undone; isDecision: boolean }) {
  return (
    <>
      <Alert color="blue" title="Nothing has been changed yet" role="status">
        {intention(result, isDecision)}
      </Alert>
      <Left left={result.left} title="Would not be restored" />
    </>
  )
}

function Result({ result }: { result: Undone }) {
  return (
    <>
      <Alert color="teal" title="Done" role="status">
        {result.message}
      </Alert>
      <Left left={result.left} title="Not restored" />
    </>
  )
}

function intention({ undone, left, message }: Undone, isDecision: boolean): string {
  const rows =
    undone > 0 ? `${count(undone, 'invoice')} would be restored to the state before the run.` : ''
  if (isDecision) {
    return `The decision would be revoked, and its issue opened again. ${rows}`
  }
  return rows || (left.length > 0 ? 'Nothing can be restored.' : message)
}

function Left({ left, title }: { left: Undone['left']; title: string }) {
  if (left.length === 0) return null
  return (
    <Alert color="orange" title={title}>
      <Paged items={left} size={10}>
        {(shown) => (
          <List size="sm">
            {shown.map(({ table, row, why }) => (
              <List.Item key={`${table} ${row}`}>
                {why}{' '}
                <Text span c="dimmed" size="xs">
                  ({table} {row})
                </Text>
              </List.Item>
            ))}
          </List>
        )}
      </Paged>
    </Alert>
  )
}

type Invoices = Undone['details']['undone']

/** Collapsed: each with what becomes of its status and its amount; opened, column by column. */
function Invoices({ undone }: { undone: Invoices }) {
  return (
    <Paged items={undone} size={8}>
      {(shown) => <InvoicesOfPage undone={shown} />}
    </Paged>
  )
}

function InvoicesOfPage({ undone }: { undone: Invoices }) {
  const { settings } = useBooks()
  const { money } = useMoney()
  const known = useInvoicesById(undone.map(({ invoiceId }) => invoiceId)).data ?? []
  const currencyOf = (id: string) =>
    known.find((invoice) => invoice.id === id)?.currency ?? settings.default_currency
  const summary = (changes: RowChange[], currency: string) =>
    summaryOf(changes, settings, (amount) => money(amount, currency))
  return (
    <Accordion variant="contained" order={3}>
      {undone.map(({ invoiceId, invoiceNumber, changes }) => (
        <Accordion.Item key={invoiceId} value={invoiceId}>
          <Accordion.Control>
            <Text size="sm" fw={600}>
              {invoiceNumber ?? invoiceId}
            </Text>
            <Text size="sm" c="dimmed">
              {summary(changes, currencyOf(invoiceId))}
            </Text>
          </Accordion.Control>
          <Accordion.Panel>
            <Changes changes={changes} currency={currencyOf(invoiceId)} />
          </Accordion.Panel>
        </Accordion.Item>
      ))}
    </Accordion>
  )
}

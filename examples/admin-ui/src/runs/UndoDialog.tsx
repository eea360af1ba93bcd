import { Accordion, Alert, Button, Group, List, Modal, Skeleton, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { previewUndo, undo } from '../api/api'
import type { Undone } from '../api/types'
import { Changes } from '../shared/Changes'
import { Failure } from '../shared/Feedback'
import { useAction } from '../shared/useAction'

interface UndoDialogProps {
  run: number
  onClose: () => void
}

/** Shows what would be put back, does it once confirmed, and says what was left and why. */
export function UndoDialog({ run, onClose }: UndoDialogProps) {
  const preview = useQuery({
    queryKey: ['undo', run],
    queryFn: () => previewUndo(run),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })
  const carryOut = useAction({ name: `undo ${run}`, call: () => undo(run) })
  const shown = carryOut.result ?? preview.data
  const nothing = preview.data?.undone === 0

  return (
    <Modal
      opened
      onClose={onClose}
      title={`Undo run ${run}`}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Stack>
        {preview.isPending && <Skeleton height={120} />}
        {preview.isError && <Failure error={preview.error} />}
        {shown && <Told result={shown} />}
        <Group justify="end">
          <Button variant="default" onClick={onClose}>
            {carryOut.result || nothing ? 'Close' : 'Cancel'}
          </Button>
          {preview.data && !carryOut.result && !nothing && (
            <Button color="red.9" loading={carryOut.isPending} onClick={() => carryOut.run()}>
              Put back
            </Button>
          )}
        </Group>
        {shown && <Invoices undone={shown.details.undone} />}
      </Stack>
    </Modal>
  )
}

function Told({ result }: { result: Undone }) {
  return (
    <>
      <Alert
        color={result.dryRun ? 'blue' : 'teal'}
        title={result.dryRun ? 'Preview: nothing is done yet' : 'Done'}
        role="status"
      >
        {result.message}
      </Alert>
      {result.left.length > 0 && (
        <Alert color="orange" title="Left as it is">
          <List size="sm">
            {result.left.map((left) => (
              <List.Item key={`${left.table} ${left.row}`}>
                {left.why}{' '}
                <Text span c="dimmed" size="xs">
                  ({left.table} {left.row})
                </Text>
              </List.Item>
            ))}
          </List>
        </Alert>
      )}
    </>
  )
}

function Invoices({ undone }: { undone: Undone['details']['undone'] }) {
  return (
    <Accordion variant="contained" order={3}>
      {undone.map((invoice) => (
        <Accordion.Item key={invoice.invoiceId} value={invoice.invoiceId}>
          <Accordion.Control>{invoice.invoiceNumber ?? invoice.invoiceId}</Accordion.Control>
          <Accordion.Panel>
            <Changes changes={invoice.changes} />
          </Accordion.Panel>
        </Accordion.Item>
      ))}
    </Accordion>
  )
}

import { Badge, Group, Stack, Table, Text } from '@mantine/core'
import type { Json, Row, RowChange } from '../api/types'

const ACTIONS: Record<RowChange['action'], string> = {
  insert: 'New row in',
  update: 'Changed in',
  delete: 'Removed from',
}

/** Rows before and after, column by column. */
export function Changes({ changes }: { changes: RowChange[] }) {
  return (
    <Stack gap="md">
      {changes.map((change) => (
        <ChangedRow key={`${change.table} ${change.row} ${change.action}`} change={change} />
      ))}
    </Stack>
  )
}

function ChangedRow({ change }: { change: RowChange }) {
  return (
    <Table.ScrollContainer minWidth={320} type="native">
      <Table captionSide="top" withTableBorder fz="sm">
        <Table.Caption ta="left" mt={0}>
          <Group gap="xs">
            <Badge variant="light" color={change.action === 'delete' ? 'orange' : 'blue'}>
              {ACTIONS[change.action]}
            </Badge>
            <Text size="sm" span>
              {change.table}
            </Text>
          </Group>
        </Table.Caption>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Column</Table.Th>
            {change.before && <Table.Th>Before</Table.Th>}
            {change.after && <Table.Th>After</Table.Th>}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {columnsOf(change).map((column) => (
            <Table.Tr key={column}>
              <Table.Th scope="row" fw={500}>
                {column}
              </Table.Th>
              {change.before && <Table.Td>{shown(change.before, column)}</Table.Td>}
              {change.after && <Table.Td>{shown(change.after, column)}</Table.Td>}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

/** All that changed; of a whole row, what is filled in. */
function columnsOf({ before, after }: RowChange): string[] {
  const columns = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])
  return [...columns]
    .filter((column) => (before && after) || (before ?? after)?.[column] !== null)
    .sort()
}

function shown(row: Row, column: string) {
  const value: Json | undefined = row[column]
  if (value === null || value === undefined) {
    return (
      <Text span c="dimmed" fz="sm">
        empty
      </Text>
    )
  }
  return (
    <Text span fz="sm" style={{ overflowWrap: 'anywhere' }}>
      {typeof value === 'object' ? JSON.stringify(value) : String(value)}
    </Text>
  )
}

import { Badge, Stack, Table, Text } from '@mantine/core'
import type { Json, RowChange } from '../api/types'
import { useBooks, useMoney } from '../books'
import { day, moment, words } from './format'
import { type Meaning, meaningOf, thingIn } from './meanings'

const ACTIONS = { insert: 'New', update: 'Changed', delete: 'Removed' }
const COLOURS = { insert: 'teal', update: 'blue', delete: 'orange' }

interface ChangesProps {
  changes: RowChange[]
  /** Of the invoice that they are about. */
  currency: string
}

/** Rows before and after, column by column. */
export function Changes({ changes, currency }: ChangesProps) {
  return (
    <Stack gap="md">
      {changes.map((change) => (
        <ChangedRow
          key={`${change.table} ${change.row} ${change.action}`}
          change={change}
          currency={currency}
        />
      ))}
    </Stack>
  )
}

function ChangedRow({ change, currency }: { change: RowChange; currency: string }) {
  const { settings } = useBooks()
  const thing = words(thingIn(change.table, settings))
  return (
    <Table captionSide="top" withTableBorder fz="sm">
      <Table.Caption ta="left" mt={0} mb={4}>
        <Text span size="sm" fw={500} mr="xs">
          {thing}
        </Text>
        <Badge variant="light" color={COLOURS[change.action]} tt="none">
          {ACTIONS[change.action]}
        </Badge>
      </Table.Caption>
      <Table.Thead>
        <Table.Tr>
          <Table.Th w="30%">What</Table.Th>
          {change.before && <Table.Th>Before</Table.Th>}
          {change.after && <Table.Th>After</Table.Th>}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {columnsOf(change, (column) => meaningOf(change.table, column, settings)).map(
          ({ column, meaning }) => (
            <Table.Tr key={column}>
              <Table.Th scope="row" fw={500}>
                {words(meaning.label)}
              </Table.Th>
              {[change.before, change.after].map(
                (row, at) =>
                  row && (
                    <Table.Td key={at} style={meaning.isAmount ? WHOLE : BREAKING}>
                      <Value value={row[column]} meaning={meaning} currency={currency} />
                    </Table.Td>
                  ),
              )}
            </Table.Tr>
          ),
        )}
      </Table.Tbody>
    </Table>
  )
}

const BREAKING = { overflowWrap: 'anywhere' } as const
const WHOLE = { whiteSpace: 'nowrap' } as const

/** All that changed; of a whole row, what is filled in. What is known comes first. */
function columnsOf({ before, after }: RowChange, meaning: (column: string) => Meaning) {
  const columns = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])
  return [...columns]
    .filter((column) => (before && after) || (before ?? after)?.[column] !== null)
    .map((column) => ({ column, meaning: meaning(column) }))
    .sort((one, other) => {
      return one.meaning.rank - other.meaning.rank || one.column.localeCompare(other.column)
    })
}

interface ValueProps {
  value: Json | undefined
  meaning: Meaning
  currency: string
}

function Value({ value, meaning, currency }: ValueProps) {
  const { money } = useMoney()
  if (value === null || value === undefined || value === '') {
    return (
      <Text span c="dimmed" inherit>
        empty
      </Text>
    )
  }
  if (meaning.isAmount) return money(String(value), currency)
  return typeof value === 'string' ? inWords(value) : JSON.stringify(value)
}

/** As PostgreSQL writes dates and moments in JSON. */
function inWords(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return day(text)
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? moment(text) : text
}

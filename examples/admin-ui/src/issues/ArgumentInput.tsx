import { Autocomplete, Loader, Select } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useState } from 'react'
import type { Invoice, IssueAction } from '../api/types'
import { useMoney } from '../books'
import { useInvoicesById, useInvoiceSuggestions, useStatuses } from '../queries'

interface ArgumentInputProps {
  required: boolean
  value: string
  onChange: (value: string) => void
}

/** Asks for what an action has to be told. */
export function ArgumentInput({
  argument,
  ...rest
}: ArgumentInputProps & { argument: NonNullable<IssueAction['argument']> }) {
  return argument === 'status' ? <StatusInput {...rest} /> : <InvoiceInput {...rest} />
}

/** Offers the words that are in use; it may be another. */
function StatusInput({ required, value, onChange }: ArgumentInputProps) {
  const statuses = useStatuses()
  return (
    <Autocomplete
      label="New status"
      description={required ? undefined : 'May be left empty'}
      required={required}
      data={statuses.data ?? []}
      value={value}
      onChange={onChange}
      rightSection={statuses.isPending && <Loader size={16} />}
    />
  )
}

/** Found by its number, or by whatever else invoices are searched by. */
function InvoiceInput({ required, value, onChange }: ArgumentInputProps) {
  const [typed, setTyped] = useState('')
  const [search] = useDebouncedValue(typed.trim(), 250)
  const chosen = useInvoicesById(value ? [value] : []).data ?? []
  const found = useInvoiceSuggestions(search)
  const { money } = useMoney()
  const label = ({ number, customer, status, total, currency }: Invoice) =>
    [number, customer, status, money(total, currency)].filter(Boolean).join(' · ')
  const offered = new Map([...chosen, ...(found.data ?? [])].map((one) => [one.id, one]))
  return (
    <Select
      label="Invoice"
      placeholder="Search by number"
      required={required}
      searchable
      data={[...offered.values()].map((one) => ({ value: one.id, label: label(one) }))}
      // The database has searched already.
      filter={({ options }) => options}
      nothingFoundMessage={found.isFetching ? 'Searching …' : 'No invoice fits'}
      value={value || null}
      onChange={(id) => onChange(id ?? '')}
      searchValue={typed}
      onSearchChange={setTyped}
      rightSection={found.isFetching && <Loader size={16} />}
    />
  )
}

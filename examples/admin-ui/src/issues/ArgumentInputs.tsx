/** Inputs for the arguments of actions. */

import { Autocomplete, Checkbox, Loader, Select } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useState } from 'react'
import type { Invoice } from '../api/types'
import { useMoney } from '../books'
import { useInvoicesById, useInvoiceSuggestions, useStatuses } from '../queries'

interface ArgumentInputProps {
  required: boolean
  value: string
  onChange: (value: string) => void
}

interface StatusInputProps extends ArgumentInputProps {
  isNewWord: boolean
  onNewWord: (isNewWord: boolean) => void
}

/** Offers the words that are in use; another one has to be meant. */
export function StatusInput(props: StatusInputProps) {
  const { required, value, onChange, isNewWord, onNewWord } = props
  const statuses = useStatuses()
  const word = value.trim()
  const isUnknown = word !== '' && statuses.data?.includes(word) === false
  return (
    <>
      <Autocomplete
        label="New status"
        description={required ? undefined : 'Optional'}
        required={required}
        data={statuses.data ?? []}
        value={value}
        onChange={onChange}
        rightSection={statuses.isPending && <Loader size={16} />}
      />
      {isUnknown && (
        <Checkbox
          label={`No invoice has had the status “${word}”: use it anyway`}
          checked={isNewWord}
          onChange={(event) => onNewWord(event.currentTarget.checked)}
        />
      )}
    </>
  )
}

/** Found by its number, or by whatever else invoices are searched by. */
export function InvoiceInput({ required, value, onChange }: ArgumentInputProps) {
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
      nothingFoundMessage={found.isFetching ? 'Searching …' : 'No matching invoice'}
      value={value || null}
      onChange={(id) => onChange(id ?? '')}
      searchValue={typed}
      onSearchChange={setTyped}
      rightSection={found.isFetching && <Loader size={16} />}
    />
  )
}

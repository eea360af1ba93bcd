import { Loader, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'

interface SearchBoxProps {
  /** What is searched for now. */
  value: string
  onSearch: (search: string) => void
  isSearching: boolean
}

/** Searches once nothing is typed for a moment. */
export function SearchBox({ value, onSearch, isSearching }: SearchBoxProps) {
  const [typed, setTyped] = useState(value)
  const reported = useRef(value)
  const tell = useDebouncedCallback((search: string) => {
    reported.current = search.trim()
    onSearch(reported.current)
  }, 250)
  useEffect(() => {
    // Not what was typed here, but where Back has led.
    if (value !== reported.current) {
      reported.current = value
      setTyped(value)
    }
  }, [value])

  return (
    <TextInput
      label="Search"
      placeholder="Number, customer or Stripe id"
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={isSearching && <Loader size={16} aria-label="Searching" />}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value)
        tell(event.currentTarget.value)
      }}
      flex="1 1 220px"
    />
  )
}

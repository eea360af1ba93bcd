import { Pagination, Stack } from '@mantine/core'
import { type ReactNode, useState } from 'react'

interface PagedProps<T> {
  items: T[]
  size: number
  children: (shown: T[]) => ReactNode
}

/** A long list, so many at a time. */
export function Paged<T>({ items, size, children }: PagedProps<T>) {
  const [wanted, setPage] = useState(1)
  const pages = Math.ceil(items.length / size)
  const page = Math.min(wanted, Math.max(pages, 1))
  return (
    <Stack gap="sm">
      {children(items.slice((page - 1) * size, page * size))}
      {pages > 1 && (
        <Pagination
          total={pages}
          value={page}
          onChange={setPage}
          getControlProps={(control) => ({ 'aria-label': `${control} page` })}
          getItemProps={(number) => ({ 'aria-label': `page ${number}` })}
        />
      )}
    </Stack>
  )
}

import { createContext, useContext } from 'react'
import type { Currency, Settings } from './api/types'
import { inMajorUnits, money } from './shared/format'

/** How the application's tables and amounts are to be read; there once the caller is let in. */
export interface Books {
  settings: Settings
  currencies: Currency[]
}

export const BooksContext = createContext<Books | null>(null)

export function useBooks(): Books {
  const books = useContext(BooksContext)
  if (books === null) throw new Error('the settings are not read yet')
  return books
}

/** Writes amounts: `money` those of the application's tables, `major` those in major units. */
export function useMoney() {
  const books = useBooks()
  return {
    money: (amount: string | null, currency: string) => money(amount, currency, books),
    major: (amount: string, currency: string) => inMajorUnits(amount, currency, books),
  }
}

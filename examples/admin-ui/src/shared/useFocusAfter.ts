import { useEffect, useRef } from 'react'

/** Of an element that takes the focus whenever `shown` is another: what had it is gone. */
export function useFocusAfter(shown: unknown) {
  const element = useRef<HTMLDivElement>(null)
  const before = useRef(shown)
  useEffect(() => {
    if (shown !== before.current) element.current?.focus()
    before.current = shown
  }, [shown])
  return element
}

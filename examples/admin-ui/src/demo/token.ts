/** Demonstration only: who looks at the page, and the token that the demonstration's server gives them. */

const KEY = 'demo-visitor'

export const VISITORS = [
  { value: 'bookkeeper', label: 'Bookkeeper: may operate' },
  { value: 'authenticated', label: 'Colleague: may only look' },
  { value: 'anon', label: 'Stranger: may nothing' },
]

export const visitor = () => localStorage.getItem(KEY) ?? 'bookkeeper'

export function become(role: string) {
  localStorage.setItem(KEY, role)
  window.location.reload()
}

let token: Promise<string> | null = null

export function demoToken(): Promise<string> {
  token ??= fetch(`/demo/token?as=${encodeURIComponent(visitor())}`).then((answer) => answer.text())
  return token
}

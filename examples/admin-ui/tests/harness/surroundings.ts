/** What `make test-ui` has prepared. */

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PAGE = join(dirname(fileURLToPath(import.meta.url)), '../..')
export const REPOSITORY = join(PAGE, '../..')

export function fromEnvironment(name: string, otherwise?: string): string {
  const value = process.env[name] || otherwise
  if (!value) throw new Error(`${name} is not set: run this with  make test-ui`)
  return value
}

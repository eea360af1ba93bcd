/** Before all tests: roles belong to the whole server, so they are made once. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inPostgres } from './database'
import { PAGE } from './surroundings'

export default async function makeRoles() {
  const roles = await readFile(join(PAGE, 'demo/roles.sql'), 'utf8')
  await inPostgres((postgres) => postgres.query(roles))
}

/** A shop's database, with the extension and the application's tables in it. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { fromEnvironment, PAGE, REPOSITORY } from './surroundings'

export class Database {
  private constructor(
    readonly name: string,
    private readonly client: Client,
  ) {}

  static async create(name: string, stripe: string): Promise<Database> {
    await inPostgres(async (postgres) => {
      await postgres.query(`drop database if exists ${name}`)
      await postgres.query(`create database ${name}`)
      await postgres.query(`alter database ${name} set invoice_sync.stripe_api_base = '${stripe}'`)
    })
    const client = new Client({ database: name })
    await client.connect()
    const database = new Database(name, client)
    try {
      await database.setUp()
    } catch (error) {
      await client.end()
      throw error
    }
    return database
  }

  private async setUp() {
    await this.query('create extension invoice_sync')
    const file = `${await this.value('show data_directory')}/stripe_of_${this.name}.key`
    // Only the server's own user may read the key.
    await this.query(`copy (select 'sk_test_double') to program 'umask 077; cat >${file}'`)
    await this.query(`alter database ${this.name} set invoice_sync.stripe_api_key = 'file:${file}'`)
    await this.run(join(REPOSITORY, 'examples/demo/tables.sql'))
    await this.run(join(PAGE, 'demo/rights.sql'))
  }

  /** As a URI, for others who connect as the superuser. */
  get uri(): string {
    const [host, port] = ['PGHOST', 'PGPORT'].map((name) =>
      encodeURIComponent(fromEnvironment(name)),
    )
    return `postgres:///${this.name}?host=${host}&port=${port}&user=postgres`
  }

  query = (sql: string, values: unknown[] = []) =>
    values.length > 0 ? this.client.query(sql, values) : this.client.query(sql)

  run = async (file: string) => this.query(await readFile(file, 'utf8'))

  /** The first column of the first row, as text. */
  async value(sql: string, values: unknown[] = []): Promise<string | null> {
    const { rows } = await this.client.query<unknown[]>({ text: sql, values, rowMode: 'array' })
    const value = rows[0]?.[0]
    return value === null || value === undefined ? null : String(value)
  }

  /** In a connection of its own, whose settings are those of now. */
  async anew(sql: string): Promise<void> {
    const client = new Client({ database: this.name })
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }

  async drop() {
    await this.client.end()
    await inPostgres((postgres) => postgres.query(`drop database ${this.name} with (force)`))
  }
}

export async function inPostgres<T>(work: (postgres: Client) => Promise<T>): Promise<T> {
  const client = new Client({ database: 'postgres' })
  await client.connect()
  return work(client).finally(() => client.end())
}

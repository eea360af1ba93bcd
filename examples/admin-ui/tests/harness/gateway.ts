/** The RPC gateway in front of one database. */

import { type Running, start } from './process'
import { fromEnvironment } from './surroundings'

export const JWT_SECRET = 'only-for-tests-0123456789abcdef0123456789abcdef'

export interface Gateway extends Running {
  url: string
}

export async function startGateway(database: string, port: number): Promise<Gateway> {
  const url = `http://127.0.0.1:${port}`
  const running = await start(fromEnvironment('INVOICE_SYNC_GATEWAY'), {
    env: {
      PGRST_COMPAT_MODE: 'true',
      DATABASE_URL: `postgres://authenticator:authenticator@127.0.0.1:${fromEnvironment('PGPORT')}/${database}`,
      PGRST_DB_SCHEMAS: 'invoice_sync,public',
      PGRST_DB_ANON_ROLE: 'anon',
      PGRST_JWT_SECRET: JWT_SECRET,
      // As on Supabase.
      PGRST_ROLE_SETTINGS: JSON.stringify({ authenticated: { statement_timeout: 8000 } }),
      PGRST_SERVER_HOST: '127.0.0.1',
      PGRST_SERVER_PORT: String(port),
    },
    isReady: async () => (await fetch(`${url}/_/ready`).catch(() => null))?.ok ?? false,
  })
  return { url, ...running }
}

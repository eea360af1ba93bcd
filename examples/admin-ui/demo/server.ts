/**
 * What Vite's preview server needs for the demonstration and the tests: the gateway under
 * Supabase's path, and a door that gives out tokens and loses webhooks. For loopback only.
 */

import { SignJWT } from 'jose'
import type { Connect, Plugin, PreviewOptions } from 'vite'
import { loseWebhook } from './lost-webhook.ts'

export interface DemoOptions {
  /** Where the RPC gateway listens, and what it signs tokens with. */
  gateway: string
  jwtSecret: string
  /** Where the stand-in for Stripe listens. */
  stripe: string
  /** The shop's database, as libpq's URI; whoever connects may insert invoices. */
  database: string
}

/** Supabase's API gateway has PostgREST below `/rest/v1`. */
export const previewOptions = (options: DemoOptions): PreviewOptions => ({
  host: '127.0.0.1',
  proxy: {
    '/rest/v1': {
      target: options.gateway,
      // This gateway reads a + as itself; PostgREST reads it as the blank that supabase-js means.
      rewrite: (path) => path.replace('/rest/v1', '').replaceAll('+', '%20'),
    },
  },
})

export const demoDoor = (options: DemoOptions): Plugin => ({
  name: 'demo-door',
  configurePreviewServer(server) {
    server.middlewares.use(
      '/demo/token',
      answer(async (request) => {
        const role = new URL(request.url ?? '', 'http://page').searchParams.get('as') ?? 'anon'
        return tokenFor(role, options.jwtSecret)
      }),
    )
    server.middlewares.use(
      '/demo/lost-webhook',
      answer(async (request) => {
        if (request.method !== 'POST') throw new Error('POST it')
        return JSON.stringify(await loseWebhook(options))
      }),
    )
  },
})

/** A token as Supabase Auth makes them, of a person whom the application calls an admin. */
function tokenFor(role: string, secret: string): Promise<string> {
  return new SignJWT({ role, app_metadata: role === 'bookkeeper' ? { role: 'admin' } : {} })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setExpirationTime('12h')
    .sign(new TextEncoder().encode(secret))
}

function answer(
  make: (request: Connect.IncomingMessage) => Promise<string>,
): Connect.NextHandleFunction {
  return (request, response) => {
    make(request).then(
      (body) => response.end(body),
      (error: unknown) => {
        response.statusCode = 500
        response.end(error instanceof Error ? error.message : String(error))
      },
    )
  }
}
